import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.encoder import train as training
from models.encoder.batches import plan_epoch, plan_passes
from models.encoder.schedule import TrainingSettings, learning_rate_share
from models.encoder.train import CHOSEN, train
from testkit.models import write_rows

pytestmark = pytest.mark.train

WORDS = {"positive": "lovely great thanks", "negative": "awful broken late", "neutral": "at nine"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few made-up posts per class in the layout of the real files."""
    root = tmp_path_factory.mktemp("data")
    for file, count in (("train", 8), ("tweeteval_val", 4)):
        rows = [
            {"text": f"{words} {number}", "label": label, "in_tweeteval_val": 0}
            for number in range(count)
            for label, words in WORDS.items()
        ]
        write_rows(root / "sentiment" / f"{file}.csv.gz", rows)
    return root


def settings(**changes: int) -> TrainingSettings:
    return TrainingSettings(batch_posts=8, checkpoint_every=2, epochs=2, **changes)


@pytest.mark.slow
def test_a_run_cut_off_and_continued_equals_one_that_was_not(data: Path, tmp_path: Path) -> None:
    record = train(data, tmp_path / "whole", settings(), None)
    train(data, tmp_path / "parts", settings(max_steps=4), None)
    train(data, tmp_path / "parts", settings(), None)
    whole = load_file(tmp_path / "whole" / "adapter_model.safetensors")
    parts = load_file(tmp_path / "parts" / "adapter_model.safetensors")
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6)
    saved = json.loads((tmp_path / "whole" / CHOSEN / "training.json").read_text())
    assert saved["training_posts"] == {"sentiment": 24}
    assert saved["settings"]["seed"] == settings().seed
    assert len(record["validation"]) == 2


def test_every_post_is_in_one_batch_of_an_epoch_and_epochs_differ() -> None:
    lengths = [3 + i % 40 for i in range(1_000)]
    first, second = (plan_epoch(lengths, 32, 1, epoch) for epoch in (0, 1))
    assert sorted(row for rows in first for row in rows) == list(range(1_000))
    assert first == plan_epoch(lengths, 32, 1, 0)
    assert first != second


def test_batches_hold_texts_of_near_equal_length() -> None:
    lengths = [3 + i % 40 for i in range(3_200)]
    spans = [
        max(lengths[row] for row in rows) - min(lengths[row] for row in rows)
        for rows in plan_epoch(lengths, 32, 1, 0)
    ]
    assert sum(spans) / len(spans) < 3


def test_learning_rate_rises_then_falls_to_zero() -> None:
    shares = [learning_rate_share(step, 100, 0.1) for step in range(101)]
    assert shares.index(max(shares)) in (9, 10)
    assert shares[100] == 0.0
    assert all(a >= b for a, b in pairwise(shares[10:]))


def test_every_head_that_is_trained_has_its_data() -> None:
    assert set(TrainingSettings().tasks) <= set(training.TASKS)
    for stage in (*training.STAGES, training.DISTIL):
        assert set(stage.passes) - {training.UNLABELLED} == set(training.TASKS)
        assert (training.UNLABELLED in stage.passes) == bool(stage.teachers)


def test_a_share_of_a_pass_takes_other_posts_each_epoch() -> None:
    lengths = [3 + i % 40 for i in range(3_200)]
    first, second = (plan_passes(lengths, 32, 1, epoch, 0.1) for epoch in (0, 1))
    assert len(first) == len(second) == 10
    rows = [{row for batch in batches for row in batch} for batches in (first, second)]
    assert len(rows[0] & rows[1]) < 100


def test_two_passes_show_every_post_twice_in_different_company() -> None:
    lengths = [3 + i % 40 for i in range(100)]
    batches = plan_passes(lengths, 8, 1, 0, 2.0)
    assert sorted(row for batch in batches for row in batch) == sorted([*range(100)] * 2)
    assert batches[: len(batches) // 2] != batches[len(batches) // 2 :]


@pytest.fixture(scope="module")
def emotions(data: Path) -> Path:
    for file in ("train", "val"):
        labels = ("anger", "joy", "optimism", "sadness")
        rows = [{"text": f"so much {label}", "label": label} for label in labels]
        write_rows(data / "emotion" / f"{file}.csv.gz", rows)
    return data


@pytest.mark.slow
def test_several_tasks_go_on_from_sentiment_alone(emotions: Path, tmp_path: Path) -> None:
    training.train_stages(emotions, tmp_path, ("sentiment", "emotion"), settings(max_steps=2), None)
    alone = json.loads((tmp_path / "sentiment" / CHOSEN / "training.json").read_text())
    joint = json.loads((tmp_path / CHOSEN / "training.json").read_text())
    assert alone["settings"]["heads"] == ["sentiment"]
    assert joint["settings"]["heads"] == ["sentiment", "emotion"]
    assert joint["settings"]["start"] == "sentiment"
    assert joint["before"] == alone
    assert set(joint["validation"][0]["figures"]) == {"sentiment", "emotion"}
    heads = load_file(tmp_path / CHOSEN / "heads.safetensors")
    assert heads["emotion.linear.weight"].shape == (4, 384)
