"""How soon synthetic crowds that turn are noticed, by how far they turn, beside the best possible.

    python -m evaluation.crowds.turning_sizes --strength 16 --seed 1

Crowds are drawn as in `evaluation.crowds.turning`, by the total variation between the shares before
and after. `told` is what the stream tells as it is shipped (`responder.turn_evidence`). `hour` and
`day` have the threshold at which 1,000 events that are followed at once have one false turn an
hour: an event that is followed for an hour (`responder.memory_s`) has one in a thousand, one that
is followed for a day, with as many answers in it, 24. `best_hour` and `best_day` are the same
statistic with the true likelihood ratio, by one that knows the shares before and after (not when):
nobody can do much better. Thresholds are set on crowds of their own that do not turn (of all kinds
for the stream); the false ones are counted on others.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import typer
from scipy.stats import binomtest

from core.report import write_report
from core.responder_settings import ResponderSettings
from evaluation.crowds.turning import (
    ANSWERS,
    CLASSES,
    EVENTS_AN_HOUR,
    WITHIN,
    drawn,
    learnt_strength,
)
from evaluation.options import JsonFile
from models.socialalign.posterior import CrowdPosterior, CrowdStrength, Floats
from models.socialalign.turning import turn_path

SIZES: Final = ((0.3, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 1.0))
"""Total variation between the shares before and after: from, below."""
BUDGETS: Final = {"hour": 1, "day": 24}
"""False ones among `EVENTS_AN_HOUR` crowds of `ANSWERS` answers that do not turn."""
TOLD: Final = ResponderSettings().turn_evidence
DETECTORS: Final = ("told", "hour", "day", "best_hour", "best_day")
_ANY: Final = (0.0, 1.01)
_EARLIEST, _LATEST = 5, 40
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Drawn:
    """A crowd: (C,) forecast, shares before and after, its answers, the first after the turn."""

    forecast: Floats
    before: Floats
    after: Floats
    labels: list[int]
    turned: int

    @property
    def nats(self) -> float:
        """What an answer after the turn says on average for it: Kullback-Leibler, natural."""
        return float((self.after * _log_ratio(self)).sum())


def draw(strength: float, size: tuple[float, float], rng: np.random.Generator, *, turns: bool
         ) -> Drawn:  # fmt: skip
    """Draw a crowd whose shares after a turn are so far away, and answers with it or without."""
    while True:
        forecast, before = drawn(strength, rng)
        after = rng.dirichlet(np.ones(CLASSES))
        if size[0] <= np.abs(after - before).sum() / 2 < size[1]:
            break
    if not turns:
        labels = rng.choice(CLASSES, ANSWERS, p=before).tolist()
        return Drawn(forecast, before, after, labels, ANSWERS)
    turned = int(rng.integers(_EARLIEST, _LATEST))
    labels = rng.choice(CLASSES, turned, p=before).tolist()
    labels += rng.choice(CLASSES, WITHIN, p=after).tolist()
    return Drawn(forecast, before, after, labels, turned)


def watched(crowd: Drawn, known: CrowdStrength) -> Floats:
    """Return (N,) the evidence after each answer, as the stream tells it."""
    said = CrowdPosterior(crowd.forecast, known).add_all(crowd.labels)["posterior"]
    return turn_path(crowd.labels, said, CLASSES)[0]


def best(crowd: Drawn) -> Floats:
    """Return (N,) the evidence after each answer for one that knows the shares on both sides."""
    ratios, evidence, found = _log_ratio(crowd), -np.inf, []
    for label in crowd.labels:
        evidence = float(np.logaddexp(0.0, evidence)) + float(ratios[label])
        found.append(evidence)
    return np.array(found)


def _log_ratio(crowd: Drawn) -> Floats:
    return np.log(np.maximum(crowd.after, _LEAST)) - np.log(np.maximum(crowd.before, _LEAST))


def is_noticed(path: Floats, turned: int, least: float) -> bool:
    """Tell whether evidence passes a threshold first at or after the turn."""
    passed = np.flatnonzero(path >= least)
    return bool(len(passed)) and bool(passed[0] >= turned)


def threshold(paths: list[Floats], budget: float) -> float:
    """Return the evidence that `budget` of `EVENTS_AN_HOUR` crowds that do not turn pass."""
    most = np.sort([path.max() for path in paths])[::-1]
    allowed = int(len(most) * budget / EVENTS_AN_HOUR)
    return float(np.nextafter(most[allowed], np.inf))


def interval(hits: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson)."""
    found = binomtest(hits, number).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class Calm:
    """What crowds of all kinds that do not turn say of the watch.

    Attributes:
        known: What is learnt of the strength of forecasts.
        least: Detector -> its threshold.
        false: Detector -> crowds that passed it, among `number` others.
        number: Their number.
    """

    known: CrowdStrength
    least: dict[str, float]
    false: dict[str, int]
    number: int


