"""The console's process: uvicorn on one port, the metrics page on another.

It counts nothing, so that any number of them may run; sessions and the link are each one's own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from core.clock import Clock, SystemClock
from core.errors import ConfigError
from core.logs import get_logger, set_up
from core.metrics import Metrics
from core.settings import ConsoleSettings, Settings
from services.console.access import FAILURES_PER_MINUTE
from services.console.app import make_console
from services.console.cursors import Cursors
from services.console.data import ConsoleData
from services.console.files import secret_of
from services.console.keys import KeyRing
from services.console.limits import RateLimit
from services.console.live import LiveWindows
from services.console.sessions import KEYS_FILE, LocalLink, Sessions
from services.console.state import ConsoleState
from services.console.stream_data import StreamData
from services.stopping import until_signalled

_log = get_logger(__name__)
_CURSOR_KEY = "cursor.key"
_GRACE_S = 5


def listen(settings: ConsoleSettings) -> socket.socket:
    """Return the socket that the console listens on.

    Raises:
        ConfigError: It cannot listen there.
    """
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        return socket.create_server((settings.address, settings.port), family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            f"console.port = {settings.port}: cannot listen on {settings.address}: {error.strerror}"
        ) from error


def base_of(settings: ConsoleSettings, port: int) -> str:
    """Return the address that people open, without a slash at its end."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    return f"http://{host}:{port}"


def make_state(
    settings: Settings, data: ConsoleData, metrics: Metrics, clock: Clock, base: str, keys: KeyRing
) -> ConsoleState:
    """Return what the routes share.

    Raises:
        ConfigError: The folder or a file in it cannot be used, or nobody could ever come in.
    """
    asked = settings.console
    folder = Path(asked.data_dir)
    keys.load()
    link = LocalLink(folder, base) if asked.local_link else None
    if link is None and not keys.all():
        raise ConfigError(
            f"{folder / KEYS_FILE} has no keys, and console.local_link is off: nobody could come "
            "in; make one with: groundswell console keys add NAME --role analyst, or give "
            "console.operator_key"
        )
    if not asked.is_local and not asked.public_url.startswith("https://"):
        _log.warning("keys and posts go over the network as they are: put TLS before the console")
    return ConsoleState(
        settings, data, keys, Sessions(asked.session_s, clock, keys), link,
        Cursors(secret_of(folder / _CURSOR_KEY)),
        RateLimit(asked.requests_per_minute, clock), RateLimit(FAILURES_PER_MINUTE, clock),
        metrics, clock,
        LiveWindows(data, settings.windows.pane_s, asked.refresh_s, clock), asyncio.Event(), base,
    )  # fmt: skip


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the console until `stop` is set."""
    metrics, clock = Metrics(role="console"), SystemClock()
    with listen(settings.console) as listener:
        base = base_of(settings.console, listener.getsockname()[1])
        data = StreamData(settings, clock)
        keys = KeyRing(Path(settings.console.data_dir) / KEYS_FILE)
        keys.accept(settings.console.operator_key, clock.now())
        state = make_state(settings, data, metrics, clock, base, keys)
        metrics.console_sessions.set_function(lambda: len(state.sessions))
        metrics.console_info.labels(address=base).set(1)
        try:
            if state.link is not None:
                state.link.renew()
            # Last: whoever finds this page may open the other one, and read the link.
            metrics.serve(settings.metrics.address, settings.metrics.port)
            _log.info("the console is at", address=base)
            await serve(state, listener, stop)
        finally:
            if state.link is not None:
                state.link.remove()
            await data.close()


class _Server(uvicorn.Server):
    """Leaves signals to the process, which ends more than this server."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take no signals."""
        yield


async def serve(state: ConsoleState, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; whoever listens then is let go."""
    server = _Server(
        uvicorn.Config(
            make_console(state), log_config=None, access_log=False, server_header=False,
            date_header=True, lifespan="off", timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=30, h11_max_incomplete_event_size=16_384,
            proxy_headers=False,  # anybody can write X-Forwarded-For
        )
    )  # fmt: skip
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    state.stopping.set()
    server.should_exit = True
    await serving


def main(settings: Settings) -> None:
    """Run a console process until SIGTERM or SIGINT."""
    set_up(settings.log, "console")
    asyncio.run(until_signalled(lambda stop: run(settings, stop)))
