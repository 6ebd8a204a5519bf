from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from models.encoder.anchors import folds, group_rows, load_groups
from models.encoder.data import ParticipationTexts


def posts(rows: list[tuple[str, int]]) -> ParticipationTexts:
    texts = tuple(f"post {number}" for number in range(len(rows)))
    return ParticipationTexts(
        texts, tuple(level for _, level in rows), texts, tuple(source for source, _ in rows)
    )


def unit(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_a_made_row_joins_the_nearest_crowd_row_of_its_label() -> None:
    rows = [("crowd", 1), ("crowd", 2), ("synthetic", 2), ("extension", 1), ("synthetic", 2)]
    # The third row is nearest to the first, which has another label.
    assert group_rows(unit(0, 90, 40, -40, 140), posts(rows)) == [0, 1, 1, 0, 1]


def test_rows_that_nearly_repeat_one_another_join_whatever_their_labels() -> None:
    rows = [("crowd", 0), ("crowd", 3), ("crowd", 0)]
    assert group_rows(unit(0, 1, 90), posts(rows)) == [0, 0, 2]


def test_folds_keep_groups_whole_and_spread_the_crowds_levels() -> None:
    rows = [("crowd", level) for level in (0, 1, 2) for _ in range(10)]
    rows += [("synthetic", 1)] * 20
    groups = list(range(30)) + [10 + number % 10 for number in range(20)]
    found = folds(groups, posts(rows))
    for row, group in enumerate(groups):
        assert found[row] == found[group]
    for level in (0, 1, 2):
        counts = np.bincount(found[10 * level : 10 * level + 10], minlength=5)
        assert counts.tolist() == [2] * 5


def test_groups_made_for_other_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"models\.encoder\.anchor_groups"):
        load_groups(posts([("crowd", 1)]))


def test_a_missing_data_folder_is_said(tmp_path: Path) -> None:
    from models.encoder.heads import participation

    with pytest.raises(ConfigError, match="--data DIR"):
        participation.split(tmp_path)
