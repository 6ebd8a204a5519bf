"""The base of sources that read a network: one background thread reads, `poll` takes.

A subclass writes `session`: connect, then read and `deliver` until the connection ends. Everything
around it is here: the bounded buffer, back-off, the idle timer, gaps, metrics and stopping.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Final

import aiohttp

from core.errors import ConfigError, FatalError, TransientError
from core.logs import describe_error, describe_traceback, get_logger
from core.retry import Backoff
from services.ingest.sources.base import (
    Cursor,
    Gap,
    Options,
    Source,
    SourceContext,
    SourceItem,
)
from services.ingest.sources.inlet import Inlet
from services.ingest.sources.options import LiveLimits, check_values
from services.ingest.sources.pacing import IdleTimer

CLOSE_WITHIN_S: Final = 1.0
_TICK_S: Final = 0.25
"""How often the idle timer is looked at."""
_GOOD_AFTER_S: Final = 5.0
"""A session that lasted so long starts the back-off over."""


class SessionEnded(TransientError):
    """A connection ended, or never came about; another attempt follows.

    Attributes:
        cause: A word from a small closed set, used as a metric label.
        retry_after_s: For how long the other side asked to be left alone, if it did.
        at_once: The next attempt waits for nothing: nothing is wrong with the other side.
    """

    def __init__(
        self, cause: str, detail: str = "", *,
        retry_after_s: float | None = None, at_once: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.retry_after_s = retry_after_s
        self.at_once = at_once


class LiveSource(Source[Options]):
    """A source that never ends and reads in a thread of its own.

    All of `session`, `deliver`, `heard`, `on_session_ended` run on the reader's event loop; the
    rest is called by the runner's thread. Memory: the inlet, and one message being read.
    """

    can_wait: ClassVar[bool] = True
    watches_silence: ClassVar[bool] = True
    """False where silence says nothing of the other side: what is polled, what others push."""

    def __init__(self, options: Options, context: SourceContext, limits: LiveLimits) -> None:
        super().__init__(options, context)
        check_values(f"{self.name}: limits", limits).check()
        self.limits = limits
        self.log = get_logger(__name__)
        self.inlet = Inlet(limits.max_buffered_items, limits.max_buffered_bytes)
        self.backoff = Backoff(limits.backoff_first_s, limits.backoff_max_s)
        self.idle = IdleTimer(
            limits.idle_min_s, limits.idle_max_s, limits.idle_initial_s, context.clock.monotonic
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._last_item: SourceItem | None = None
        metrics, name = context.metrics, self.name
        self._received = metrics.source_messages.labels(source=name)
        self._duplicates = metrics.source_duplicates.labels(source=name)
        self._position_lag = metrics.source_position_lag_seconds.labels(source=name)
        self._idle_limit = metrics.source_idle_limit_seconds.labels(source=name)
        self._buffered = metrics.source_buffered_items.labels(source=name)
        self._connected = metrics.source_connected.labels(source=name)
        self._reconnects = metrics.source_reconnects
        self._waits = metrics.source_reader_waits.labels(source=name)
        self._dropped = metrics.source_gap_items.labels(source=name)

    # -- what a subclass writes ---------------------------------------------------------------

    def start_at(self, cursor: Cursor | None) -> None:
        """Take over the stored cursor, before the first session; runs in the runner's thread.

        Raises:
            ConfigError: the options or the cursor make no sense.
        """
        return

    @abstractmethod
    async def session(self) -> None:
        """Connect, go on where the last session ended, deliver until the connection ends.

        Call `connected()` after the handshake, `heard()` for whatever shows that the other side is
        alive, `deliver` for what it sent. Must pass on cancellation at once.

        Raises:
            SessionEnded, OSError, aiohttp.ClientError: Another attempt follows after a wait.
            ConfigError: There is no point in another attempt; ends the process.
        """

    def on_session_ended(self, error: SessionEnded) -> None:
        """Decide what changes before the next attempt, such as the host."""
        return

    # -- what a session calls -----------------------------------------------------------------

    def connected(self) -> None:
        """The handshake is done; silence counts from here."""
        self.idle.restart()
        self._connected.set(1)

    def heard(self) -> None:
        """The other side is alive."""
        self.idle.heard()

    def received(self, messages: int = 1) -> None:
        """Count messages of the platform, whatever becomes of them."""
        self._received.inc(messages)

    def repeated(self, messages: int = 1) -> None:
        """Count messages that were delivered before and are left out now."""
        self._duplicates.inc(messages)

    def at_position(self, behind_s: float) -> None:
        """Say how far the stream's own time is behind the present."""
        self._position_lag.set(max(0.0, behind_s))

    async def deliver(self, items: Sequence[SourceItem], size_bytes: int) -> None:
        """Hand items to the runner, in order.

        A source that can wait waits while the buffer is full. One that cannot loses them, and the
        runner is told by a `Gap` as soon as there is room.

        Args:
            items: The items, with the cursor after each.
            size_bytes: The size of the message that they were made of.
        """
        if not items:
            return
        if self.can_wait:
            if self.inlet.is_full:
                self._waits.inc()
            await self.inlet.put(items, size_bytes)
            # Silence while we did not listen says nothing about the other side.
            if self.idle.silent_s > _TICK_S:
                self.idle.restart()
            return
        if not self.inlet.offer(items, size_bytes):
            self._dropped.inc(len(items))
            self._unsaid += len(items)
        elif self._unsaid:
            gap = SourceItem(Gap("buffer_full", items=self._unsaid), items[-1].cursor)
            if self.inlet.offer([gap], 0):
                self._unsaid = 0

    _unsaid = 0

    # -- what the runner calls ----------------------------------------------------------------

    def open(self, cursor: Cursor | None) -> None:
        """Start the reader after `cursor`; returns before it is connected."""
        self.start_at(cursor)
        self._thread = threading.Thread(target=self._read, name=f"{self.name}-reader", daemon=True)
        self._thread.start()
        self._started.wait()

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return what was read; see `Source.poll`.

        Raises:
            ConfigError, FatalError: the reader has given up for good.
        """
        found = self.inlet.take(max_items, timeout_s)
        self._buffered.set(len(self.inlet))
        if not found and self._failure is not None and not len(self.inlet):
            raise self._failure
        return found

    @property
    def exhausted(self) -> bool:
        """False: a live source has no end."""
        return False

    def close(self) -> None:
        """Stop the reader; what it has read and was not polled comes again from the cursor."""
        thread, loop, main = self._thread, self._loop, self._main
        if thread is None:
            return
        if loop is not None and main is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(main.cancel)
        thread.join(CLOSE_WITHIN_S)
        if thread.is_alive():
            self.log.warning("the reader did not end in time", source=self.name)
        self._thread = None

    # -- the reader's thread ------------------------------------------------------------------

    def _read(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._sessions())
        except asyncio.CancelledError:
            pass
        except (ConfigError, FatalError) as error:
            self._failure = error
        except BaseException as error:  # a thread has nobody else to tell
            self._failure = FatalError(f"reader of {self.name} failed: {describe_traceback(error)}")
            self._failure.__cause__ = error
        finally:
            self._connected.set(0)
            self._started.set()

    async def _sessions(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        clock = self.context.clock
        while True:
            began_s = clock.monotonic()
            ended = await self._watched_session()
            if clock.monotonic() - began_s >= _GOOD_AFTER_S:
                self.backoff.reset()
            self._reconnects.labels(source=self.name, cause=ended.cause).inc()
            self._connected.set(0)
            self.on_session_ended(ended)
            wait_s = 0.0 if ended.at_once else self.backoff.next_s(ended.retry_after_s)
            self.log.warning(
                "session ended", source=self.name, error=str(ended), next_in_s=round(wait_s, 2)
            )
            await asyncio.sleep(wait_s)

    async def _watched_session(self) -> SessionEnded:
        """Run one session beside the idle timer; return why it ended."""
        self.idle.restart()
        monotonic = self.context.clock.monotonic
        session = asyncio.ensure_future(self.session())
        try:
            while True:
                due_s = monotonic() + _TICK_S
                done, _ = await asyncio.wait({session}, timeout=_TICK_S)
                self._idle_limit.set(self.idle.limit_s)
                if done:
                    return _why(session)
                # Later than asked for, we were held up: what came meanwhile is still to be read.
                self.idle.not_listening(max(0.0, monotonic() - due_s))
                if self.inlet.is_waiting or not self.watches_silence:
                    self.idle.restart()
                elif self.idle.is_over:
                    detail = f"nothing for {self.idle.silent_s:.1f} s"
                    self.idle.gave_up()
                    return SessionEnded("stalled", detail)
        finally:
            session.cancel()
            # Told to stop in the moment it failed: what it failed of is looked at all the same.
            await asyncio.gather(session, return_exceptions=True)


def _why(session: asyncio.Future[None]) -> SessionEnded:
    """Return why a session ended, as one kind of error.

    Raises:
        ConfigError, FatalError: there is no point in another attempt.
    """
    try:
        session.result()
    except SessionEnded as ended:
        return ended
    except TimeoutError as error:
        return SessionEnded("timeout", describe_error(error))
    except (OSError, aiohttp.ClientError, asyncio.IncompleteReadError) as error:
        return SessionEnded("network", describe_error(error))
    return SessionEnded("closed")
