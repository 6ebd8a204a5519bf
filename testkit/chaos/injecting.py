"""How each fault is done to the stack, and undone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from services.local.scrape import fetch_pages
from services.local.supervisor import PartState, StackPart
from testkit.chaos.faults import FAULTS, Fault
from testkit.chaos.probes import NoAnswer, RedisLine
from testkit.chaos.rubbish import Rubbish
from testkit.chaos.stack import ChaosStack
from testkit.chaos.stand_in import LOOK, MANNERS_FILE

BEYOND_SESSION_S: Final = 2.5
LATENCY_S: Final = {"redis": 0.15, "kafka": 0.15, "scorer": 0.5}
"""Per chunk and direction: felt by every call, and below the time-outs."""
DUST_S: Final = 0.3
"""After a kill, until what was on its way has arrived."""
LASTS_S: Final = {"slow": 4.0, "cut": 2.0, "full": 4.0, "answers": 3.0, "rubbish": 3.0}
BEYOND_TIMEOUT_S: Final = 1.0
HOLDS_POSTS_WITHIN_S: Final = 10.0
"""So long a worker is sought that holds posts, which a fast scorer seldom leaves with one."""
DRIP_S: Final = 0.05
"""Per byte: of an answer of kilobytes only its beginning has come at any time-out."""


@dataclass(slots=True)
class Injected:
    """A fault that has begun.

    Attributes:
        target: The name of the part that was hit.
        ends_at: The monotonic seconds at which `end` is to be called.
        end: Undoes it; nothing for a kill, which the supervisor undoes.
    """

    kind: str
    target: str
    ends_at: float
    end: Callable[[], None]


class Injector:
    """Begins faults on a stack. `begin` returns None while its target cannot be hit."""

    def __init__(self, stack: ChaosStack, clock: Callable[[], float] = time.monotonic) -> None:
        self._stack = stack
        self._clock = clock
        self._hits: Counter[tuple[str, str]] = Counter()
        self._sought_since: float | None = None

    @property
    def full_by(self) -> str:
        """How Redis is made full here."""
        return "tmpfs" if self._stack.disk.is_mounted else "maxmemory"

    def begin(self, kind: str, busy: Collection[str], seed: int) -> Injected | None:
        """Begin a fault on a part that is up and not in `busy`; None if there is none now."""
        fault = FAULTS[kind]
        if fault.part == "ingest":
            self._stack.hold_ingest(False)
        free = [
            part
            for part in self._stack.parts_of(fault.part)
            if part.state is PartState.READY
            and part.server.is_running
            and part.server.name not in busy
        ]
        if fault.part == "worker":
            free = self._holding_posts(free)
        part = self._choose(kind, free, seed)
        if part is None:
            return None
        self._hits[kind, part.server.name] += 1
        if fault.how == "answers":
            undo = self._answers(part, kind.removeprefix("scorer-"))
        elif fault.how == "rubbish":
            undo = self._rubbish(seed)
        else:
            undo = getattr(self, f"_{fault.how}")(part)
        return Injected(
            kind, part.server.name, self._clock() + self._lasts_s(fault), undo or _nothing
        )

    def _choose(self, kind: str, free: list[StackPart], seed: int) -> StackPart | None:
        """Return the part that is hit; None if there is none now.

        Several scorers are hit in turn by each kind, one at a time: one is always left.
        """
        if FAULTS[kind].part == "scorer" and len(self._stack.scorers) > 1:
            if len(free) < len(self._stack.scorers):
                return None
            least = min(self._hits[kind, part.server.name] for part in free)
            free = [part for part in free if self._hits[kind, part.server.name] == least]
        return random.Random(seed).choice(free) if free else None

    def _holding_posts(self, workers: list[StackPart]) -> list[StackPart]:
        """Return those that hold posts now, of which something is to be lost or done twice.

        One that holds none, as in the middle of a rebalance, has nothing to show when it wakes up.
        """
        now = self._clock()
        if self._sought_since is None:
            self._sought_since = now
        found = [part for part in workers if self._holds_posts(part)]
        if not found and now < self._sought_since + HOLDS_POSTS_WITHIN_S:
            return []
        self._sought_since = None
        return found or workers

    def _holds_posts(self, worker: StackPart) -> bool:
        pages = fetch_pages([worker.server.ports["metrics"]]).values()
        return any(page.total("groundswell_in_flight_posts") > 0 for page in pages)

    def _lasts_s(self, fault: Fault) -> float:
        settings, lasting_s = self._stack.settings, self._stack.options.lasting_s
        if fault.how == "drip":
            return max(lasting_s, settings.scorer.timeout_s + BEYOND_TIMEOUT_S)
        if fault.how != "stop":
            return (fault.how in LASTS_S and lasting_s) or LASTS_S.get(fault.how, DUST_S)
        return {
            "redis": settings.redis.timeout_s + 1.0,
            "scorer": settings.scorer.timeout_s + 1.0,
            "kafka": settings.kafka.session_timeout_s + 1.0,
            "ingest": 3.0,
        }.get(fault.part, settings.kafka.session_timeout_s + BEYOND_SESSION_S)

    def _kill(self, part: StackPart) -> None:
        part.server.kill()

    def _stop(self, part: StackPart) -> Callable[[], None]:
        self._stack.signal(part, signal.SIGSTOP)
        pid = part.server.pid

        def go_on() -> None:
            if part.server.is_running and part.server.pid == pid:
                self._stack.signal(part, signal.SIGCONT)

        return go_on

    def _empty(self, part: StackPart) -> None:
        part.server.kill()
        for kept in (part.server.directory / "stored").iterdir():
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink()

    def _slow(self, part: StackPart) -> Callable[[], None]:
        proxy = self._stack.proxies[part.server.name]
        proxy.latency_s = LATENCY_S[part.server.name.partition("-")[0]]

        def quick() -> None:
            proxy.latency_s = 0.0

        return quick

    def _cut(self, part: StackPart) -> Callable[[], None]:
        proxy = self._stack.proxies[part.server.name]
        proxy.is_refusing = True
        self._stack.cut(part.server.name)

        def accept() -> None:
            proxy.is_refusing = False

        return accept

    def _full(self, part: StackPart) -> Callable[[], None]:
        del part
        disk = self._stack.disk
        if disk.is_mounted:
            disk.fill()
            return disk.free
        self._set_maxmemory(1)
        return lambda: self._set_maxmemory(0)

    def _set_maxmemory(self, limit_bytes: int) -> None:
        line = RedisLine(self._stack.redis.port)
        try:
            line.ask("CONFIG", "SET", "maxmemory", limit_bytes)
        except NoAnswer:
            return  # killed meanwhile: it comes back without a limit
        finally:
            line.close()

    def _rubbish(self, seed: int) -> Callable[[], None]:
        rubbish = Rubbish(self._stack.redis.port, self._stack.settings, seed, self._stack.say)
        rubbish.spread()
        return rubbish.repair

    def _drip(self, part: StackPart) -> Callable[[], None]:
        proxy = self._stack.proxies[part.server.name]
        proxy.drip_s = DRIP_S

        def flow() -> None:
            proxy.drip_s = 0.0

        return flow

    def _answers(self, part: StackPart, kind: str) -> Callable[[], None]:
        pid, manners = part.server.pid, part.server.directory / MANNERS_FILE

        def tell(word: str) -> None:
            manners.write_text(word)
            os.kill(pid, LOOK)

        def right() -> None:
            if part.server.is_running and part.server.pid == pid:
                tell("")

        tell(kind)
        return right


def _nothing() -> None:
    return
