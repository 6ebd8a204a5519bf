"""The console in this process, over a stream in memory, with a key for every role."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from core.clock import ManualClock, SystemClock, epoch_ms
from core.errors import BrokerUnavailable, StoreUnavailable
from core.metrics import Metrics
from core.schemas import Alert, Interval, Term
from core.settings import ConsoleSettings, Settings
from services.alerting.showing import ExampleText, PastAlert, PastAlerts
from services.console.app import make_console
from services.console.data import PanesFound, QualityFound
from services.console.keys import KeyRing, Role
from services.console.process import base_of, listen, make_state, serve
from services.console.sessions import KEYS_FILE, LINK_FILE
from services.console.state import ConsoleState
from services.console.window_posts import WindowPosts
from services.windows_view import PaneBounds, PaneView
from stream.queries.catalog import QueryCatalog, parse_catalog
from stream.windows.layout import COUNTERS
from stream.windows.records import PaneSum
from testkit.builders import NOON

API: Final = "/api/v1"
BASE: Final = "http://127.0.0.1:8080"
PANE_S: Final = 60
START_S: Final = epoch_ms(NOON) // 1000
LATER: Final = NOON + timedelta(hours=2)
"""When people look: nothing of what they look at is ahead of the clock."""
QUERY: Final = "trains"
CATALOG: Final = """\
[queries.trains]
title = "Trains"
expression = 'late AND (train OR trains)'

[queries.weather]
expression = 'storm'
"""
TEXT: Final = "THE WORDS OF A POST"


def past_alert(number: int = 1, **changes: Any) -> PastAlert:
    """Return the shift `a<number>`, which fired `number` minutes before noon."""
    fired = NOON - timedelta(minutes=number)
    fields: dict[str, Any] = {
        "alert_id": f"a{number}", "query": QUERY, "kind": "opinion", "state": "firing",
        "direction": "down", "severity": 5, "started": fired - timedelta(minutes=4),
        "fired": fired, "decided_at": fired, "evidence": 14.2, "threshold": 11.0,
        "before": Interval(0.2, 0.1, 0.3), "after": Interval(-0.1, -0.2, 0.0),
        "change": Interval(-0.3, -0.4, -0.2), "posts": 90, "mix": -0.05, "opinion": -0.25,
        "terms": [Term("late", 5.0, 1, 40)], "sentence": "Opinion about trains fell.",
    }  # fmt: skip
    return PastAlert(Alert(**(fields | changes)), 5, epoch_ms(fired))


def counters_of(**values: int) -> list[int]:
    """Return the counters of a pane by name, the others zero."""
    return [values.get(name, 0) for name in COUNTERS]


def pane(start_s: int, query: str = QUERY, *, closed: bool = True, **values: int) -> PaneView:
    """Return a pane with these counters; of two rated posts if none are given."""
    given = values or {
        "posts": 2, "rated": 2, "sentiment_sum": 500_000, "sentiment_square": 250_000
    }  # fmt: skip
    content = PaneSum(counters_of(**given), {}, 1)
    return PaneView(query, start_s, start_s + PANE_S, closed, 0, content)


@dataclass
class MemoryData:
    """What `services.console.data.ConsoleData` promises, of what a test puts in.

    Attributes:
        kept: The panes.
        past: The alerts that are kept.
        shown: The posts that show any of them.
        away_now: What does not answer, of `store` and `broker`.
        catalog_text: The catalog of queries.
        looks: How often panes were asked for.
        windows_asked: Query, start and end (s) of the windows whose posts were asked for.
    """

    kept: list[PaneView] = field(default_factory=list[PaneView])
    past: list[PastAlert] = field(default_factory=list[PastAlert])
    shown: list[ExampleText] = field(default_factory=list[ExampleText])
    away_now: tuple[str, ...] = ()
    catalog_text: str = CATALOG
    looks: int = 0
    windows_asked: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])

    def _ask(self, part: str) -> None:
        if part in self.away_now:
            kind = StoreUnavailable if part == "store" else BrokerUnavailable
            raise kind(f"the {part} at a secret place does not answer")

    async def catalog(self) -> QueryCatalog:
        """Return the catalog."""
        return parse_catalog(self.catalog_text.encode(), Path("queries.toml"))

    async def bounds(self) -> PaneBounds:
        """Return the bounds of the panes that are kept."""
        self._ask("store")
        starts = [one.start_s for one in self.kept] or [-1]
        closed = [one.end_s for one in self.kept if one.closed] or [-1]
        last = [one.start_s for one in self.kept if one.closed] or [-1]
        return PaneBounds(min(starts), max(starts), max(closed), last_closed_s=max(last))

    async def panes(self, query: str, start_s: int, end_s: int) -> PanesFound:
        """Return the panes in a range."""
        self._ask("store")
        self.looks += 1
        inside = [one for one in self.kept if start_s <= one.start_s < end_s]
        return PanesFound({one.start_s: one for one in inside if one.query == query})

    async def panes_of(self, queries: Sequence[str], last: int) -> dict[str, PanesFound]:
        """Return the last panes of some queries."""
        last_s = (await self.bounds()).last_s
        found = {query: PanesFound() for query in queries}
        for one in self.kept:
            if one.query in found and one.start_s > last_s - last * PANE_S:
                found[one.query].panes[one.start_s] = one
        return found

    async def busiest(self) -> tuple[PaneBounds, dict[str, int]]:
        """Return the posts of each query in the last pane that is closed."""
        bounds = await self.bounds()
        last = [one for one in self.kept if one.start_s == bounds.last_closed_s]
        return bounds, {one.query: one.content.counters[0] for one in last}

    async def alerts(self) -> PastAlerts:
        """Return the alerts."""
        self._ask("broker")
        return PastAlerts(list(self.past), [])

    async def examples(self, past: PastAlert) -> list[ExampleText]:
        """Return the posts that show an alert."""
        self._ask("broker")
        return list(self.shown)

    async def window_posts(self, query: str, start_s: int, end_s: int) -> WindowPosts:
        """Return the posts that show anything, and note of which window they were asked."""
        self._ask("broker")
        self.windows_asked.append((query, start_s, end_s))
        return WindowPosts(tuple(self.shown), 9)

    async def quality(self) -> QualityFound:
        """Return that nothing is known."""
        self._ask("store")
        return QualityFound()

    async def away(self) -> list[str]:
        """Return what does not answer."""
        return list(self.away_now)


@dataclass(frozen=True)
class ServedConsole:
    """A console that listens.

    Attributes:
        base: Where, without a slash at its end.
        keys: Role -> a key of it.
        folder: Where its files are.
        data: What it reads.
    """

    base: str
    keys: dict[Role, str]
    folder: Path
    data: MemoryData

    @property
    def link(self) -> str:
        """The link that lets a browser in now."""
        return (self.folder / LINK_FILE).read_text(encoding="utf-8").strip()


@dataclass
class ConsoleRig:
    """A console and who asks it.

    Attributes:
        client: Asks the application itself, without a network.
        data: What it reads.
        state: What its routes share.
        clock: Its time.
        ring: The keys.
        keys: Role -> a key of it.
        folder: Where its files are.
    """

    client: httpx.AsyncClient
    data: MemoryData
    state: ConsoleState
    clock: ManualClock
    ring: KeyRing
    keys: dict[Role, str]
    folder: Path

    async def ask(
        self, path: str, role: Role | None = Role.VIEWER, method: str = "GET", **how: Any
    ) -> httpx.Response:
        """Ask the API as a role, or as nobody."""
        headers = dict(how.pop("headers", {}))
        if role is not None:
            headers.setdefault("Authorization", f"Bearer {self.keys[role]}")
        return await self.client.request(method, API + path, headers=headers, **how)

    @property
    def link(self) -> str:
        """The link that lets a browser in now."""
        return (self.folder / LINK_FILE).read_text(encoding="utf-8").strip()

    async def sign_in(self, role: Role) -> httpx.Response:
        """Let this client's browser in with the key of a role."""
        return await self.client.post("/sign-in", data={"key": self.keys[role]})


