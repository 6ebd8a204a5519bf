"""Answers are those of the system that is named, and rewards are asked once for all replies."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ConfigError
from models.popalm.training.adapters import save_adapter
from models.popalm.training.answer import answered, main, read_posts
from models.popalm.training.monitors import score_of
from models.popalm.training.scores import COPY_REWARD, MiniLmVectors, without_copies
from tests.models.popalm.training.tiny import shaken, tiny_decoder

pytestmark = pytest.mark.train
POSTS = ["a", "a longer post that is read in another batch", "b c", "again"]


def test_every_post_has_its_draws_in_the_order_of_the_file(tmp_path: Path) -> None:
    decoder = shaken(tiny_decoder(tmp_path))
    found = answered(decoder, POSTS, 3, 7, batch=2)
    assert [len(one) for one in found] == [3] * len(POSTS)
    assert found == answered(decoder, POSTS, 3, 7, batch=2)
    assert found != answered(decoder, POSTS, 3, 8, batch=2)


def test_answers_of_several_systems_are_written_once(tmp_path: Path) -> None:
    base = tmp_path / "base"
    save_adapter(shaken(tiny_decoder(base)), tmp_path / "adapter")
    posts = tmp_path / "posts.jsonl"
    posts.write_text("".join(json.dumps({"post": post}) + "\n" for post in POSTS))
    asked = ["base", f"sft={tmp_path / 'adapter'}"]
    out, threads = tmp_path / "out", torch.get_num_threads()
    main(posts, out, asked, base, "tests/tiny", 4, 1, "cpu", threads)
    texts = {file.stem: file.read_text() for file in out.iterdir()}
    assert set(texts) == {"base", "sft"}
    assert texts["base"] != texts["sft"]
    rows = [json.loads(line) for line in texts["sft"].splitlines()]
    assert [row["post"] for row in rows] == POSTS
    (out / "base.jsonl").write_text("kept")
    main(posts, out, asked, base, "tests/tiny", 4, 1, "cpu", threads)
    assert (out / "base.jsonl").read_text() == "kept"


@pytest.mark.parametrize("text", ["", "{", '{"post": 1}\n', '{"text": "a"}\n'])
def test_a_file_without_posts_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "posts.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=r"posts\.jsonl"):
        read_posts(tmp_path / "posts.jsonl")


class Nearest:
    """A reward that is the cosine to the post, less one for a post that it has learnt from."""

    def fold_for(self, post: str) -> int | None:
        return 3 if post == "known" else None

    def total(
        self, post_vector: np.ndarray, texts: Sequence[str], vectors: np.ndarray,
        others: None, fold: int | None,
    ) -> np.ndarray:  # fmt: skip
        assert others is None
        assert len(texts) == len(vectors)
        return vectors @ post_vector - (fold is not None)


def test_a_reply_is_judged_with_its_own_post_by_weights_that_do_not_know_it() -> None:
    def vectors_of(texts: Sequence[str]) -> np.ndarray:
        assert len(set(texts)) == len(texts)  # each text is read once
        return np.array([[1.0, 0.0] if "a" in text else [0.0, 1.0] for text in texts], np.float32)

    score = score_of(Nearest(), vectors_of)
    assert score(["a", "b", "known", "a"], ["xa", "xa", "y", "y"]).tolist() == [1, 0, 0, 0]


def test_a_copy_of_the_post_is_worth_little_however_near_it_is() -> None:
    post = "the bridge over the river is closed"
    score = without_copies(lambda posts, texts: np.full(len(texts), 3.0))
    assert score([post] * 2, ["The bridge over the river", "why?"]).tolist() == [COPY_REWARD, 3.0]
    bad = without_copies(lambda posts, texts: np.full(len(texts), -5.0))
    assert bad([post], [post]).tolist() == [-5.0]


def test_vectors_of_the_encoder_have_length_one_and_tell_texts_apart() -> None:
    found = MiniLmVectors()(["The bridge is closed.", "They shut the bridge.", "I like pizza"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2
