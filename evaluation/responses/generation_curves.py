"""Curves of trainings over their steps: what limits a model, and whether a reward is hacked.

python -m evaluation.responses.generation_curves --run sft=DIR --run curriculum=DIR --out plots
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.errors import ConfigError
from evaluation.encoder.__main__ import refusing

STEPS_FILE: Final = "steps.jsonl"
PANELS: Final[Mapping[str, str]] = {
    "loss": "nats a reply token", "validation": "nats a reply token, held out",
    "reward": "reward that is learnt from", "held_out": "held-out reward",
    "kl": "divergence from SFT, nats a reply", "words": "words a reply",
    "distinct": "share of distinct replies", "copied": "share of copies of the post",
    "accepted": "share of replies learnt from",
}  # fmt: skip
"""Figure of a step -> what its axis says."""
_COLUMNS: Final = 3


def read_run(folder: Path) -> Sequence[Mapping[str, float]]:
    """Return the records of a training's steps.

    Raises:
        ConfigError: It has left none, or they are not what they should be.
    """
    file = folder / STEPS_FILE
    try:
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        if not rows or not all(isinstance(row["step"], int) for row in rows):
            raise ConfigError(f"{file}: expected a step on each line")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no records of steps ({error})") from error
    return rows


def drawn_panels(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Return the figures that some run has, in the order of `PANELS`."""
    return [name for name in PANELS if any(name in row for rows in runs.values() for row in rows)]


def draw(runs: Mapping[str, Sequence[Mapping[str, float]]], file: Path) -> None:
    """Draw a panel for each figure, a line in it for each run that has it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = drawn_panels(runs)
    rows = -(-len(panels) // _COLUMNS)
    size = (4 * _COLUMNS, 2.6 * rows)
    figure, grid = pyplot.subplots(rows, _COLUMNS, figsize=size, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(panels):
            _panel(axes, panels[place], runs)
        else:
            axes.set_axis_off()
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without the date, so that the same curves are the same file.
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _panel(axes: Any, name: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    for label, steps in runs.items():
        known = [(row["step"], row[name]) for row in steps if name in row]
        if known:
            axes.plot(*zip(*known, strict=True), marker=".", linewidth=1, label=label)
    axes.set_title(PANELS[name], fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.legend(fontsize=7)


def main(
    run: Annotated[list[str], typer.Option(help="NAME=FOLDER of a training.")],
    out: Annotated[Path, typer.Option(help="The picture to write, as SVG.")],
) -> None:
    """Draw the records of trainings."""
    with refusing():
        parts = {name: folder for name, _, folder in (one.partition("=") for one in run)}
        draw({name: read_run(Path(folder)) for name, folder in parts.items()}, out)


if __name__ == "__main__":
    typer.run(main)
