"""Small SVG pictures without a plotting library: bars with their spread, and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 640
_LABEL: Final = 210
_BAR: Final = 22
_COLOURS: Final = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626")
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="12"'

Bar = tuple[str, float, float, float]
"""label, median, least, most"""


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars from zero, each with a line from its least to its most."""
    height = 44 + len(rows) * (_BAR + 10)
    longest = max((most for *_, most in rows), default=1) or 1
    per_unit = (_WIDTH - _LABEL - 110) / longest
    parts = [_head(title, height)]
    for place, (label, median, least, most) in enumerate(rows):
        top = 36 + place * (_BAR + 10)
        middle = top + _BAR / 2
        end = _LABEL + median * per_unit
        parts.append(
            f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LABEL}" y="{top}" width="{median * per_unit:.1f}" height="{_BAR}" '
            f'fill="{_COLOURS[0]}" opacity="0.85"/>'
            f'<line x1="{_LABEL + least * per_unit:.1f}" x2="{_LABEL + most * per_unit:.1f}" '
            f'y1="{middle}" y2="{middle}" stroke="#111" stroke-width="2"/>'
            f'<text x="{max(end, _LABEL + most * per_unit) + 8:.1f}" y="{middle + 4}">'
            f"{_number(median)} {escape(unit)}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def lines(
    title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Return lines over a common x axis; both axes begin at zero."""
    height, left, bottom = 300, 70, 250
    points = [point for values in series.values() for point in values]
    x_most = max((x for x, _ in points), default=1) or 1
    y_most = max((y for _, y in points), default=1) or 1
    right = _WIDTH - 150
    parts = [_head(title, height)]
    parts.append(
        f'<path d="M{left} 40 V{bottom} H{right}" fill="none" stroke="#111"/>'
        f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">'
        f"{escape(across)}</text>"
        f'<text x="{left}" y="34" text-anchor="middle">{escape(up)}</text>'
    )
    for share in (0, 0.5, 1):
        x, y = left + share * (right - left), bottom - share * (bottom - 45)
        parts.append(
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{_number(share * x_most)}</text>'
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{_number(share * y_most)}</text>'
        )
    for place, (name, values) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(
            f"{left + x / x_most * (right - left):.1f},{bottom - y / y_most * (bottom - 45):.1f}"
            for x, y in values
        )
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{right + 10}" y="{52 + 18 * place}" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _head(title: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" {_FONT}>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>'
    )


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
