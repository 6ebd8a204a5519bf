from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from core.heads import EMOTION, SENTIMENT, TOPICS
from evaluation.encoder import frontier
from evaluation.encoder.bootstrap import Measured, Rows
from evaluation.encoder.frontier import Point, beside, good_enough, quality, speed
from models.encoder.config import EncoderConfig, uncalibrated
from models.serving.post_encoder import ScoredTexts
from testkit.models import write_rows

pytestmark = pytest.mark.server


class ReadsTheFirstWord:
    """Says the class that a text's first word names; is wrong on those that `wrong` names."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        heads = [uncalibrated(name) for name in ("sentiment", "emotion", "participation", "topics")]
        self.config = EncoderConfig(
            version="made-up", backbone="", backbone_sha256="", normaliser_version=1,
            heads=tuple(heads),
        )  # fmt: skip
        self.version = "made-up"
        self._heads = heads

    def score(self, texts: list[str], langs: list[str]) -> ScoredTexts:
        found: dict[str, np.ndarray] = {}
        for head in self._heads:
            values = np.full((len(texts), len(head.labels)), 0.01, np.float32)
            for row, text in enumerate(texts):
                word = text.split()[0]
                if word in head.labels and word != self.wrong:
                    values[row, head.labels.index(word)] = 0.9
            found[head.name] = values
        return ScoredTexts(np.ones(len(texts), np.bool_), found, None)


def point(name: str, wrong: str = "") -> Point:
    return Point(name, Path(), ReadsTheFirstWord(wrong))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for head, labels in (("sentiment", SENTIMENT), ("emotion", EMOTION)):
        rows = [{"text": f"{name} {n}", "label": name} for n in range(9) for name in labels]
        write_rows(tmp_path / head / "test.csv.gz", rows)
    levels = {"none": "None", "problem_solution": "Problem-Solution"}
    write_rows(
        tmp_path / "participation" / "test.csv.gz",
        [
            {"text": f"{short} {n}", "label": long, "original_text": "None", "augmentation": "None"}
            for n in range(9)
            for short, long in levels.items()
        ],
    )
    write_rows(
        tmp_path / "topics" / "tweettopicxl_en.csv.gz",
        [
            {"split": "test", "text": f"{name} {n}", "labels": name}
            for n in range(3)
            for name in TOPICS
        ],
    )
    return tmp_path


def test_what_a_head_loses_is_measured_on_the_posts_of_the_first_model(data: Path) -> None:
    found = quality([point("6"), point("4", wrong="joy")], data, resamples=20)
    assert found["6"]["emotion_macro_f1"].value == pytest.approx(1.0)
    assert found["6"]["emotion_macro_f1_lost"].high == 0
    assert found["4"]["emotion_macro_f1_lost"].value > 0.2
    for head, figure in frontier.JUDGED.items():
        if head != "emotion":
            assert found["4"][f"{head}_{figure}_lost"].value == 0
    assert good_enough(found["6"])
    assert not good_enough(found["4"])


def test_no_more_than_half_a_point_may_be_lost_on_any_head() -> None:
    def lost(**of: float) -> dict[str, Measured]:
        return {
            f"{head}_{figure}_lost": Measured(of.get(head, 0.0), -1.0, 1.0)
            for head, figure in frontier.JUDGED.items()
        }

    assert good_enough(lost(sentiment=0.005, topics=-0.02))
    assert not good_enough(lost(participation=0.006))


def test_losses_are_those_of_the_same_resampled_posts() -> None:
    def first(rows: Rows) -> Mapping[str, float]:
        return {"share": float(np.mean(rows < 5))}

    def second(rows: Rows) -> Mapping[str, float]:
        return {"share": float(np.mean(rows < 3))}

    found = beside(second, first)(np.array([0, 4, 9, 4]))
    assert found == {"share": 0.25, "share_lost": 0.5}


def test_speed_is_a_ratio_within_the_round(data: Path) -> None:
    figures = speed([point("6"), point("4")], ["joy to all"] * 50, rounds=2)
    assert figures["6_speed_ratio"] == 1
    assert figures["4_speed_ratio_low"] <= figures["4_speed_ratio"] <= figures["4_speed_ratio_high"]
    assert figures["4_posts_per_s"] > 0


def test_a_model_without_a_name_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NAME=REPOSITORY"):
        frontier.open_point(str(tmp_path))
    with pytest.raises(ConfigError, match="no built model"):
        frontier.open_point(f"4={tmp_path}")
