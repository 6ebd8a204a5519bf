import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import ConfigError
from core.heads import HEADS, TOPICS
from models.encoder import distil, run, student
from models.encoder import train as training
from models.encoder.batches import TokenisedTask
from models.encoder.data import ParticipationTexts, reddit_unlabelled
from models.encoder.heads import participation, training_of
from models.encoder.heads.base import Lesson
from models.encoder.pack import pack
from models.encoder.schedule import TrainingSettings, TrainingStage
from models.encoder.soft import SoftLesson
from models.encoder.tasks import TASKS
from testkit.models import write_rows

pytestmark = pytest.mark.train

LEVELS = ("None", "Problem-Solution", "Call-to-action", "Intention", "Execution")
LONG = "the council wants to close our library and nobody in this town was asked about it at all"
UNKNOWN = {"original_text": "None", "augmentation": "None"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few made-up posts of every task, in the layout of the real files."""
    root = tmp_path_factory.mktemp("data")
    for file, count in (("train", 8), ("tweeteval_val", 2)):
        write_rows(
            root / "sentiment" / f"{file}.csv.gz",
            [
                {"text": f"a {label} day {number}", "label": label, "in_tweeteval_val": 0}
                for number in range(count)
                for label in ("negative", "neutral", "positive")
            ],
        )
    for file in ("train", "val"):
        write_rows(
            root / "emotion" / f"{file}.csv.gz",
            [
                {"text": f"so much {label}", "label": label}
                for label in ("anger", "joy", "optimism", "sadness")
            ],
        )
    write_rows(
        root / "topics" / "tweettopicxl_en.csv.gz",
        [
            {"split": split, "text": f"all about {topic}", "labels": topic}
            for split in ("train", "validation")
            for topic in TOPICS
        ],
    )
    write_rows(
        root / "participation" / "train.csv.gz",
        [
            {
                "text": f"{label} {n}",
                "label": label,
                "original_text": "None",
                "augmentation": "None",
            }
            for n in range(10)
            for label in LEVELS
        ],
    )
    write_rows(
        root / "responses_reddit_scores" / "comments.csv.gz",
        [{"text": f"{LONG} {n}"} for n in range(4)] + [{"text": "too short"}],
    )
    threads = root / "responses_reddit_pairs" / "threads.jsonl.gz"
    threads.parent.mkdir()
    with gzip.open(threads, "wt", encoding="utf-8") as opened:
        for forum in ("News", "gaming"):
            replies = [f"{forum}: {LONG}", f"{forum}: {LONG} " * 9]
            opened.write(json.dumps({"subreddit": forum, "replies": replies}) + "\n")
    return root


@pytest.fixture(autouse=True)
def one_group_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept groups are those of the real rows."""

    def groups(posts: ParticipationTexts) -> list[int]:
        return list(range(len(posts)))

    monkeypatch.setattr(participation, "load_groups", groups)


def test_unlabelled_posts_are_as_long_as_excerpts_and_from_where_those_were_collected(
    data: Path,
) -> None:
    found = reddit_unlabelled(data, 100, seed=1)
    assert sorted(found) == sorted([f"News: {LONG}", *(f"{LONG} {n}" for n in range(4))])
    assert reddit_unlabelled(data, 3, seed=1) == found[:3]
    assert reddit_unlabelled(data, 100, seed=2) != found


def test_folds_of_training_rows_are_those_of_the_split(data: Path) -> None:
    rows, held = participation.split(data, 2)
    fold_of = participation.training_folds(data, 2)
    assert len(fold_of) == len(rows) == 40
    assert set(fold_of) == {0, 1, 3, 4}
    assert len(held) == 10


def test_chosen_posts_keep_their_labels_and_what_teachers_say_of_them() -> None:
    task = TokenisedTask(
        "topics",
        ((1,), (2,), (3,)),
        (Lesson("topics", ((0.0,), (1.0,), (0.0,)), (1.0, 2.0, 3.0)),),
        (SoftLesson("sentiment", torch.tensor([[1.0], [2.0], [3.0]]), 0.5),),
    )
    chosen = task.select([2, 1])
    assert chosen.token_ids == ((3,), (2,))
    assert chosen.lessons[0].targets == ((0.0,), (1.0,))
    assert chosen.lessons[0].weights == (3.0, 2.0)
    assert chosen.soft[0].logits.tolist() == [[3.0], [2.0]]
    assert chosen.soft[0].weight == 0.5


def test_distillation_is_a_last_stage_that_needs_every_task() -> None:
    names = [stage.name for stage in training.stages_for(tuple(TASKS), is_distilled=True)]
    assert names == ["joint", "distil"]
    assert training.DISTIL not in training.stages_for(tuple(TASKS), is_distilled=False)
    with pytest.raises(ConfigError, match="every task"):
        training.stages_for(("sentiment", "emotion"), is_distilled=True)


def test_every_teacher_is_asked_about_posts_that_there_are() -> None:
    assert set(distil.TEACHES) == set(HEADS)
    assert all(training_of(head).teacher_weight > 0 for head in HEADS)
    for tasks in distil.TEACHES.values():
        assert set(tasks) <= {*TASKS, distil.UNLABELLED}


@pytest.mark.slow
def test_the_last_stage_learns_from_the_stages_before_and_asks_them_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = {name: 1.0 for name in TASKS}
    joint = TrainingStage("joint", 1, 5e-4, passes)
    last = TrainingStage(
        "distil", 1, 5e-4, passes | {distil.UNLABELLED: 1.0},
        ("sentiment", "joint"), sentiment_posts=12, unlabelled_posts=4,
    )  # fmt: skip
    monkeypatch.setattr(training, "STAGES", (joint,))
    monkeypatch.setattr(training, "DISTIL", last)
    settings = TrainingSettings(epochs=1, batch_posts=16, max_steps=1)
    training.train_stages(data, tmp_path, tuple(TASKS), settings, None, is_distilled=True)

    record = json.loads((tmp_path / run.CHOSEN / run.RECORD_FILE).read_text())
    assert record["settings"]["start"] == "sentiment"
    assert record["settings"]["teachers"] == ["sentiment", "joint"]
    assert record["taught_by"]["joint"]["settings"]["start"] == "sentiment"
    assert record["training_posts"] == {
        "sentiment": 12, "emotion": 4, "topics": 19, "participation": 40, "unlabelled": 4,
    }  # fmt: skip
    answers = load_file(tmp_path / distil.TARGETS_FILE)
    assert set(answers) == {f"{t}/{h}" for h, tasks in distil.TEACHES.items() for t in tasks}
    assert answers["unlabelled/participation"].shape == (4, 4)
    assert answers["sentiment/topics"].shape == (12, 19)

    def nobody(*_: object) -> dict[str, torch.Tensor]:
        raise AssertionError("the teachers were asked twice")

    monkeypatch.setattr(distil, "ask_teachers", nobody)
    finished = (tmp_path / "joint" / run.CHOSEN / run.HEADS_FILE).read_bytes()
    (tmp_path / run.CHOSEN / run.RECORD_FILE).unlink()
    training.train_stages(data, tmp_path, tuple(TASKS), settings, None, is_distilled=True)
    assert (tmp_path / "joint" / run.CHOSEN / run.HEADS_FILE).read_bytes() == finished
    again = load_file(tmp_path / distil.TARGETS_FILE)
    assert all(np.array_equal(again[name], answers[name]) for name in answers)


@pytest.mark.slow
def test_a_student_keeps_its_layers_and_asks_its_teacher_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(student.STUDENT, sentiment_posts=12, unlabelled_posts=4)
    monkeypatch.setattr(training, "STUDENT", small)
    settings = TrainingSettings(batch_posts=16, max_steps=1)
    training.train_student(data, tmp_path, "0,5", settings, None, training.FINISHED)
    chosen = tmp_path / run.CHOSEN
    record = json.loads((chosen / run.RECORD_FILE).read_text())
    assert record["settings"]["layers"] == [0, 5]
    assert record["training_posts"]["unlabelled"] == 4
    layers = {
        name.split(".")[4] for name in load_file(chosen / run.ADAPTER_FILE) if ".layer." in name
    }
    assert layers == {"0", "5"}

    def nobody(*_: object) -> torch.Tensor:
        raise AssertionError("the teacher was asked twice")

    monkeypatch.setattr(student, "embed_all", nobody)
    training.train_student(data, tmp_path, "0,5", settings, None, training.FINISHED)
    packed = pack(chosen, tmp_path / "weights")
    assert packed.layers == (0, 5)
