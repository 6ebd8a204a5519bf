from pathlib import Path

import pytest

from core.errors import ConfigError
from evaluation.encoder.bench_model import (
    BATCHES,
    LENGTHS,
    _of_length,
    measure,
    open_services,
)
from evaluation.encoder.caching import cached_share
from evaluation.encoder.cascade import sent_share
from models.build import MODEL_NAME

pytestmark = pytest.mark.server

TEXTS = [f"the trains to harbour number {number} are late again today" for number in range(24)]


def test_the_first_head_alone_says_what_it_says_beside_the_others(built_repository: Path) -> None:
    whole, alone, _ = open_services(built_repository / MODEL_NAME / "1", threads=1)
    together, single = (service.score(TEXTS, ["en"] * len(TEXTS)) for service in (whole, alone))
    (first,) = single.heads
    assert single.heads[first].tolist() == together.heads[first].tolist()


def test_figures_of_every_batch_length_and_of_the_heads_are_there(built_repository: Path) -> None:
    figures = measure(TEXTS, built_repository / MODEL_NAME / "1", threads=1, rounds=1, posts=2)
    for size in BATCHES:
        assert figures[f"batch_{size}_posts_per_s"] > 0
        assert figures[f"batch_{size}_ms"] <= figures[f"batch_{size}_p95_ms"]
    for most in LENGTHS:
        assert figures[f"tokens_to_{most}_posts_per_s"] > 0
    assert figures["all_over_one_ratio_least"] <= figures["all_over_one_ratio"]
    assert figures["heads"] >= 1


def test_a_share_of_the_texts_is_sent_on_and_the_built_model_stays_as_it_is(
    built_repository: Path,
) -> None:
    folder = built_repository / MODEL_NAME / "1"
    config = (folder / "config.json").read_bytes()
    assert 0 < sent_share(folder, TEXTS, threads=1) <= 1
    assert sent_share(folder, ["1", "2"], threads=1) == 0, "nothing of them is read"
    assert (folder / "config.json").read_bytes() == config


def test_texts_of_a_bucket_are_no_longer_than_it_says(built_repository: Path) -> None:
    _, _, tokenizer = open_services(built_repository / MODEL_NAME / "1", threads=1)
    for most in LENGTHS:
        lengths = [len(ids) for ids in tokenizer.encode(_of_length(tokenizer, TEXTS, most))]
        assert most / 4 < sum(lengths) / len(lengths) <= most


def test_without_a_built_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="groundswell models build"):
        open_services(tmp_path)


def test_a_text_is_known_once_it_was_seen_and_not_for_ever() -> None:
    assert cached_share(["a", "b", "a", "a"]) == 0.5
    assert cached_share([f"text {n}" for n in range(50)] + ["text 0"], capacity=10) == 0.0
    assert cached_share([]) == 0.0
