"""What the encoder answered is kept, goes on where it was cut off, and is complete or refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from models.serving.engines import Outputs
from models.student.labelling import ANSWERS, PART_POSTS, label
from models.student.lessons import read_lessons, record_of

POSTS = [f"post {number}" for number in range(PART_POSTS + 5)]


class Pieces:
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[1, int(text.split()[1]) % 60_000, 2] for text in texts]


class Engine:
    def __init__(self) -> None:
        self.asked = 0

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        self.asked += len(token_ids)
        second = np.array([[ids[1]] for ids in token_ids], np.float32)
        return {"post_embedding": second, "logits_sentiment": np.repeat(second, 3, axis=1)}


def test_what_is_kept_is_read_back_in_order(tmp_path: Path) -> None:
    texts = {"one": POSTS, "two": POSTS[:3]}
    label(texts, tmp_path / ANSWERS, "v1", Pieces(), Engine())  # type: ignore[arg-type]
    lessons = read_lessons(tmp_path, ("two", "one"))
    assert [int(ids[1]) for ids in lessons.pieces[:4]] == [0, 1, 2, 0]
    assert len(lessons) == len(POSTS) + 3
    assert list(lessons.logits) == ["sentiment"]
    assert lessons.logits["sentiment"][-1].tolist() == [len(POSTS) - 1] * 3
    assert record_of(tmp_path)["teacher"] == "v1"
    kept = (tmp_path / ANSWERS / "record.json").read_text()
    assert "post 1" not in kept


def test_a_run_that_was_cut_off_asks_for_the_rest_only(tmp_path: Path) -> None:
    folder = tmp_path / ANSWERS
    label({"one": POSTS}, folder, "v1", Pieces(), Engine())  # type: ignore[arg-type]
    (folder / "one-001.npz").unlink()
    with pytest.raises(ConfigError, match=f"{PART_POSTS} of {len(POSTS)}"):
        read_lessons(tmp_path, ("one",))
    engine = Engine()
    label({"one": POSTS}, folder, "v1", Pieces(), engine)  # type: ignore[arg-type]
    assert engine.asked == 5
    assert len(read_lessons(tmp_path, ("one",))) == len(POSTS)


def test_answers_of_another_model_or_to_other_posts_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / ANSWERS
    label({"one": POSTS[:2]}, folder, "v1", Pieces(), Engine())  # type: ignore[arg-type]
    for texts, version in (({"one": POSTS[:2]}, "v2"), ({"one": POSTS[1:3]}, "v1")):
        with pytest.raises(ConfigError, match="another model or to other posts"):
            label(texts, folder, version, Pieces(), Engine())  # type: ignore[arg-type]
    assert json.loads((folder / "record.json").read_text())["teacher"] == "v1"


def test_without_answers_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ask the encoder first"):
        read_lessons(tmp_path, ("one",))