@asynccontextmanager
async def console_rig(
    folder: Path, data: MemoryData | None = None, **changes: Any
) -> AsyncIterator[ConsoleRig]:
    """Give a console; `changes` are settings of the section `console`."""
    asked = {"data_dir": str(folder), "local_link": True, "requests_per_minute": 100_000} | changes
    settings, clock = Settings(console=ConsoleSettings(**asked)), ManualClock(LATER)
    held, ring = data or MemoryData(), KeyRing(folder / KEYS_FILE)
    keys = {role: ring.add(role.value, role, NOON) for role in Role}
    state = make_state(settings, held, Metrics(role="console"), clock, BASE, ring)
    if state.link is not None:
        state.link.renew()
    transport = httpx.ASGITransport(make_console(state))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield ConsoleRig(client, held, state, clock, ring, keys, folder)


def hour_of_panes(count: int = 120) -> list[PaneView]:
    """Return panes of a minute each from noon on, of two posts; the last one is open."""
    starts: Sequence[int] = range(START_S, START_S + count * PANE_S, PANE_S)
    return [pane(at, closed=at != starts[-1]) for at in starts]


@contextmanager
def served_console(
    folder: Path, data: MemoryData | None = None, **changes: Any
) -> Iterator[ServedConsole]:
    """Serve a console on a free port of loopback, from a thread, as its process does."""
    held, ring = data or MemoryData(), KeyRing(folder / KEYS_FILE)
    keys = {role: ring.add(role.value, role, NOON) for role in Role}
    asked = {"data_dir": str(folder), "local_link": True, "port": 0,
             "requests_per_minute": 1_000_000} | changes  # fmt: skip
    settings = Settings(console=ConsoleSettings(**asked))
    with ExitStack() as stack:
        listener = stack.enter_context(listen(settings.console))
        base = base_of(settings.console, listener.getsockname()[1])
        state = make_state(settings, held, Metrics(role="console"), SystemClock(), base, ring)
        runner = stack.enter_context(asyncio.Runner())
        loop, stop = runner.get_loop(), asyncio.Event()
        thread = threading.Thread(target=runner.run, args=(serve(state, listener, stop),))
        thread.start()
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, stop.set)
        if state.link is not None:
            state.link.renew()
        yield ServedConsole(base, keys, folder, held)
