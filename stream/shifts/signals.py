"""What a judge is told beside the windows, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.schemas import Contribution, Interval

State = Literal["firing", "resolved"]
Direction = Literal["up", "down"]
EndedAs = Literal["", "over", "accepted", "corrected", "reset"]


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What else is known when panes close; the same for every query of a call.

    A pane that was judged under one context keeps it, also when it is corrected later.

    Attributes:
        queries: queries watched at present; more of them ask for more evidence from each.
        healthy: False while ingest or the workers are in trouble: nothing is learnt or said.
        missing_sources: sources that fell silent; the same, because the rest is another crowd.
        model_version: which model scored the pane; "" if unknown. Another one than before makes
            the sentiment baselines start again.
    """

    queries: int = 1
    healthy: bool = True
    missing_sources: frozenset[str] = frozenset()
    model_version: str = ""

    @property
    def silent(self) -> bool:
        """Tell whether panes say nothing about the public at present."""
        return not self.healthy or bool(self.missing_sources)


@dataclass(frozen=True, slots=True)
class ShiftSignal:
    """A shift that begins, grows or ends. Times in whole seconds since 1970, event time.

    Attributes:
        alert_id: the same from the first firing to the resolution.
        started_s: start of the first pane of the change.
        fired_s: end of the pane that made it certain.
        decided_s: end of the pane that this signal comes from.
        ended_s: `decided_s` if resolved, else -1.
        evidence, threshold: log-likelihood ratio in nats, and what it had to pass.
        before, after: mean sentiment; posts a pane; share of repeated posts.
        change: difference of the two, for volume their ratio.
        mix, opinion: the parts of the change of the mean; they add up to it, and so do `strata`.
        posts: posts since `started_s`.
        copies: for brigading, True if copies of texts gave it away rather than few authors.
    """

    alert_id: str
    query: str
    kind: str
    state: State
    direction: Direction
    severity: int
    started_s: int
    fired_s: int
    decided_s: int
    evidence: float
    threshold: float
    before: Interval
    after: Interval
    change: Interval
    ended_s: int = -1
    ended_as: EndedAs = ""
    mix: float = 0.0
    opinion: float = 0.0
    posts: int = 0
    copies: bool = False
    strata: tuple[Contribution, ...] = field(default=())
