"""The demo: a fresh stack, a live view, an orderly end, and books that must balance."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from core.errors import GroundswellError, TransientError
from core.settings import Settings
from services.local.accounting import Accounting, take_stock, unread_records
from services.local.collector import Collector, SnapshotMaker
from services.local.forecast_tally import ForecastTally, tally_forecasts
from services.local.live_view import Screen, save_picture
from services.local.machine import CpuMeter
from services.local.options import MOST_UNCOUNTED, StackOptions
from services.local.paths import read_link
from services.local.session import Session
from services.local.snapshot import PartLine, Snapshot
from services.local.stack import HEARTBEAT, INGEST, Stack, plan_stack
from services.local.summary import RunSummary, stop_counting
from services.local.supervisor import PartState
from services.windows_view import WindowsView, snapshot_now

_TICK_S = 0.1
_DRAIN_TIMEOUT_S = 180.0
_CLOSE_TIMEOUT_S = 60.0
_ASK_BOOKS_EVERY_S = 1.0
_WINDOWS_SHOWN = 24  # as long as the longest sparkline
# Short panes, so that windows move while somebody watches; the environment may say otherwise.
DEMO_SETTINGS: Mapping[str, str] = {
    "GROUNDSWELL__WINDOWS__PANE_S": "10",
    "GROUNDSWELL__WINDOWS__ALLOWED_LATENESS_S": "5",
    "GROUNDSWELL__WINDOWS__IDLE_AFTER_S": "5",
}


Turn = Callable[[], Snapshot]
"""Looks after the stack and draws, for one tick; returns what it drew."""


class _Killed(GroundswellError):
    """The person has had enough: a second signal."""


@dataclass(slots=True)
class _Words:
    """The supervisor's messages: printed before and after the view, its last line during it."""

    console: Console
    is_viewing: bool = False
    last: str = ""

    def say(self, text: str) -> None:
        self.last = text
        if not (self.is_viewing and self.console.is_terminal):
            self.console.print(text, markup=False, highlight=False)


