"""Two pictures of a backtest as SVG: delay against false alarms, delay against the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any, Final

_COLOURS: Final = (
    "#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2", "#a16207", "#64748b",
    "#be185d", "#4d7c0f",
)  # fmt: skip
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 820, 460, 70, 560, 40, 400
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="12"'

Points = Sequence[tuple[float, float]]


def curves(title: str, across: str, up: str, series: Mapping[str, Points]) -> str:
    """Return lines on two logarithmic axes; points at or below zero are drawn at the edge."""
    points = [point for values in series.values() for point in values]
    across_range = _decades([x for x, _ in points])
    up_range = _decades([y for _, y in points])
    parts = [_head(title), *_axis(across, up, across_range, up_range)]
    for place, (name, values) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        spots = [(_x(x, across_range), _y(y, up_range)) for x, y in sorted(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        width = 3 if place == 0 else 1.5
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        parts.append(
            f'<text x="{_RIGHT + 20}" y="{_TOP + 18 * place}" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def delay_picture(report: Mapping[str, Any]) -> str:
    """Return median delay against false alarms per query and day, the judge first."""
    series: dict[str, Points] = {"groundswell": _curve(report.get("curve", []))}
    for name, rival in report.get("rivals", {}).items():
        if found := _curve(rival["curve"]):
            series[name] = found
    return curves(
        "Steps of opinion: delay against false alarms",
        "false alarms per query and day",
        "median delay, panes",
        {name: values for name, values in series.items() if values},
    )


def limit_picture(report: Mapping[str, Any]) -> str:
    """Return mean delay against the limit, one point a cell, beside the limit itself."""
    cells = [cell for cell in report["suite"]["cells"] if cell["limit_mean_panes"]]
    ours = [(cell["limit_mean_panes"], cell["delay_mean_panes"]) for cell in cells]
    limits = sorted(x for x, _ in ours)
    return curves(
        "Steps of opinion: mean delay against ln(30 days) / I",
        "limit, panes",
        "mean delay, panes",
        {
            "groundswell": ours,
            "1.5 limits + one pane": [(x, 1.5 * x + 1) for x in limits],
            "limit": [(x, x) for x in limits],
        },
    )


def _curve(rows: Sequence[Mapping[str, Any]]) -> Points:
    return [
        (row["false_per_query_and_day"], row["delay_median_panes"])
        for row in rows
        if row.get("delay_median_panes") and row["false_per_query_and_day"] is not None
    ]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    shown = [value for value in values if value > 0] or [1.0]
    low, high = log10(min(shown)), log10(max(shown))
    return (low - 0.1, high + 0.1) if high > low else (low - 0.5, high + 0.5)


def _x(value: float, limits: tuple[float, float]) -> float:
    return _LEFT + (_RIGHT - _LEFT) * _place(value, limits)


def _y(value: float, limits: tuple[float, float]) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * _place(value, limits)


def _place(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return max(0.0, (log10(value) - low) / (high - low)) if value > 0 else 0.0


def _head(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
        f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>'
    )


def _axis(
    across: str, up: str, across_range: tuple[float, float], up_range: tuple[float, float]
) -> list[str]:
    parts = [
        f'<path d="M{_LEFT} {_TOP} V{_BOTTOM} H{_RIGHT}" fill="none" stroke="#111"/>',
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 40}" text-anchor="middle">'
        f"{escape(across)}</text>",
        f'<text x="{_LEFT}" y="{_TOP - 6}">{escape(up)}</text>',
    ]
    for step in range(5):
        share = step / 4
        x, y = _LEFT + share * (_RIGHT - _LEFT), _BOTTOM - share * (_BOTTOM - _TOP)
        across_value = 10 ** (across_range[0] + share * (across_range[1] - across_range[0]))
        up_value = 10 ** (up_range[0] + share * (up_range[1] - up_range[0]))
        parts.append(
            f'<text x="{x}" y="{_BOTTOM + 16}" text-anchor="middle">{across_value:.3g}</text>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{up_value:.3g}</text>'
        )
    return parts
