"""What a kind of shift is: how a pane counts for it, when that is an alert, and how it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from core.errors import ConfigError
from core.schemas import Contribution
from core.settings import ShiftSettings
from stream.shifts import cusum
from stream.shifts.alerts import AlertCandidate
from stream.shifts.columns import Flags, Floats, Ints, Records, Rows
from stream.shifts.gates import Gate
from stream.shifts.layout import AlertSlots, CoreHead, PaneCounts, chart_type
from stream.shifts.signals import Direction, ShiftSignal

E = TypeVar("E")

HOLD_SCORE: Final = 4.0
"""A shift is suspected from this evidence on: what comes is not learnt until that has passed."""
_HOLD_S: Final = 86_400
DOUBTS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CrowdMinute:
    """What is posted in a minute, for an example of a kind.

    Attributes:
        strata: stratum -> (posts, mean sentiment).
        authors: Unique authors; None means as many as posts.
        copies: Posts that copy another; None means that nobody counts them.
    """

    strata: Mapping[str, tuple[int, float]]
    authors: int | None = None
    copies: int | None = None


USUAL: Final = CrowdMinute({"s|en|a": (30, 0.2), "s|en|b": (20, -0.3)}, authors=48, copies=1)
"""The minute that examples begin from."""


@dataclass(slots=True, eq=False)
class JudgedPane:
    """One pane of each query, beside what was expected of it.

    Attributes:
        core: (Q,) The states, changed in place.
        pane: (Q,) What was counted.
        feats: (Q, F) The seasonal features of the pane.
        settings: The thresholds and gates.
        pane_s: The length of a pane.
        kinds: The kinds that are judged, by their slot.
        heard: (Q,) The rows that are learnt.
        known: (Q,) The rows that are judged: known for long enough.
        sums: (Q, len(SUMS)) What the pane adds to the sums of charts.
        strata: (Q, 3, S) What it adds to them by stratum.
        expected: What was expected, by the name of the kind whose baseline it is.
        asked: (Q, kinds) The thresholds of the queries' own rules in nats, not a number where
            the settings' holds; None if no query has rules.
    """

    core: Rows
    pane: Rows
    feats: Floats
    settings: ShiftSettings
    pane_s: int
    kinds: tuple[ShiftKind[Any], ...]
    heard: Flags
    known: Flags
    sums: Floats
    strata: NDArray[np.float32] | None = None
    expected: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: Floats | None = None

    @property
    def head(self) -> CoreHead:
        """What is remembered of any query."""
        return CoreHead(self.core)

    @property
    def alerts(self) -> AlertSlots:
        """The alerts of the queries."""
        return AlertSlots(self.core)

    @property
    def counts(self) -> PaneCounts:
        """What was counted."""
        return PaneCounts(self.pane)

    @property
    def starts(self) -> Ints:
        """(Q,) The start of the pane, in seconds since 1970."""
        return self.counts.start

    @property
    def ends(self) -> Ints:
        """(Q,) The end of the pane, in seconds since 1970."""
        return self.starts + self.pane_s

    @property
    def keep(self) -> float:
        """What is left of an old weight after a pane."""
        return float(0.5 ** (self.pane_s / self.settings.half_life_s))

    def of(self, kind: ShiftKind[E]) -> E:
        """Return what a kind expected of the pane."""
        return cast("E", self.expected[kind.baseline_of])

    def fires(self, kind: ShiftKind[Any]) -> Flags:
        """Return the rows in which a kind fires."""
        return self.alerts.firing[:, kind.slot] > 0

    def keeps_from_learning_the_mean(self) -> Flags:
        """Return the rows in which a kind fires that keeps sentiment from being learnt."""
        slots = [kind.slot for kind in self.kinds if kind.holds_mean]
        return np.any(self.alerts.firing[:, slots], axis=1)

    def held(self, since: Ints, firing: Flags, score: Floats) -> Flags:
        """Return rows whose pane is held back: an alert fires, or one is suspected for a day.

        What is suspected for a day and raises no alert is how things are.
        """
        long = (since >= 0) & (self.starts - since >= _HOLD_S)
        return self.heard & (firing | ((score > HOLD_SCORE) & ~long))


class ShiftKind(ABC, Generic[E]):
    """A kind of shift; a subclass per file, and its only instance in `KIND`.

    Attributes:
        name: As alerts have it.
        noun: What shifts, as people say it.
        designs: (K,) The shifts that the CUSUMs of its chart are made for.
        gates: What a score above its threshold must also pass, by the name it is counted under.
        scale: The effect of an alert of severity five.
        planted: A minute of such a shift, to be found after minutes of `USUAL`.
        chart_name: The name of its chart in a stored state; its own name if it has no other.
        baseline_of: The kind whose baseline it is compared with; itself if it names no other.
        has_strata: Its chart has sums of every stratum.
        memory: What it remembers in the state of a query, beside its chart.
        setting: Its own field of `core.settings.ShiftSettings`; "" if its threshold is one of
            `shifts.further_thresholds`.
        default_threshold: The threshold (nats) of a kind without a setting of its own.
        directions: What its two sides are called.
        is_ratio: Its change is the logarithm of a ratio.
        of_sentiment: It rests on scores of a model, and begins anew with another one.
        holds_mean: While it fires, sentiment is not learnt.
        budget: Its share of the false alarms for which thresholds are tuned, against other kinds.
        least_threshold: Tuning goes no lower (nats).
        slot: Its place in the table of kinds.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    designs: ClassVar[tuple[float, ...]]
    gates: ClassVar[Mapping[str, Gate]]
    scale: ClassVar[float]
    planted: ClassVar[CrowdMinute]
    chart_name: ClassVar[str]
    baseline_of: ClassVar[str]
    has_strata: ClassVar[bool] = False
    memory: ClassVar[type[Records] | None] = None
    setting: ClassVar[str] = ""
    default_threshold: ClassVar[float] = 12.0
    directions: ClassVar[tuple[Direction, Direction]] = ("up", "down")
    is_ratio: ClassVar[bool] = False
    of_sentiment: ClassVar[bool] = False
    holds_mean: ClassVar[bool] = False
    budget: ClassVar[float] = 0.05
    least_threshold: ClassVar[float] = 7.0
    slot: int = -1

    def __init_subclass__(cls) -> None:
        """Give a kind its own name for what it names no other for."""
        if "name" in vars(cls):
            cls.chart_name = getattr(cls, "chart_name", cls.name)
            cls.baseline_of = getattr(cls, "baseline_of", cls.name)

    @classmethod
    def chart_type(cls) -> Any:
        """Return the type of its chart in a record."""
        return chart_type(len(cls.designs), strata=cls.has_strata)

    def threshold(self, settings: ShiftSettings) -> float:
        """Return the evidence (nats) that it needs."""
        if self.setting:
            return getattr(settings, self.setting)
        return further_thresholds(settings.further_thresholds).get(
            self.name, self.default_threshold
        )

    def with_threshold(self, settings: ShiftSettings, threshold: float) -> ShiftSettings:
        """Return settings with another threshold of this kind."""
        if self.setting:
            return replace(settings, **{self.setting: threshold})
        further = further_thresholds(settings.further_thresholds) | {self.name: threshold}
        text = ",".join(f"{name}={value:g}" for name, value in further.items())
        return replace(settings, further_thresholds=text)

    def meet(self, core: Rows, pane: Rows, new: Flags) -> None:
        """Begin with the queries of `new`, of which this is the first pane."""

    @abstractmethod
    def expect(self, core: Rows, pane: Rows, feats: Floats) -> E:
        """Return what was expected of a pane, beside what came."""

    def add_sums(self, at: JudgedPane) -> None:
        """Add to the sums of the pane what charts of several kinds may need; nothing at first."""

    @abstractmethod
    def chart(self, at: JudgedPane) -> None:
        """Move its chart one pane on."""

    def step(self, at: JudgedPane, reading: cusum.Reading, sums: Floats) -> None:
        """Move its chart on by a reading: two-sided CUSUMs of its designs."""
        strata = at.strata if self.has_strata else None
        cusum.step(at.core[self.chart_name], reading, self.designs, at.starts, sums, strata)

    def needed(self, at: JudgedPane) -> Floats:
        """Return (Q,) the evidence that it needs, in nats."""
        threshold = self.threshold(at.settings)
        if at.asked is None:
            return threshold + at.counts.extra
        own = at.asked[:, self.slot]
        return np.where(np.isnan(own), threshold, own) + at.counts.extra

    def may_fire(self, at: JudgedPane) -> Flags:
        """Return the rows in which it may fire."""
        return at.known

    @abstractmethod
    def effect(self, sums: Floats) -> Floats:
        """Return (..., K, 2) the effect since onset, from the sums of its chart."""

    @abstractmethod
    def figures(self, found: AlertCandidate, at: JudgedPane) -> Floats:
        """Return (Q, len(FIGURES)) what is said of a shift."""

    @abstractmethod
    def gone(self, at: JudgedPane) -> tuple[Floats, Flags]:
        """Return (Q,) the evidence that a shift is over, and the rows that have any."""

    def ended(self, at: JudgedPane, over: Flags, accepted: Flags) -> None:
        """Learn or drop what was held back, where a shift is over or its level accepted."""

    def learn(self, at: JudgedPane) -> None:
        """Learn the pane; nothing for a kind that remembers nothing."""

    def refit(self, core: Rows, age_s: Ints) -> None:
        """Fit what was learnt again; `age_s` is how long each query was known."""

    def forget(self, core: Rows, rows: Flags) -> None:
        """Forget what scores of another model taught."""

    def now(
        self, names: Mapping[str, int], core: Rows, decided_s: int
    ) -> tuple[Floats, tuple[Contribution, ...]]:
        """Return the figures and strata of a shift that fires, of a state (1,)."""
        return AlertSlots(core).figures[0, self.slot], ()

    @abstractmethod
    def sentence(self, signal: ShiftSignal) -> str:
        """Return what happened, in one or two plain sentences."""


@cache
def further_thresholds(text: str) -> dict[str, float]:
    """Return kind -> threshold of a text such as `surprise=12.5,other=9`.

    Raises:
        ConfigError: The text has another form.

    Example:
        >>> further_thresholds("surprise=12.5")
        {'surprise': 12.5}
    """
    found: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = (one.strip() for one in part.partition("="))
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = float("nan")
        if not (isfinite(found[name]) and found[name] > 0):
            raise ConfigError(
                f"shifts.further_thresholds = {text!r}: {part!r} is wrong, expected kind=number "
                "above 0, comma between them"
            )
    return found
