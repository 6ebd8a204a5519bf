"""Colours that mean something: none is missing, and everybody can tell them apart."""

import itertools

import numpy as np
import pytest

from core.colours import CLASSES, STATES, of_sentiment
from core.heads import HEADS

DARK, LIGHT = "#181b1f", "#ffffff"
"""The grounds of Grafana's panels, and of paper."""

# How colours are seen by who lacks a kind of cone: Machado, Oliveira and Fernandes, "A
# physiologically-based model for simulation of color vision deficiency" (2009), severity 1.0.
SEEN_BY = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
LEAST_DISTANCE = 15.0
"""In CIELAB; 2.3 is just noticeable side by side, and lines on a chart are thin and apart."""


def linear(colour: str) -> np.ndarray:
    """Return linear red, green and blue in [0, 1]."""
    coded = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return L*, a*, b* under D65."""
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("head", CLASSES)
def test_every_class_of_a_head_has_a_colour_in_the_order_of_the_head(head: str) -> None:
    assert tuple(CLASSES[head]) == HEADS[head]


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("table", [*CLASSES.values(), STATES], ids=[*CLASSES, "states"])
def test_colours_of_one_table_are_told_apart(table: dict[str, str], seen_by: str) -> None:
    for (one, first), (other, second) in itertools.combinations(table.items(), 2):
        seen = [lab(SEEN_BY[seen_by] @ linear(colour)) for colour in (first, second)]
        assert np.linalg.norm(seen[0] - seen[1]) >= LEAST_DISTANCE, (one, other)


def test_colours_stand_out_from_their_ground() -> None:
    for table in (*CLASSES.values(), STATES):
        for colour in table.values():
            assert contrast(colour, DARK) >= 3, colour
    for colour in CLASSES["sentiment"].values():
        assert contrast(colour, LIGHT) >= 3, colour


def test_a_mean_sentiment_has_the_colour_of_its_side_unless_it_is_near_none() -> None:
    assert of_sentiment(0.05) == CLASSES["sentiment"]["positive"]
    assert of_sentiment(-0.05) == CLASSES["sentiment"]["negative"]
    assert of_sentiment(0.049) is of_sentiment(-0.049) is of_sentiment(None) is None
