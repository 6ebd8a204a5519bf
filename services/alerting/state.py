"""What is saved beside the states of queries, and what is needed of a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from core.schemas import Window
from services.alerting.context import Remembered
from stream.shifts.rules import AlertRules
from stream.shifts.signals import JudgeContext, ShiftSignal

MAX_TIME_S: Final = 253_402_300_800
"""The year 10000: no pane starts later."""


class Judge(Protocol):
    """What is needed of `stream.shifts.judge.ShiftJudge`; its module has the contract."""

    def follow(self, rules: Mapping[str, AlertRules]) -> None:
        """Judge by the rules of queries from the next pane on."""
        ...

    def judge_groups(
        self, groups: Sequence[tuple[Sequence[Window], JudgeContext]]
    ) -> list[ShiftSignal]:
        """Judge windows under their contexts; say nothing of what was judged before."""
        ...

    def judge_quiet(self, start_s: int, context: JudgeContext) -> list[ShiftSignal]:
        """Judge a pane for the queries without a window in it."""
        ...

    def queries(self) -> Iterable[str]:
        """Return the queries that have a state."""
        ...

    def state_bytes(self, query: str) -> bytes:
        """Return the state of a query."""
        ...

    def restore(self, query: str, state: bytes) -> bool:
        """Bring a state back; False if it cannot be used."""
        ...

    def forget(self, query: str) -> None:
        """Drop the state of a query."""
        ...


class PaneContext(msgspec.Struct, frozen=True, array_like=True):
    """A `JudgeContext` as it is stored."""

    start_s: int
    queries: int
    healthy: bool
    missing_sources: tuple[str, ...]
    model_version: str

    @classmethod
    def of(cls, start_s: int, context: JudgeContext) -> PaneContext:
        """Return the form that is stored."""
        missing = tuple(sorted(context.missing_sources))
        return cls(start_s, context.queries, context.healthy, missing, context.model_version)

    def context(self) -> JudgeContext:
        """Return what the judge takes."""
        missing = frozenset(self.missing_sources)
        return JudgeContext(self.queries, self.healthy, missing, self.model_version)


class JudgingState(msgspec.Struct):
    """What is saved beside the states of queries; bounded.

    Attributes:
        judged_s: panes that start before this were judged, also for queries without a window.
        begun_s: start of the first pane that counts.
        every: each query was saved in the last so many panes.
        contexts: of the last panes, which may have to be judged again.
        remembered: circumstances.
    """

    judged_s: int = -1
    begun_s: int = -1
    every: int = 1
    contexts: list[PaneContext] = msgspec.field(default_factory=list[PaneContext])
    remembered: Remembered = msgspec.field(default_factory=Remembered)

    def packed(self) -> bytes:
        """Return the form that the store keeps."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def unpacked(cls, stored: bytes) -> JudgingState:
        """Return what `packed` made bytes of; b"" is the beginning.

        Raises:
            ValueError: `packed` never made such bytes.
        """
        try:
            known = msgspec.msgpack.decode(stored, type=JudgingState) if stored else cls()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if known.every < 1 or known.judged_s < -1 or known.judged_s > MAX_TIME_S:
            raise ValueError(f"judged_s {known.judged_s}, every {known.every}")
        return known