class Demo:
    """One demo from an empty stack to its summary. Use once, from the main thread."""

    def __init__(
        self,
        options: StackOptions,
        settings_of: Callable[[Mapping[str, str]], Settings],
        console: Console,
        duration_s: float | None = None,
        plan: Callable[[StackOptions], Stack] = plan_stack,
        picture: Path | None = None,
        most_uncounted: float = MOST_UNCOUNTED,
    ) -> None:
        """Only remember.

        Args:
            options: Of the stack; `fresh` is taken for granted.
            settings_of: The settings that a process with these variables has.
            console: Where to draw.
            duration_s: When to end by itself; None ends with the source, or when asked to.
            plan: Lays out the parts.
            most_uncounted: The largest share of posts not counted that is a success.
            picture: Where to save the view of the last moment of streaming, as SVG.
        """
        self._options = options
        self._settings_of = settings_of
        self._console = console
        self._duration_s = duration_s
        self._plan = plan
        self._picture = picture
        self._most_uncounted = most_uncounted
        self._words = _Words(console)
        self._meter = CpuMeter()

    def run(self) -> RunSummary:
        """Start, stream, end, and return the summary.

        Raises:
            GroundswellError: The stack could not be brought up, or was killed.
            StopRequested: It was asked to stop before it was up.
        """
        with Session(self._options, say=self._words.say, plan=self._plan) as session:
            session.bring_up()
            if link := self._link():
                self._words.say(f"the console, open it once: {link}")
            self._meter.begin(self._pids(session))
            began_s = time.monotonic()
            maker = SnapshotMaker(self._describe(), began_s)
            with self._looking(session, maker) as turn:
                shown = turn()
                while not self._is_over(session, began_s):
                    shown = turn()
                if self._picture is not None:
                    save_picture(shown, self._picture)
                streamed_s = self._drain(session, turn, began_s)
                cores = self._meter.cores(self._pids(session))
                self._await_windows(turn)
            restarts = {part.server.name: part.restarts for part in session.supervisor.parts}
            trouble = stop_counting(session.supervisor)
            books = self._books(self._settings(session))
            forecasts = self._forecasts(self._settings(session))
        p50_s, p95_s = maker.latencies()
        return RunSummary(
            books, streamed_s, p50_s, p95_s, cores, restarts, trouble, self._most_uncounted,
            forecasts=forecasts,
        )  # fmt: skip

    def _settings(self, session: Session) -> Settings:
        """Return where things are now: a part that lost its port is elsewhere since."""
        return self._settings_of(session.stack.environment)

    def _link(self) -> str:
        return read_link(self._options.paths)

    def _describe(self) -> str:
        workers = f"{self._options.workers} worker{'s' if self._options.workers > 1 else ''}"
        return f"{self._options.source} → kafka → {workers} → {self._options.scorer}"

    def _pids(self, session: Session) -> dict[str, int]:
        return {
            part.server.name: part.server.pid
            for part in session.supervisor.parts
            if part.server.is_running
        }

    def _metrics_ports(self, session: Session) -> list[int]:
        servers = [part.server for part in session.supervisor.parts]
        return [port for server in servers if (port := server.ports.get("metrics"))]

    @contextmanager
    def _looking(self, session: Session, maker: SnapshotMaker) -> Iterator[Turn]:
        """Show the view; gives the function that keeps it going."""
        supervisor = session.supervisor
        ports = self._metrics_ports(session)

        def windows() -> WindowsView:
            return snapshot_now(self._settings(session), last=_WINDOWS_SHOWN)

        def parts() -> list[PartLine]:
            return [PartLine(p.server.name, p.state, p.restarts) for p in supervisor.parts]

        collector = Collector(maker, ports, windows, parts, lambda: self._words.last, self._link)

        def turn() -> Snapshot:
            if session.signals_seen > 1:
                raise _Killed("killed by a second signal")
            supervisor.check()
            ports[:] = self._metrics_ports(session)
            screen.show(collector.latest)
            time.sleep(_TICK_S)
            return collector.latest

        try:
            with Screen(self._console) as screen:
                self._words.is_viewing = True
                yield turn
        finally:
            self._words.is_viewing = False
            collector.close()

    def _is_over(self, session: Session, began_s: float) -> bool:
        if session.signals_seen or self._source_has_ended(session):
            return True
        return self._duration_s is not None and time.monotonic() - began_s >= self._duration_s

    def _source_has_ended(self, session: Session) -> bool:
        """Tell whether there is a source and it has ended; without one none can."""
        sources = [part for part in session.supervisor.parts if part.server.name == INGEST]
        return bool(sources) and all(part.state is PartState.ENDED for part in sources)

    def _drain(self, session: Session, turn: Turn, began_s: float) -> float:
        """Stop the source and wait until everything it sent is counted; return seconds streamed."""
        self._words.say("ending: the source stops, what it sent is counted")
        session.supervisor.stop_parts([INGEST, HEARTBEAT])
        give_up_at = time.monotonic() + _DRAIN_TIMEOUT_S
        ask_at = 0.0
        while time.monotonic() < give_up_at:
            if time.monotonic() >= ask_at:
                if self._is_drained(self._settings(session)):
                    break
                ask_at = time.monotonic() + _ASK_BOOKS_EVERY_S
            turn()
        return time.monotonic() - began_s

    def _is_drained(self, settings: Settings) -> bool:
        try:
            return unread_records(settings) == 0
        except TransientError:  # a broker or store that was just killed is on its way back
            return False

    def _await_windows(self, turn: Turn) -> None:
        """A short run may end before its first pane may close; the idle time-out closes it."""
        self._words.say("ending: waiting for windows to close")
        give_up_at = time.monotonic() + _CLOSE_TIMEOUT_S
        while not turn().windows_closed and time.monotonic() < give_up_at:
            pass

    def _books(self, settings: Settings) -> Accounting:
        self._words.say("taking stock")
        return take_stock(settings)

    def _forecasts(self, settings: Settings) -> ForecastTally | None:
        return tally_forecasts(settings) if self._options.forecasts else None
