"""Measure the reward, and what other parts of PopALM add, on recorded posts.

python -m evaluation.responses.popalm --data ../shared/data --json popalm.json
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError
from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED
from evaluation.options import DataFolder, JsonFile, Resamples
from evaluation.responses.generation import generation_figures, held_out_score
from evaluation.responses.rewarding import Part, reddit_figures, weibo_figures
from models.popalm.encoders import encoder_for
from models.popalm.reward import REWARD_WEIGHTS, Reward

_WIDTH: Final = 100
ANSWERS: Final = Path(".groundswell/answers")
PACKAGES: Final = ("numpy", "scipy", "openvino", "tokenizers")


def _weibo(data: Path, resamples: int) -> Mapping[str, float | None]:
    return weibo_figures(data, Reward.load(REWARD_WEIGHTS / "zh"), encoder_for("zh"), resamples)


def _reddit(data: Path, resamples: int) -> Mapping[str, float | None]:
    return reddit_figures(data, Reward.load(REWARD_WEIGHTS / "en"), encoder_for("en"), resamples)


PARTS: Final[dict[str, tuple[str, Part]]] = {
    "reward_zh": ("responses_popalm/preference_pairs_dev.jsonl.gz", _weibo),
    "reddit_scores": ("responses_reddit_scores/comments.csv.gz", _reddit),
}
"""Part -> the file that it needs and what measures it; a part whose file is missing is left out."""


def main(
    data: DataFolder,
    parts: Annotated[str, typer.Option(help="Comma-separated; else all whose data is there.")] = "",
    answers: Annotated[Path, typer.Option(help="What decoders answered, a file each.")] = ANSWERS,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Measure the reward on recorded posts, and what decoders answered, beside floors."""
    figures: dict[str, float | None] = {}
    answered = any(answers.glob("*.jsonl"))
    with refusing():
        named = chosen_parts(data, parts)
        for name in named:
            figures |= PARTS[name][1](data, resamples)
        if answered:
            judge = held_out_score(REWARD_WEIGHTS / "en-heldout")
            figures |= generation_figures(data, answers, encoder_for("en"), judge, resamples)
    notes = [f"{name}: {PARTS[name][0]} is not there" for name in PARTS if name not in named]
    if not answered:
        notes.append(f"generation: {answers} has no answers (models.popalm.training.answer)")
    show(figures)
    for note in notes:
        sys.stderr.write(f"left out: {note}\n")
    if json_file is not None:
        write_report(
            json_file, "models evaluate", figures, notes=notes, packages=PACKAGES, seed=SEED,
            settings={"parts": named, "bootstrap_resamples": resamples},
        )  # fmt: skip


def chosen_parts(data: Path, parts: str) -> list[str]:
    """Return the parts that are named, comma-separated; all whose data is there for none.

    Raises:
        ConfigError: One is unknown or its data is not there, or there is none at all.
    """
    present = [name for name, (file, _part) in PARTS.items() if (data / file).is_file()]
    named = [name.strip() for name in parts.split(",") if name.strip()] or present
    if missing := [name for name in named if name not in present]:
        needs = ", ".join(PARTS[name][0] if name in PARTS else "unknown" for name in missing)
        raise ConfigError(
            f"{data} has no {', '.join(missing)} ({needs}); parts: {', '.join(PARTS)}"
        )
    if not named:
        needs = ", ".join(file for file, _part in PARTS.values())
        raise ConfigError(f"{data} has none of {needs}")
    return list(dict.fromkeys(named))


def show(figures: Mapping[str, float | None]) -> None:
    """Write a table of figures to standard output, each beside its interval."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in figures.items():
        if value is None or name.endswith(("_low", "_high", ".low")):
            continue
        low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
        whole = "" if low is None or high is None else f"{low:.3f}…{high:.3f}"
        table.add_row(name, f"{value:.3f}" if whole else f"{value:,.0f}", whole)
    Console(file=sys.stdout, width=_WIDTH, highlight=False).print(table)


if __name__ == "__main__":
    typer.run(main)
