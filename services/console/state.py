"""What all routes of one console share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from core.clock import Clock
from core.metrics import Metrics
from core.settings import Settings
from services.console.cursors import Cursors
from services.console.data import ConsoleData
from services.console.keys import KeyRing
from services.console.limits import RateLimit
from services.console.live import LiveWindows
from services.console.sessions import LocalLink, Sessions


@dataclass(frozen=True, slots=True)
class ConsoleState:
    """Made once for a process.

    Attributes:
        settings: Of this process.
        data: Where answers come from.
        keys: Who may ask.
        sessions: Browsers that are signed in.
        link: Lets the first one in; None where only keys do.
        cursors: Where lists go on.
        requests: How much one client may ask.
        failures: How often one address may come with what is no key before it is told to wait.
        metrics: Of this process.
        clock: Tells the time.
        live: Windows as they close.
        stopping: Set when the process is to end.
        base: The address that people open, without a slash at its end.
    """

    settings: Settings
    data: ConsoleData
    keys: KeyRing
    sessions: Sessions
    link: LocalLink | None
    cursors: Cursors
    requests: RateLimit
    failures: RateLimit
    metrics: Metrics
    clock: Clock
    live: LiveWindows
    stopping: asyncio.Event
    base: str


def state_of(request: Request) -> ConsoleState:
    """Return what the routes of the console that was asked share."""
    return cast("ConsoleState", request.app.state.console)
