"""Who answers is decided by the text alone, and what is counted of it is what happened."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.routes import AUDITED, READ, SENT, agreed_bit
from models.encoder.config import EncoderConfig, HeadConfig, uncalibrated
from models.serving.cache import content_key
from models.serving.cascade import Cascade, decisions, is_audited, sureness
from models.serving.engines import Outputs
from models.student.config import Answers
from testkit.scorers.made_student import made_config

HEADS = (uncalibrated("sentiment"), uncalibrated("problem"))


def encoder_config(version: str, heads: tuple[HeadConfig, ...]) -> EncoderConfig:
    return EncoderConfig(
        version=version, backbone="b", backbone_sha256="0", normaliser_version=1,
        embedding_size=4, heads=heads,
    )  # fmt: skip


class Echo:
    """Logits that the first piece of a text decides, and how many texts it was asked for."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign, self.asked = sign, 0

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        self.asked += len(token_ids)
        first = np.array([[ids[0] / 10] for ids in token_ids], np.float32) * self.sign
        return {
            "post_embedding": np.repeat(first, 4, axis=1),
            "logits_sentiment": np.concatenate([first, first * 0, -first], axis=1),
            "logits_problem": first + 4,
        }


def cascade(least_sure: float = 0.8, sign: float = 1.0, **changes: object) -> Cascade:
    config = made_config("t", HEADS, least_sure)
    config = msgspec.structs.replace(config, **({"audit_share": 0.0} | changes))
    return Cascade(config, Echo(), HEADS, Echo(sign))


KEYS = [content_key(f"post {number}") for number in range(200)]
PIECES = [[number % 60 - 30] for number in range(200)]


def test_what_the_student_is_sure_of_the_encoder_does_not_read() -> None:
    made = cascade()
    read = made.read([[40], [1]], KEYS[:2], with_embedding=False)
    assert read.routes is not None
    assert read.routes.bits.tolist() == [READ, READ | SENT]
    assert read.embedding is None


def test_one_unsure_head_is_enough_to_ask() -> None:
    made = cascade(least_sure=0.9)
    # Of sentiment it is sure; of the problem the logit is 4 - 4 = 0.
    read = made.read([[-40]], KEYS[:1], with_embedding=False)
    assert read.routes is not None
    assert read.routes.count(SENT) == 1


def test_nothing_that_is_no_number_is_sure() -> None:
    made = cascade(least_sure=0.0)
    found = np.full((1, 4), np.nan, np.float32)
    assert made.unsure(found).tolist() == [True]


def test_the_student_alone_sends_what_is_audited_only() -> None:
    made = cascade(least_sure=1.0, answers=Answers.STUDENT, audit_share=0.5)
    read = made.read(PIECES, KEYS, with_embedding=False)
    audited = [is_audited(key, 0.5) for key in KEYS]
    assert read.routes is not None
    assert 50 < sum(audited) < 150
    assert ((read.routes.bits & SENT) > 0).tolist() == audited
    assert ((read.routes.bits & AUDITED) > 0).tolist() == audited


def test_the_audit_counts_where_both_decide_alike() -> None:
    alike = cascade(audit_share=1.0).read(PIECES, KEYS, with_embedding=False).routes
    other = cascade(audit_share=1.0, sign=-1.0).read(PIECES, KEYS, with_embedding=False).routes
    assert alike is not None
    assert other is not None
    assert alike.count(agreed_bit("sentiment")) == alike.count(AUDITED) == 200
    # Opposite logits agree where they are zero.
    assert other.count(agreed_bit("sentiment")) == sum(ids[0] == 0 for ids in PIECES)


def test_audited_texts_are_as_many_as_is_wanted() -> None:
    keys = [content_key(f"text {number}") for number in range(20_000)]
    assert sum(is_audited(key, 0.01) for key in keys) == pytest.approx(200, abs=60)
    assert not any(is_audited(key, 0.0) for key in keys)
    assert all(is_audited(key, 1.0) for key in keys)


def test_wanting_embeddings_changes_no_answer() -> None:
    plain = cascade(sign=-1.0).read(PIECES, KEYS, with_embedding=False)
    whole = cascade(sign=-1.0).read(PIECES, KEYS, with_embedding=True)
    assert whole.embedding is not None
    assert whole.embedding.shape == (200, 4)
    assert whole.probabilities.tobytes() == plain.probabilities.tobytes()
    assert plain.routes is not None
    assert whole.routes is not None
    assert whole.routes.bits.tolist() == plain.routes.bits.tolist()


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 80), seed=st.integers(0, 2**32 - 1))
def test_any_batch_gives_a_text_the_answer_and_the_route_it_has_alone(size: int, seed: int) -> None:
    made = cascade(sign=-1.0, audit_share=0.2)
    chosen = random.Random(seed).choices(range(200), k=size)
    read = made.read([PIECES[i] for i in chosen], [KEYS[i] for i in chosen], False)
    assert read.routes is not None
    for row, number in enumerate(chosen):
        alone = made.read([PIECES[number]], [KEYS[number]], False)
        assert alone.routes is not None
        assert alone.probabilities[0].tobytes() == read.probabilities[row].tobytes()
        assert alone.routes.bits[0] == read.routes.bits[row]


def test_warming_up_finds_outputs_of_another_shape() -> None:
    wide = made_config("t", (uncalibrated("emotion"),), 0.5)
    with pytest.raises(KeyError):
        Cascade(wide, Echo(), HEADS, Echo()).warm_up([[1]])


def test_sureness_is_the_distance_to_the_cut() -> None:
    problem = msgspec.structs.replace(HEADS[1], cut=0.25)
    found = np.array([[0.25], [0.9], [0.01]], np.float32)
    sure = sureness(found, problem)
    assert sure[0] == pytest.approx(0.5, abs=1e-6)
    assert sure[1] > 0.9
    assert sure[2] > 0.9
    assert decisions(found, problem).tolist() == [[1], [1], [0]]
    levels = uncalibrated("participation")
    chances = np.array([[0.9, 0.05, 0.03, 0.01, 0.01], [0.3, 0.1, 0.4, 0.1, 0.1]], np.float32)
    assert decisions(chances, levels).tolist() == [0, 2]