def watch_calm(strength: float, number: int, seed: int) -> Calm:
    """Draw crowds that do not turn: some to set a threshold, as many others to count by."""
    rng = np.random.default_rng([seed, 0])
    known = learnt_strength(strength, rng)
    tuned, others = (
        [watched(draw(strength, _ANY, rng, turns=False), known) for _ in range(number)]
        for _ in range(2)
    )
    least = {"told": TOLD} | {name: threshold(tuned, of) for name, of in BUDGETS.items()}
    return Calm(known, least, {name: _passing(others, of) for name, of in least.items()}, number)


def _passing(paths: list[Floats], least: float) -> int:
    return sum(bool(path.max() >= least) for path in paths)


def measure(
    strength: float, size: tuple[float, float], events: int, calm: Calm, seed: int
) -> dict[str, float]:
    """Draw crowds of one size of turn and return what is noticed of them, by detector.

    Args:
        strength: By how many answers crowds follow their forecast.
        size: Total variation between before and after: from, below.
        events: Crowds that turn.
        calm: What crowds that do not turn say.
        seed: What they are drawn by.
    """
    rng = np.random.default_rng([seed, round(1000 * size[0])])
    crowds = [draw(strength, size, rng, turns=True) for _ in range(events)]
    watch, ideal = [watched(one, calm.known) for one in crowds], [best(one) for one in crowds]
    tuned, others = (
        [best(draw(strength, size, rng, turns=False)) for _ in range(calm.number)] for _ in range(2)
    )
    ideals = {f"best_{name}": threshold(tuned, of) for name, of in BUDGETS.items()}
    least = calm.least | ideals
    false = calm.false | {name: _passing(others, of) for name, of in ideals.items()}
    found = {"nats": float(np.median([one.nats for one in crowds]))}
    for name in DETECTORS:
        paths = ideal if name in ideals else watch
        hits = sum(
            is_noticed(path, one.turned, least[name])
            for path, one in zip(paths, crowds, strict=True)
        )
        low, high = interval(hits, events)
        found |= {f"{name}_threshold": least[name], f"{name}_recall": hits / events,
                  f"{name}_low": low, f"{name}_high": high,
                  f"{name}_false": false[name] * EVENTS_AN_HOUR / calm.number,
                  f"{name}_false_high":
                      interval(false[name], calm.number)[1] * EVENTS_AN_HOUR}  # fmt: skip
    return found


def main(
    strength: Annotated[float, typer.Option(min=0.5, help="By which crowds are drawn.")] = 16.0,
    events: Annotated[int, typer.Option(min=50, help="Crowds that turn, of each size.")] = 1_000,
    calm: Annotated[int, typer.Option(min=1_000, help="Crowds that do not.")] = 4_000,
    seed: Annotated[int, typer.Option(help="What crowds are drawn by.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Measure how many crowds that turn are noticed within twenty answers, by size of the turn."""
    figures: dict[str, float] = {}
    quiet = watch_calm(strength, calm, seed)
    for size in SIZES:
        found = measure(strength, size, events, quiet, seed)
        sys.stdout.write(f"{size[0]:g} to {size[1]:g}, {found['nats']:.2f} nats an answer\n")
        for name in DETECTORS:
            of = {key: found[f"{name}_{key}"] for key in
                  ("recall", "low", "high", "false", "false_high", "threshold")}  # fmt: skip
            sys.stdout.write(
                "  {name}: recall {recall:.3f} [{low:.3f}, {high:.3f}], false {false:.2f} (at most "
                "{false_high:.2f}), threshold {threshold:.2f}\n".format(name=name, **of)
            )
        figures |= {f"{size[0]:g}.{name}": value for name, value in found.items()}
    if json_file is not None:
        settings = {"strength": strength, "events": events, "calm": calm}
        write_report(json_file, "crowds that turn", figures, settings=settings, seed=seed)


if __name__ == "__main__":
    typer.run(main)
