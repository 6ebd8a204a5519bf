"""The engine that serves says of a decoder with an adapter what torch says of it."""

import json

import numpy as np
import pytest

from models.build_responder import build_responder
from models.popalm.decoding import Decoder
from models.popalm.sampling import Sampling
from tests.models.popalm.training.parity import POSTS, SAID, write_tiny

pytestmark = pytest.mark.server
TORCH = json.loads(SAID.read_text())
GREEDY = Sampling(temperature=0.01, top_p=1e-9)
MEAN_OFF, MOST_OFF = 0.2, 0.75
"""Nats a piece. What is multiplied is rounded to 8 bits too, by the engine, beside the weights;
these weights are harsher than a trained decoder's, of which pieces are off by .06 on average."""
NEAR_TIE = 0.25


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = tmp_path_factory.mktemp("parity")
    write_tiny(folder)
    build_responder(folder / "repository", folder, folder)
    return Decoder(folder / "repository" / "responder" / "1")


def test_served_questions_are_those_of_training(decoder: Decoder) -> None:
    assert [decoder.reader.tokens(post) for post in POSTS] == [one["question"] for one in TORCH]


@pytest.mark.parametrize("weights", ["whole", "rounded"])
def test_served_log_probabilities_are_those_of_torch(decoder: Decoder, weights: str) -> None:
    for post, said in zip(POSTS, TORCH, strict=True):
        off = np.abs(np.subtract(decoder.log_probabilities(post, said["reply"]), said[weights]))
        assert off.mean() < MEAN_OFF
        assert off.max() < MOST_OFF
        # The tolerance tells this reply from another, and the adapter from none.
        assert np.ptp(said[weights]) > 4 * MOST_OFF


def test_served_greedy_replies_are_those_of_torch_but_for_near_ties(decoder: Decoder) -> None:
    same = 0
    for post, said in zip(POSTS, TORCH, strict=True):
        (served,) = decoder.write(post, 1, 0, GREEDY)
        pairs = list(zip(served.tokens, said["greedy"], strict=False))
        agreed = next((at for at, (ours, torchs) in enumerate(pairs) if ours != torchs), len(pairs))
        same += agreed
        if agreed < len(pairs):
            likely = decoder.log_probabilities(post, said["greedy"][: agreed + 1])[agreed]
            assert served.log_probabilities[agreed] - likely < NEAR_TIE, (post, agreed)
    assert same > sum(len(one["greedy"]) for one in TORCH) / 2
