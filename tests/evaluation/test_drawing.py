"""Pictures are the same bytes for the same figures, and asked for in vain they say what to do."""

import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest

from core.errors import ConfigError
from evaluation import drawing
from evaluation.drawing import Picture, bars, confusion_matrix, lines, reliability_diagram
from models.metrics import ReliabilityBin

BINS = [ReliabilityBin(0.2, 0.25, 10), ReliabilityBin(0.7, 0.65, 40)]
PICTURES: dict[str, Callable[[], Picture]] = {
    "bars": lambda: bars("Posts <a second>", "posts/s", [("one", 5.0, 4.0, 7.0), ("two", 0, 0, 0)]),
    "lines": lambda: lines("Delay", "x", "y", {"ours": [(0, 1), (2, 3)], "theirs": [(1, 1)]}),
    "log lines": lambda: lines("Delay", "x", "y", {"ours": [(0.0, 3.0)]}, is_log=True),
    "reliability": lambda: reliability_diagram("Honest", {"model": BINS}),
    "confusion": lambda: confusion_matrix("Truth by row", np.array([[5, 1], [0, 0]]), ["a", "b"]),
    "nothing": lambda: lines("Nothing", "x", "y", {}),
    "no bars": lambda: bars("Nothing", "s", []),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_figures_make_the_same_bytes_without_a_date(name: str) -> None:
    first, second = PICTURES[name]().svg(), PICTURES[name]().svg()
    assert first == second
    root = ET.fromstring(first)  # noqa: S314 our own picture
    assert root.tag.endswith("svg")
    assert "date>" not in first
    assert PICTURES[name]().title.split()[0] in first


def test_other_figures_make_another_picture() -> None:
    assert (
        bars("t", "s", [("one", 5.0, 4.0, 7.0)]).svg() != bars("t", "s", [("one", 6, 4, 7)]).svg()
    )


def test_without_matplotlib_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda _: None)
    for ask in (drawing.check_can_draw, PICTURES["bars"]().svg):
        with pytest.raises(ConfigError, match=r"needs matplotlib.*make setup-dev"):
            ask()
