from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from models.build import MODEL_NAME
from models.encoder.config import EncoderConfig, HeadCalibration, HeadConfig, load_config
from models.serving.engines import Outputs
from models.serving.place import bits_of
from models.serving.post_encoder import PostEncoderService
from models.serving.tokenise import TextTokenizer

pytestmark = pytest.mark.server

GOOD = "what a lovely morning, thank you all"
BAD = "my flight was cancelled again, this is a disgrace"


class CountingEngine:
    """Logits from the number of tokens, and how many texts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        self.asked.append(len(token_ids))
        counts = np.array([[len(ids)] for ids in token_ids], np.float32)
        return {
            "post_embedding": np.repeat(counts, 4, axis=1),
            "logits_sentiment": np.concatenate([counts, counts * 0, -counts], axis=1),
        }


def config(**changes: object) -> EncoderConfig:
    calibration = HeadCalibration(scale=(0.1,) * 3, bias=(0.0,) * 3)
    head = HeadConfig(
        name="sentiment", labels=("negative", "neutral", "positive"), calibration=calibration
    )
    settings = {
        "version": "test-1", "backbone": "b", "backbone_sha256": "0", "normaliser_version": 1,
        "embedding_size": 4, "heads": (head,),
    }  # fmt: skip
    return EncoderConfig(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tokenizer(built_repository: Path) -> TextTokenizer:
    return TextTokenizer(built_repository / MODEL_NAME / "1" / "tokenizer.json", 128)


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


def test_identical_texts_are_read_once(tokenizer: TextTokenizer, engine: CountingEngine) -> None:
    service = PostEncoderService(config(), tokenizer, engine)
    scored = service.score([GOOD, BAD, f"  {GOOD} ", GOOD], ["en"] * 4)
    assert engine.asked == [2]
    for row in (2, 3):
        np.testing.assert_array_equal(scored.heads["sentiment"][row], scored.heads["sentiment"][0])


def test_a_text_seen_before_is_not_read_again(
    tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    service = PostEncoderService(config(), tokenizer, engine)
    first = service.score([GOOD], [""])
    second = service.score([BAD, GOOD], ["", ""])
    assert engine.asked == [1, 1]
    np.testing.assert_array_equal(first.heads["sentiment"][0], second.heads["sentiment"][1])


def test_embeddings_come_only_when_wanted(tokenizer: TextTokenizer, engine: CountingEngine) -> None:
    service = PostEncoderService(config(), tokenizer, engine)
    assert service.score([GOOD], ["en"]).embedding is None
    embedding = service.score([GOOD, "12", GOOD], ["en"] * 3, with_embedding=True).embedding
    assert embedding is not None
    assert (embedding[0] > 0).all()
    np.testing.assert_array_equal(embedding[0], embedding[2])
    assert not embedding[1].any()


def test_what_is_not_read_is_zero_and_not_rated(
    tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    service = PostEncoderService(config(), tokenizer, engine)
    scored = service.score([GOOD, GOOD, "!!! 12", "@user http"], ["en", "fr", "", "en"])
    assert scored.rated.tolist() == [True, False, False, False]
    assert not scored.heads["sentiment"][1:].any()
    assert engine.asked == [1]


def test_low_confidence_is_scored_and_not_rated(
    tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    service = PostEncoderService(config(min_confidence=0.999), tokenizer, engine)
    scored = service.score([GOOD], ["en"])
    assert scored.rated.tolist() == [False]
    assert scored.heads["sentiment"].sum() == pytest.approx(1.0)


def test_no_posts_give_no_rows_and_ask_nothing(
    tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    scored = PostEncoderService(config(), tokenizer, engine).score([], [])
    assert scored.rated.shape == (0,)
    assert scored.heads["sentiment"].shape == (0, 3)
    assert engine.asked == []


def test_a_model_trained_with_another_normaliser_is_refused(
    tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    with pytest.raises(ConfigError, match="normaliser"):
        PostEncoderService(config(normaliser_version=0), tokenizer, engine)


def test_version_stands_for_weights_and_bits(built_repository: Path) -> None:
    folder = built_repository / MODEL_NAME / "1"
    built = load_config(folder)
    assert built.version.startswith("post-encoder-1+")
    assert built.version.endswith(f".{bits_of(folder)}")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nonsense_of_the_network_is_answered_once_and_not_kept(
    number: float, tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    right = engine.infer
    spoilt = [GOOD]

    def infer(token_ids: Sequence[Sequence[int]]) -> Outputs:
        outputs = right(token_ids)
        if spoilt:
            outputs["logits_sentiment"][0] = number
        return outputs

    engine.infer = infer  # type: ignore[method-assign]
    service = PostEncoderService(config(), tokenizer, engine)
    with np.errstate(invalid="ignore"):
        first = service.score([GOOD, BAD], ["en"] * 2)
    assert np.isnan(first.heads["sentiment"][0]).all()
    assert np.isfinite(first.heads["sentiment"][1]).all()
    spoilt.clear()
    again = service.score([GOOD, BAD], ["en"] * 2)
    assert np.isfinite(again.heads["sentiment"]).all()
    assert engine.asked == [2, 1]  # the text that had numbers is not read again


@pytest.mark.parametrize(
    "change", [lambda logits: logits[:1], lambda logits: logits[:, :1], lambda logits: logits[:-1]]
)
def test_a_network_of_another_shape_does_not_even_warm_up(
    change: Callable[[np.ndarray], np.ndarray], tokenizer: TextTokenizer, engine: CountingEngine
) -> None:
    right = engine.infer

    def infer(token_ids: Sequence[Sequence[int]]) -> Outputs:
        outputs = right(token_ids)
        return {**outputs, "logits_sentiment": change(outputs["logits_sentiment"])}

    engine.infer = infer  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="sentiment has shape"):
        PostEncoderService(config(), tokenizer, engine).warm_up()
