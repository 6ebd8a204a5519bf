"""What a supervisor is given: parts, the stages in which they start, and the tasks in between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.local.backoff import Backoff
from services.local.child import Command
from services.local.server import LocalServer


class PartState(StrEnum):
    """Where a part is in its life."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(slots=True)
class Part:
    """A server with its fate.

    Attributes:
        server: what is started.
        may_end: a part that ends with status 0 is done and stays down (a source that is read).
        state: see `PartState`.
        restarts: how often it was started again.
    """

    server: LocalServer
    may_end: bool = False
    state: PartState = PartState.NEW
    restarts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    started_at: float = 0.0
    next_step_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts that may start together once all earlier stages are ready."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A command that must end well before the next stage starts.

    Attributes:
        name: for messages.
        command: what is executed.
        timeout_s: how long it may take.
        speaks: what it printed last is said to people.
    """

    name: str
    command: Command
    timeout_s: float = 60.0
    speaks: bool = False


Steps = Sequence[Stage | Task]
"""Stages and tasks in the order in which they are brought up."""

UP = (PartState.READY, PartState.ENDED)
_STARTED = (PartState.STARTING, *UP)


def merged(planned: Sequence[Part], former: Mapping[str, Part]) -> tuple[Part, ...]:
    """Return the parts of a stage: those that are up and would be started the same way go on."""
    parts: list[Part] = []
    for part in planned:
        before = former.get(part.server.name)
        if before is not None:
            part.restarts = before.restarts
            if before.state in _STARTED and part.server.is_planned_as(before.server):
                part = before
        parts.append(part)
    return tuple(parts)
