"""Several servers of one model as one: the least loaded is asked, a sick one is left out.

Each server has its own client, with its own connection and words. The pool decides whom to ask:

- **Load** is the posts in flight. A batch goes whole to one server, so it has one model version.
- **Sick** is a server that is unavailable, too slow or answers with nonsense. It is left out, and
  taken back once it says that it is ready, asked with growing pauses. A batch that a server
  refuses says nothing against the server.
- **Slow** is a server that answers nothing for a few times as long as the longest call of late:
  another in use is asked as well, the first answer is taken and the other call given up. One that
  answers others is at work, however long its queue. Who is overtaken is left out: one that hangs
  costs its batches a few usual calls and not the whole time-out. One call of a server at a time is
  asked twice: where all are slow, they are not loaded twice over.
- **Fail-over** spends what is left of the one time-out: nobody waits longer than with one server.
- **Version**: the first that is answered is the pool's. A server that answers another is left out
  as long as any server in use answers the pool's, or has yet to show what it answers. Only then
  the pool moves. In a rolling upgrade the servers already replaced thus wait until the last of the
  old ones goes; a pool never mixes two models in one batch, nor goes back and forth between them
  while the servers stay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Generic

from core.clock import Clock, SystemClock
from core.errors import ScorerTimedOut, ScorerUnavailable
from core.logs import get_logger
from core.retry import Backoff
from models.scorers.edge import shown
from models.scorers.hedge_delay import LEAST_DELAY_S, HedgeDelay
from models.scorers.pool_server import A, C, Server

_log = get_logger(__name__)
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0


def _ignore(*_: str) -> None:
    return


class ServerPool(Generic[C]):
    """Asks one of several servers; must be used from one event loop.

    Args:
        clients: A client for each address, in the order of the settings.
        timeout_s: What is unanswered for so long has failed, however many servers were asked.
        clock: Measures the time-out and the pauses.
        least_delay_s: A call is asked of another server as well after so long at the earliest.

    Attributes:
        servers: What is known of each server.
        on_left_out: Called with the address of a server that is left out, and `sick`, `slow` or
            `version`.
        on_asked_again: Called with the address of a server whose call is asked of another too.
    """

    def __init__(
        self,
        clients: Sequence[tuple[str, C]],
        timeout_s: float,
        clock: Clock | None = None,
        least_delay_s: float = LEAST_DELAY_S,
    ) -> None:
        self.servers = tuple(
            Server(url, client, Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S))
            for url, client in clients
        )
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._calls = 0
        self._version = ""
        self._hedge_delay = HedgeDelay(timeout_s, least_delay_s)
        self.on_left_out: Callable[[str, str], None] = _ignore
        self.on_asked_again: Callable[[str], None] = _ignore
        self._probes: dict[Server[C], asyncio.Task[bool]] = {}

    async def ask(self, posts: int, call: Callable[[C], Awaitable[A]]) -> A:
        """Ask a server, and others if it is sick or slow.

        Args:
            posts: How many posts it is about: the load.
            call: Asks through a client.

        Raises:
            ScorerTimedOut: Nothing came in time.
            ScorerUnavailable: No server gave an answer that could be used.
            ScorerRefused: A server refuses the batch.
        """
        deadline = self._clock.monotonic() + self._timeout_s
        tried: list[Server[C]] = []
        while (server := await self._choose(tried, deadline)) is not None:
            answer = await self._ask_at_most_two(
                server, tried, lambda one: self._begin(one, posts, call, deadline)
            )
            if answer is not None:
                return answer
        said = "; ".join(f"{one.url}: {one.why_out or 'was away'}" for one in self.servers)
        raise ScorerUnavailable(f"none of {len(self.servers)} servers answers: {said}")

    async def is_ready(self) -> bool:
        """Whether any server answers and has loaded the model."""
        return any(await asyncio.gather(*(one.client.is_ready() for one in self.servers)))

    async def close(self) -> None:
        """Close all connections."""
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        await asyncio.gather(*(one.client.close() for one in self.servers))

    async def _ask_at_most_two(
        self,
        first: Server[C],
        tried: list[Server[C]],
        begin: Callable[[Server[C]], asyncio.Task[A]],
    ) -> A | None:
        """Ask a server, and another as well if it takes long; None if nobody's answer is used."""
        tried.append(first)
        asked = {begin(first): first}
        look_s, is_doubting = self._hedge_delay.seconds(), False
        answers, waited_s = first.answers, 0.0
        try:
            while asked:
                done, _ = await asyncio.wait(
                    asked, timeout=look_s, return_when=asyncio.FIRST_COMPLETED
                )
                waited_s += look_s
                is_at_work, answers = first.answers > answers, first.answers
                if not done and is_at_work and waited_s < self._timeout_s / 2:
                    continue  # one call alone may still be lost
                look_s = self._hedge_delay.least_s
                for task in done:
                    server = asked.pop(task)
                    answer = self._answer_of(server, task)
                    if answer is not None:
                        self._overtake(asked.values(), server)
                        return answer
                other = self._second(first, tried) if not done and len(asked) == 1 else None
                if other is not None:
                    is_doubting = first.is_doubted = True
                    self.on_asked_again(first.url)
                    tried.append(other)
                    asked[begin(other)] = other
        finally:
            first.is_doubted = first.is_doubted and not is_doubting
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return None

    def _begin(
        self, server: Server[C], posts: int, call: Callable[[C], Awaitable[A]], deadline: float
    ) -> asyncio.Task[A]:
        """Begin to ask a server; whoever chooses next sees its load at once."""
        self._calls += 1
        server.taken, load = self._calls, max(1, posts)
        server.in_flight += load

        def unload(_: object) -> None:
            server.in_flight -= load

        task = asyncio.create_task(self._ask_one(server, posts, call, deadline))
        task.add_done_callback(unload)
        return task

    async def _ask_one(
        self, server: Server[C], posts: int, call: Callable[[C], Awaitable[A]], deadline: float
    ) -> A:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, deadline - began)):
                answer = await call(server.client)
        except TimeoutError as error:
            raise ScorerTimedOut(
                f"Triton at {server.url}, {posts} posts: nothing within {self._timeout_s:g} s"
            ) from error
        server.answers += 1
        self._hedge_delay.note(self._clock.monotonic() - began)
        return answer

    def _answer_of(self, server: Server[C], task: asyncio.Task[A]) -> A | None:
        """Return the answer of a call that has ended; None if it is not to be used."""
        try:
            answer = task.result()
        except ScorerTimedOut as error:
            self._leave_out(server, str(error), "sick")
            raise
        except ScorerUnavailable as error:
            self._leave_out(server, str(error), "sick")
            return None
        return answer if self._takes(server, answer.model_version) else None

    def _second(self, first: Server[C], tried: list[Server[C]]) -> Server[C] | None:
        """Return whom to ask beside a server that takes long; None if there is nobody.

        A server that is still in use has one of its calls doubted at a time. Those left out are
        asked whether they are ready, whatever is left of their pauses: the next look finds them.
        """
        if first.is_doubted and not first.why_out:
            return None
        left = [one for one in self.servers if one not in tried]
        fit = [one for one in left if not one.why_out]
        if not fit:
            for server in left:
                self._probe(server)
        return min(fit, key=lambda one: (one.in_flight, one.taken), default=None)

    def _overtake(self, slower: Iterable[Server[C]], by: Server[C]) -> None:
        """Leave out who was asked before and has not answered: its answer is not waited for."""
        for server in slower:
            if server.taken < by.taken:
                self._leave_out(
                    server, f"takes long, {by.url} was faster though asked later", "slow"
                )

    async def _choose(self, tried: list[Server[C]], deadline: float) -> Server[C] | None:
        """Return whom to ask next; None if nobody is left, or no time."""
        if self._clock.monotonic() >= deadline:
            return None
        self._look_after_the_sick()
        left = [one for one in self.servers if one not in tried]
        fit = [one for one in left if not one.why_out]
        if not fit:
            # Whoever answers another version is better than nobody: `_takes` decides.
            fit = [one for one in left if one.is_held] or await self._ready_of(left, deadline)
        return min(fit, key=lambda one: (one.in_flight, one.taken), default=None)

    async def _ready_of(self, servers: list[Server[C]], deadline: float) -> list[Server[C]]:
        """Return which of the sick say now that they are ready; their pauses do not count here."""
        probes = {self._probe(one) for one in servers}
        while probes:
            left_s = max(0.0, deadline - self._clock.monotonic())
            done, probes = await asyncio.wait(
                probes, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done or any(probe.result() for probe in done):
                break
        return [one for one in servers if not one.why_out]

    def _look_after_the_sick(self) -> None:
        """Ask those whose pause is over whether they are ready; nobody waits for what they say."""
        now = self._clock.monotonic()
        for server in self.servers:
            if server.why_out and now >= server.out_until:
                self._probe(server)

    def _probe(self, server: Server[C]) -> asyncio.Task[bool]:
        """Return the one task that asks a server whether it is ready."""
        if server not in self._probes:
            probe = asyncio.create_task(self._take_back(server))
            self._probes[server] = probe
            probe.add_done_callback(lambda _: self._probes.pop(server, None))
        return self._probes[server]

    async def _take_back(self, server: Server[C]) -> bool:
        """Whether the server is in use again."""
        if not await server.client.is_ready():
            server.out_until = self._clock.monotonic() + server.pauses.next_s()
            return False
        if server.why_out:
            _log.info("scorer server is back", server=server.url)
        server.why_out, server.is_held = "", False
        return True

    def _leave_out(self, server: Server[C], why: str, cause: str) -> None:
        """Use the others for a while."""
        was_in, server.why_out, server.is_held = not server.why_out, why, cause == "version"
        if was_in:  # of many batches in flight the first that fails tells
            self.on_left_out(server.url, cause)
            server.out_until = self._clock.monotonic() + server.pauses.next_s()
            _log.warning("scorer server is left out", server=server.url, error=why)

    def _takes(self, server: Server[C], version: str) -> bool:
        """Whether an answer of this version is used; the server is left out if not."""
        server.version = version
        if version != self._version and self._version:
            old = [
                one.url
                for one in self.servers
                if one is not server and not one.why_out and one.version in ("", self._version)
            ]
            if old:
                self._leave_out(
                    server,
                    f"answers version {shown(version)}, expected {shown(self._version)} as "
                    f"{', '.join(old)}",
                    "version",
                )
                return False
            _log.warning("scorer servers: model replaced", old=self._version, new=version)
        self._version = version
        for one in self.servers:
            # A late answer of a sick server shows nothing: it was asked before it fell ill.
            if one.is_held and one.version == version:
                one.why_out, one.is_held = "", False
        server.pauses.reset()
        return True
