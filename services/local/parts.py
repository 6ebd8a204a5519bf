"""What a supervisor is given: parts, the stages in which they start, and the tasks in between."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.retry import pause_s
from services.local.child import Command
from services.local.server import LocalServer

_RECOVERED_AFTER_S = 30.0


class PartState(StrEnum):
    """Where a part is in its life."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(slots=True)
class StackPart:
    """A server with its fate.

    Attributes:
        server: What is started.
        may_end: A part that ends with status 0 is done and stays down (a source that is read).
        state: See `PartState`.
        restarts: How often it was started again.
        deaths: How often in a row it died soon after its start.
        rng: Spreads the waits of parts that died together.
    """

    server: LocalServer
    may_end: bool = False
    state: PartState = PartState.NEW
    restarts: int = 0
    deaths: int = 0
    started_at: float = 0.0
    next_step_at: float = 0.0
    rng: random.Random = field(default_factory=random.Random)

    def next_wait_s(self, ran_s: float) -> float:
        """Return the seconds to wait after a death; `ran_s` is how long it had run."""
        if ran_s > _RECOVERED_AFTER_S:
            self.deaths = 0
        self.deaths += 1
        return pause_s(self.deaths, self.rng)


@dataclass(frozen=True, slots=True)
class StartStage:
    """Parts that may start together once all earlier stages are ready."""

    parts: tuple[StackPart, ...]


@dataclass(frozen=True, slots=True)
class StartTask:
    """A command that must end well before the next stage starts.

    Attributes:
        name: For messages.
        command: What is executed.
        timeout_s: How long it may take.
        speaks: What it printed last is said to people.
    """

    name: str
    command: Command
    timeout_s: float = 60.0
    speaks: bool = False


Steps = Sequence[StartStage | StartTask]
"""Stages and tasks in the order in which they are brought up."""

UP = (PartState.READY, PartState.ENDED)
_STARTED = (PartState.STARTING, *UP)


def merged(planned: Sequence[StackPart], former: Mapping[str, StackPart]) -> tuple[StackPart, ...]:
    """Return the parts of a stage: those that are up and would be started the same way go on."""
    parts: list[StackPart] = []
    for part in planned:
        before = former.get(part.server.name)
        if before is not None:
            part.restarts = before.restarts
            if before.state in _STARTED and part.server.is_planned_as(before.server):
                part = before
        parts.append(part)
    return tuple(parts)
