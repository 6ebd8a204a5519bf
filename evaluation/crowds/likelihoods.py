"""What adapters say of real replies, given who wrote them, and given that somebody else did.

Adapters are trained and read where torch is (`models.socialalign.training.pac`) and leave files;
nothing here needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError
from evaluation.encoder.bootstrap import RESAMPLES, Measured, bootstrap

Floats = NDArray[np.float64]
PLAIN: Final = "plain"
_WIDTH: Final = 80
_COLUMNS: Final = ("own", "swapped")


@dataclass(frozen=True, slots=True)
class SaidOfReplies:
    """What the adapters of one variant say of N replies, on average over S seeds.

    Attributes:
        own: (N,) log-likelihoods in nats, given the author's own person.
        swapped: (N,) those given another person.
        tokens: (N,) tokens of the replies.
        weights: How many numbers were trained.
        spent_s: Seconds of training, on average.
        seeds: The seeds, in order.
    """

    own: Floats
    swapped: Floats
    tokens: Floats
    weights: int
    spent_s: float
    seeds: tuple[int, ...]


class SaidFile(msgspec.Struct, frozen=True):
    """A file that one training left; what else it holds is for people."""

    variant: str
    seed: int
    weights: int
    spent_s: float
    own: list[float]
    swapped: list[float]
    tokens: list[Annotated[int, msgspec.Meta(ge=1)]]


def read_likelihoods(folder: Path) -> dict[str, SaidOfReplies]:
    """Return what each variant says.

    Raises:
        ConfigError: There is no file, one is not what it should be, or they are of different
            replies.
    """
    found: dict[str, list[SaidFile]] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            one = msgspec.json.decode(file.read_bytes(), type=SaidFile)
            if not len(one.own) == len(one.swapped) == len(one.tokens):
                raise ValueError("own, swapped and tokens are not of one length")
            if not one.tokens:
                raise ValueError("there is no reply")
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: no likelihoods of replies ({error})") from error
        found.setdefault(one.variant, []).append(one)
    if not found:
        raise ConfigError(f"{folder} has no file of likelihoods: models.socialalign.training.pac")
    if len({tuple(one.tokens) for rows in found.values() for one in rows}) > 1:
        raise ConfigError(f"{folder}: its files are of different replies")
    return {name: _said(rows) for name, rows in found.items()}


def _said(rows: Sequence[SaidFile]) -> SaidOfReplies:
    own, swapped = (np.mean([getattr(one, name) for one in rows], axis=0) for name in _COLUMNS)
    return SaidOfReplies(
        own, swapped, np.array(rows[0].tokens, np.float64), rows[0].weights,
        float(np.mean([one.spent_s for one in rows])), tuple(sorted(one.seed for one in rows)),
    )  # fmt: skip


def judge_likelihoods(
    said: Mapping[str, SaidOfReplies], resamples: int = RESAMPLES
) -> dict[str, Measured]:
    """Return `VARIANT.log_likelihood` and its like in nats a token, intervals over replies.

    `swap_cost` is what another person in place of the author takes away; `over_plain` is what a
    variant has more than plain LoRA on the same replies.
    """
    many = next(iter(said.values())).tokens

    def measure(rows: NDArray[np.integer[Any]]) -> dict[str, float]:
        tokens = many[rows].sum()
        found: dict[str, float] = {}
        for name, one in said.items():
            found[f"{name}.log_likelihood"] = float(one.own[rows].sum() / tokens)
            lost = one.own[rows] - one.swapped[rows]
            found[f"{name}.swap_cost"] = float(lost.sum() / tokens)
            if name != PLAIN and PLAIN in said:
                more = one.own[rows] - said[PLAIN].own[rows]
                found[f"{name}.over_plain"] = float(more.sum() / tokens)
        return found

    return bootstrap(measure, len(many), resamples)


def print_likelihoods(said: Mapping[str, SaidOfReplies], found: Mapping[str, Measured]) -> None:
    """Write the table of adapters to standard output."""
    one = next(iter(said.values()))
    table = Table(
        title=f"Real replies of known persons: {len(one.tokens)}, nats a token, higher is better",
        caption=f"another: what is lost when another one stands in the author's place; "
        f"seeds {', '.join(map(str, one.seeds))}",
        box=SIMPLE_HEAD, padding=(0, 1), title_justify="left", caption_justify="left",
    )  # fmt: skip
    for name in ("adapter", "weights", "training", "own person", "another", "over plain"):
        justify: Literal["left", "right"] = "left" if name == "adapter" else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for name, said_of in said.items():
        cells = [
            f"{own.value:.3f}\n{own.low:.3f}…{own.high:.3f}" if own is not None else ""
            for own in (
                found.get(f"{name}.{one}") for one in ("log_likelihood", "swap_cost", "over_plain")
            )
        ]
        taken = f"{said_of.spent_s:.0f} s"
        table.add_row(name, f"{said_of.weights / 1e6:.2f} M", taken, *cells)
    Console(file=sys.stdout, width=_WIDTH, highlight=False).print(table)
