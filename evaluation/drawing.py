"""Pictures of figures as SVG: bars with their spread, lines, reliability, and confusion.

A picture is drawn when it is written, so that only who asks for one needs matplotlib. The same
figures make the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from models.metrics import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = (
    "#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626", "#0891b2", "#a16207", "#64748b",
    "#be185d", "#4d7c0f",
)  # fmt: skip
_STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "groundswell", "svg.fonttype": "none", "font.size": 9.0,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
_DARK: Final = 0.5
"""From this shade on, text on a cell is white."""

Points = Sequence[tuple[float, float]]
Bar = tuple[str, float, float, float]
"""label, median, least, most"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is not drawn yet.

    Attributes:
        title: What stands above it.
        size: Its width and height in inches.
        paint: Paints it onto axes.
    """

    title: str
    size: tuple[float, float]
    paint: Callable[[Axes], None]

    def svg(self) -> str:
        """Draw it.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        check_can_draw()
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        written = StringIO()
        with rc_context(_STYLE):
            figure = Figure(self.size, layout="constrained")
            axes = figure.add_subplot()
            axes.set_title(self.title, loc="left", fontweight="bold")
            self.paint(axes)
            # Without a date and a program's version, or no two runs would be alike.
            figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
        drawn = written.getvalue()
        return drawn[drawn.index("<svg") :]

    def write(self, path: Path) -> None:
        """Draw it into a file, and make the folder if it is not there.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        drawn = self.svg()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, encoding="utf-8")


def check_can_draw() -> None:
    """Refuse to draw where matplotlib is missing; called before anything long is measured.

    Raises:
        ConfigError: It says how to get it.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "drawing needs matplotlib, which is not in this environment: `make setup-dev` installs "
            "it into .venv and .venv-server; elsewhere, `uv pip install --python PYTHON matplotlib`"
        )


def bars(title: str, unit: str, rows: Sequence[Bar]) -> Picture:
    """Return horizontal bars from zero, each with a line from its least to its most."""

    def paint(axes: Axes) -> None:
        values = [median for _, median, _, _ in rows]
        spans = [
            [max(0.0, value - least) for (_, value, least, _) in rows],
            [max(0.0, most - value) for (_, value, _, most) in rows],
        ]
        drawn = axes.barh([label for label, *_ in rows], values, color=_COLOURS[0], alpha=0.85)
        axes.errorbar(values, range(len(rows)), xerr=spans, fmt="none", ecolor="#111")
        axes.bar_label(drawn, [f"{_number(value)} {unit}" for value in values], padding=8)
        axes.invert_yaxis()
        axes.margins(x=0.2)

    return Picture(title, (6.8, 0.6 + 0.4 * len(rows)), paint)


def lines(
    title: str, across: str, up: str, series: Mapping[str, Points], *, is_log: bool = False
) -> Picture:
    """Return lines over a common axis, from zero on, or on two logarithmic axes.

    On logarithmic axes points at or below zero stand at the edge.
    """

    def paint(axes: Axes) -> None:
        edges = [_least(series, 0), _least(series, 1)] if is_log else [-np.inf, -np.inf]
        for place, (name, values) in enumerate(series.items()):
            points = np.array(sorted(values), dtype=np.float64).reshape(-1, 2)
            points = np.maximum(points, edges)
            axes.plot(
                points[:, 0], points[:, 1], marker="o" if is_log else "", markersize=4, label=name,
                color=_COLOURS[place % len(_COLOURS)], gid=f"series-{place}",
            )  # fmt: skip
        axes.set(xlabel=across, ylabel=up)
        if is_log:
            axes.set(xscale="log", yscale="log")
        else:
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
        if series:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    return Picture(title, (8.2, 4.2), paint)


def scatter(title: str, across: str, up: str, points: Mapping[str, tuple[float, float]]) -> Picture:
    """Return named points over two axes, the first from zero on."""

    def paint(axes: Axes) -> None:
        for place, (name, (x, y)) in enumerate(points.items()):
            axes.scatter([x], [y], color=_COLOURS[place % len(_COLOURS)], gid=f"point-{place}")
            axes.annotate(name, (x, y), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel=across, ylabel=up)
        axes.set_xlim(left=0)
        axes.margins(0.2)

    return Picture(title, (8.2, 4.2), paint)


def reliability_diagram(title: str, series: Mapping[str, Sequence[ReliabilityBin]]) -> Picture:
    """Return claimed probability across, observed share up, one line a classifier.

    Who is honest is on the diagonal; the area of a point goes with the posts in its bin.
    """

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#999", linestyle="--")
        for place, (name, bins) in enumerate(series.items()):
            claimed, held = [one.claimed for one in bins], [one.held for one in bins]
            most = max((one.posts for one in bins), default=1)
            areas = [10 + 60 * one.posts / most for one in bins]
            colour = _COLOURS[place % len(_COLOURS)]
            axes.plot(claimed, held, color=colour, label=name, gid=f"series-{place}")
            axes.scatter(claimed, held, areas, color=colour, alpha=0.8)
        axes.set(
            xlabel="claimed probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1),
            aspect="equal",
        )  # fmt: skip
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

    return Picture(title, (5.2, 3.8), paint)


def confusion_matrix(title: str, table: NDArray[np.integer[Any]], labels: Sequence[str]) -> Picture:
    """Return true class down, predicted class across; the shade is the share of the true class."""

    def paint(axes: Axes) -> None:
        shares = table / np.maximum(1, table.sum(1, keepdims=True))
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="#ddd")
        for (i, j), share in np.ndenumerate(shares):
            colour = "#fff" if share > _DARK else "#111"
            text = f"{int(table[i, j]):,}"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=colour)
        middles = np.arange(len(labels)) + 0.5
        axes.set_xticks(middles, labels, rotation=45, ha="left")
        axes.set_yticks(middles, labels)
        axes.xaxis.tick_top()
        axes.invert_yaxis()

    side = 2.0 + 0.6 * len(labels)
    return Picture(title, (side, side), paint)


def _least(series: Mapping[str, Points], axis: int) -> float:
    """Return the least value of an axis that has a logarithm."""
    return min(
        (point[axis] for values in series.values() for point in values if point[axis] > 0),
        default=1.0,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
