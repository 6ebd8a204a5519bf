"""The one table of colours that mean something, in dashboards, console, reports and terminal.

Most are of Okabe and Ito's palette, which people tell apart with any kind of colour vision
(https://jfly.uni-koeln.de/color/). Those of sentiment are told from a light ground as from a dark
one, 3:1 at least; those of emotions and levels from Grafana's dark ground, and on a light one a
label stands beside them.
"""

from __future__ import annotations

from typing import Final

CLASSES: Final[dict[str, dict[str, str]]] = {
    "sentiment": {"negative": "#d55e00", "neutral": "#8a939c", "positive": "#1f86cf"},
    "emotion": {
        "anger": "#d55e00", "joy": "#e69f00", "optimism": "#009e73", "sadness": "#56b4e9",
    },
    # From dark to bright: ordered levels want a ramp and not hues.
    "participation": {
        "none": "#70757c", "problem_solution": "#3f74d6", "call_to_action": "#28ae88",
        "intention": "#8cc43c", "execution": "#fde725",
    },
}  # fmt: skip
"""Head -> class -> colour as #rrggbb."""

STATES: Final = {"good": "#009e73", "unsure": "#e69f00", "bad": "#d55e00"}
"""How something of ours is -> colour; a figure that is neither has the colour of text."""

NOTABLE_SENTIMENT: Final = 0.05
"""A mean nearer to 0 than this has the colour of neutral."""


def of_sentiment(mean: float | None) -> str | None:
    """Return the colour of a mean sentiment in [-1, 1]; None if there is none or it is near 0."""
    if mean is None or abs(mean) < NOTABLE_SENTIMENT:
        return None
    return CLASSES["sentiment"]["positive" if mean > 0 else "negative"]
