"""The console in this process, over a stream in memory, with a key for every role."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from core.clock import ManualClock, SystemClock
from core.metrics import Metrics
from core.settings import ConsoleSettings, Settings
from services.console.app import make_console
from services.console.keys import KeyRing, Role
from services.console.process import base_of, listen, make_state, serve
from services.console.sessions import KEYS_FILE, LINK_FILE
from services.console.state import ConsoleState
from services.windows_view import PaneView
from testkit.builders import NOON
from testkit.console_data import (
    API as API,
)
from testkit.console_data import (
    BASE as BASE,
)
from testkit.console_data import (
    CATALOG as CATALOG,
)
from testkit.console_data import (
    LATER as LATER,
)
from testkit.console_data import (
    PANE_S as PANE_S,
)
from testkit.console_data import (
    QUERY as QUERY,
)
from testkit.console_data import (
    START_S as START_S,
)
from testkit.console_data import (
    TEXT as TEXT,
)
from testkit.console_data import (
    MemoryData as MemoryData,
)
from testkit.console_data import (
    counters_of as counters_of,
)
from testkit.console_data import (
    dead_record as dead_record,
)
from testkit.console_data import (
    pane as pane,
)
from testkit.console_data import (
    past_alert as past_alert,
)


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
