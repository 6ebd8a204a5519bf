"""Judges closed windows: which queries shift, in what way, and how sure that is. Pure.

The contract that the closer calls:

- `judge_many(windows, context)` takes the windows that were published together, of any queries and
  panes, corrections too, and returns what is to be said; `judge` is the same for one window.
- The state of a query is `state_bytes(query)`, bounded, and `restore(query, state)` brings it back.
  Save the states of the queries of a call together with what was said, before the next call: after
  a crash the same windows on the same state say the same, under the same alert ids.
- Judging a (query, start, revision) again, or an older revision, changes nothing and says nothing.
- `judge_quiet(start_s, context)` tells that a pane closed: queries without a window had no post.
- No clock, no I/O, no randomness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.schemas import Window
from core.settings import ShiftSettings
from stream.shifts.signals import JudgeContext, ShiftSignal


class ShiftJudge:
    """Judges the windows of any number of queries.

    Args:
        settings: thresholds and gates.
        pane_s: length of a pane.
    """

    def __init__(self, settings: ShiftSettings | None = None, pane_s: int = 60) -> None:
        self._settings = settings or ShiftSettings()
        self._pane_s = pane_s

    def judge(self, window: Window, context: JudgeContext) -> list[ShiftSignal]:
        """Judge one window; see `judge_many`."""
        return self.judge_many([window], context)

    def judge_many(self, windows: Sequence[Window], context: JudgeContext) -> list[ShiftSignal]:
        """Judge windows in the order of their panes and return what is to be said, by query.

        Windows may come in any order and again. A correction of one of the last
        `settings.correction_panes` panes of its query is judged as if it had been known at the
        time; an older one is counted in `too_old` and changes nothing.
        """
        raise NotImplementedError

    def judge_quiet(self, start_s: int, context: JudgeContext) -> list[ShiftSignal]:
        """Judge the pane that starts at `start_s` for every query that had no window in it."""
        raise NotImplementedError

    def queries(self) -> Iterable[str]:
        """Return the queries that have a state."""
        raise NotImplementedError

    def state_bytes(self, query: str) -> bytes:
        """Return the state of a query, at most `MAX_STATE_BYTES`; b"" if it has none."""
        raise NotImplementedError

    def restore(self, query: str, state: bytes) -> bool:
        """Bring back a state of `state_bytes`.

        Returns:
            False if it is of another version or other settings of its shape: the query then
            starts anew.
        """
        raise NotImplementedError

    def forget(self, query: str) -> None:
        """Drop the state of a query that is no longer watched."""
        raise NotImplementedError
