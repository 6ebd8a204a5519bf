"""Small SVG pictures without a plotting library: reliability, and confusion as a heat map."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.metrics import ReliabilityBin

_SIDE: Final = 260
_LEFT: Final = 60
_TOP: Final = 40
_COLOURS: Final = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626")
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="12"'
_DARK: Final = 0.5
"""From this shade on, text on a cell is white."""


def reliability_plot(title: str, series: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """Claimed probability across, observed share up, one line a classifier; honest is diagonal.

    The area of a point goes with the posts in its bin.
    """
    parts = [_head(title, _LEFT + _SIDE + 200, _TOP + _SIDE + 60), _axes()]
    for place, (name, bins) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        points = [(_across(one.claimed), _up(one.held), one.posts) for one in bins]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        most = max((posts for *_, posts in points), default=1)
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.5 + 3.5 * (posts / most) ** 0.5:.1f}" '
            f'fill="{colour}" opacity="0.8"/>'
            for x, y, posts in points
        ]
        parts.append(
            f'<text x="{_LEFT + _SIDE + 12}" y="{_TOP + 14 + 18 * place}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def confusion_plot(title: str, table: NDArray[np.integer[Any]], labels: Sequence[str]) -> str:
    """True class down, predicted class across; the shade is the share of the true class."""
    cell, left, top = 58, 150, 70
    classes = len(labels)
    parts = [_head(title, left + cell * classes + 20, top + cell * classes + 20)]
    shares = table / np.maximum(1, table.sum(1, keepdims=True))
    for i, label in enumerate(labels):
        middle = top + i * cell + cell / 2 + 4
        parts.append(f'<text x="{left - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>')
        parts.append(
            f'<text x="{left + i * cell + cell / 2}" y="{top - 8}" text-anchor="middle" '
            f'font-size="9">{escape(label)}</text>'
        )
        for j in range(classes):
            shade = float(shares[i, j])
            parts.append(
                f'<rect x="{left + j * cell}" y="{top + i * cell}" width="{cell}" height="{cell}" '
                f'fill="#2563eb" fill-opacity="{shade:.3f}" stroke="#ddd"/>'
                f'<text x="{left + j * cell + cell / 2}" y="{middle}" text-anchor="middle" '
                f'fill="{"#fff" if shade > _DARK else "#111"}">{int(table[i, j]):,}</text>'
            )
    return "\n".join([*parts, "</svg>\n"])


def lines_plot(
    title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Lines over an x axis from 0 to 1; the y axis ends at the largest value."""
    most = max((y for points in series.values() for _, y in points), default=1.0) or 1.0
    parts = [_head(title, _LEFT + _SIDE + 220, _TOP + _SIDE + 60), _axes(across, up, most, False)]
    for place, (name, points) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(f"{_across(x):.1f},{_up(y / most):.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{_LEFT + _SIDE + 12}" y="{_TOP + 14 + 18 * place}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def _across(value: float) -> float:
    return _LEFT + value * _SIDE


def _up(value: float) -> float:
    return _TOP + _SIDE - value * _SIDE


def _axes(
    across: str = "claimed probability",
    up: str = "observed share",
    most: float = 1.0,
    has_diagonal: bool = True,
) -> str:
    parts = [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#111"/>'
    ]
    if has_diagonal:
        parts.append(
            f'<line x1="{_LEFT}" y1="{_up(0)}" x2="{_across(1)}" y2="{_TOP}" '
            'stroke="#999" stroke-dasharray="4 3"/>'
        )
    for share in (0.0, 0.5, 1.0):
        parts.append(
            f'<text x="{_across(share)}" y="{_up(0) + 16}" text-anchor="middle">{share:g}</text>'
            f'<text x="{_LEFT - 6}" y="{_up(share) + 4}" text-anchor="end">'
            f"{share * most:.3g}</text>"
        )
    parts.append(
        f'<text x="{_across(0.5)}" y="{_up(0) + 36}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="{_LEFT - 36}" y="{_up(0.5)}" text-anchor="middle" '
        f'transform="rotate(-90 {_LEFT - 36} {_up(0.5)})">{escape(up)}</text>'
    )
    return "\n".join(parts)


def _head(title: str, width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" {_FONT}>\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>'
    )
