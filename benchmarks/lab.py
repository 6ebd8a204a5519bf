"""A broker, a store, a model server where wanted, and workers, for one benchmark.

Everything is the real thing and a process of its own. What is timed is what the store says was
applied. Processor time comes from the system's own accounts, so that a figure means something on a
machine that does other work too.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from redis import Redis

from benchmarks.posts import Keyed
from core.config import build
from core.errors import GroundswellError
from services.cli.topics import topic_plans
from services.kafka_client import TopicAdmin, partition_of
from services.local.child import Child, Command
from services.local.kafka_server import KafkaServer
from services.local.machine import process_cpu_s
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from services.local.redis_server import RedisServer
from services.local.triton_server import TritonServer, build_model_repository
from stream.runtime.sink import KafkaSink
from stream.store import keys
from stream.topics import POSTS
from stream.worker.outlets import OutRecord

POLL_S: Final = 0.02
STALLED_S: Final = 180.0
"""A run in which nothing is applied for so long has failed."""
READY_S: Final = 60.0
_SEND_RECORDS: Final = 2_000


class BenchFailed(GroundswellError):
    """A measurement could not be taken; the message has the workers' last words."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was worked off.

    Attributes:
        posts: The posts applied inside the timed part.
        seconds: How long that took.
        cpu_s: The processor seconds of each part of the system in that time.
    """

    posts: int
    seconds: float
    cpu_s: dict[str, float]

    @property
    def posts_per_s(self) -> float:
        """Posts applied a second."""
        return self.posts / self.seconds

    def cpu_us(self, part: str) -> float:
        """Processor microseconds a post of the parts whose name begins so."""
        used = sum(seconds for name, seconds in self.cpu_s.items() if name.startswith(part))
        return used / self.posts * 1e6


class Lab:
    """The servers and workers of one benchmark; use as a context manager.

    Attributes:
        settings: What every process is given.
        directory: The scratch folder, gone at the end.
        workers: The running worker processes by name.
        code: The source tree of the next process.
    """

    code: Path = PROJECT_ROOT

    def __init__(
        self, name: str, tables: Mapping[str, Mapping[str, Any]], *, triton: bool = False
    ) -> None:
        """Only remembers.

        Args:
            name: The name of the benchmark; it names its folder.
            tables: Settings that differ from the defaults, by section.
            triton: Whether to start the model server; workers score there unless told otherwise.
        """
        self._name = name
        self._tables = tables
        self._with_triton = triton
        self._stack = ExitStack()
        self._runner = asyncio.Runner()
        self._produced = 0
        self._started = 0
        self.workers: dict[str, Child] = {}
        self.triton: TritonServer | None = None

    def __enter__(self) -> Self:
        """Start the servers and create the topics."""
        root = DEFAULT_PATHS.root / "bench"
        root.mkdir(parents=True, exist_ok=True)
        stack = self._stack
        try:
            self.directory = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=root))
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            stack.callback(self._runner.close)
            self.kafka = stack.enter_context(KafkaServer(self.directory / "kafka"))
            redis = stack.enter_context(RedisServer(self.directory / "redis"))
            self._redis_server = redis
            self.redis: Any = stack.enter_context(Redis(port=redis.port))
            scorer: dict[str, Any] = {"kind": "fake"}
            if self._with_triton:
                build_model_repository()
                self.triton = stack.enter_context(TritonServer(self.directory / "triton"))
                scorer = {"kind": "triton", "url": self.triton.grpc_address}
            stack.callback(self.stop_workers)
            self._settle(redis.url, scorer)
        except BaseException:
            stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything and remove the folder."""
        self._stack.close()

    def _settle(self, redis_url: str, scorer: dict[str, Any]) -> None:
        self.tree: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.kafka.bootstrap},
            "redis": {"url": redis_url},
            "scorer": scorer,
        }
        for section, fields in self._tables.items():
            self.tree.setdefault(section, {}).update(fields)
        self.settings = build(self.tree)
        with TopicAdmin(self.settings.kafka) as admin:
            admin.create(topic_plans(self.settings.kafka))

    # -- workers ------------------------------------------------------------------------------

    def start_process(self, role: str, **changes: Any) -> Child:
        """Start a process of the system, by the words of its command.

        `changes` are settings as `section__field`.
        """
        flat = {f"{s}__{f}": v for s, fields in self.tree.items() for f, v in fields.items()}
        env = {f"GROUNDSWELL__{key.upper()}": str(v) for key, v in (flat | changes).items()}
        name, *words = role.split()
        argv = (sys.executable, "-m", "services.cli.main", name, *words)
        command = Command(argv, env | {"PYTHONPATH": str(self.code)}, cwd=self.directory)
        self._started += 1
        child = Child(command, self.directory / f"{name}-{self._started}.log")
        self.workers[f"{name}{self._started}"] = child
        return child

    def start_workers(self, number: int = 1, **changes: Any) -> None:
        """Start worker processes; they take what is in `posts` from the stored cursors on."""
        for _ in range(number):
            home = {"worker__data_dir": str(self.directory / f"home{self._started}")}
            self.start_process("worker", **home, **changes)

    def wait_for(
        self, child: Child, claim: Callable[[], bool], what: str, limit_s: float = READY_S
    ) -> None:
        """Wait until `claim`, which is to become true while the child runs.

        Raises:
            BenchFailed: It did not within `limit_s` seconds, or the child has ended.
        """
        give_up_at = time.monotonic() + limit_s
        while not claim():
            if time.monotonic() > give_up_at or not child.is_running:
                raise BenchFailed(f"{child.log_path.stem}: {what}\n{self.last_words()}")
            time.sleep(POLL_S)

    def wait_said(self, child: Child, words: str, times: int = 1) -> None:
        """Wait until a child's log has these words so many times.

        Raises:
            BenchFailed: It has not, or the child has ended.
        """
        self.wait_for(
            child, lambda: child.log_path.read_text(errors="replace").count(words) >= times,
            f"does not say {words!r}",
        )  # fmt: skip

    def wait_assigned(self) -> None:
        """Wait until the workers together own every partition and none is being handed over."""
        wanted = 2 * self.settings.kafka.partitions  # of posts and of post-events
        give_up_at = time.monotonic() + READY_S
        settled_since = None
        while settled_since is None or time.monotonic() - settled_since < 1.0:
            if time.monotonic() > give_up_at:
                raise BenchFailed(f"the workers did not share {wanted}\n{self.last_words()}")
            owned = [_assigned(child.log_path) for child in self.workers.values()]
            if all(n is not None for n in owned) and sum(n or 0 for n in owned) == wanted:
                settled_since = settled_since or time.monotonic()
            else:
                settled_since = None
            time.sleep(0.1)

    def stop_workers(self) -> None:
        """Stop every worker; the next goes on from the stored cursors."""
        for child in self.workers.values():
            child.ask_to_stop()
        for child in self.workers.values():
            child.stop(30)
        self.workers.clear()

    @property
    def redis_pid(self) -> int:
        """Process id of the store."""
        return self._redis_server.pid

    def last_words(self) -> str:
        """Return the ends of the logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.directory.glob("*.log"))
        )

    # -- posts --------------------------------------------------------------------------------

    def produce(self, posts: Iterable[Keyed]) -> int:
        """Produce posts to the partitions of their keys; return how many, once acknowledged."""
        number = self._runner.run(self._produce(posts))
        self._produced += number
        return number

    async def _produce(self, posts: Iterable[Keyed]) -> int:
        sink = KafkaSink(self.settings.kafka)
        await sink.start()
        number = 0
        waiting: dict[int, list[OutRecord]] = {}
        try:
            for post in posts:
                number += 1
                partition = partition_of(post.key, self.settings.kafka.partitions)
                records = waiting.setdefault(partition, [])
                records.append(OutRecord(post.key, post.value))
                if len(records) >= _SEND_RECORDS:
                    await sink.send(POSTS, partition, waiting.pop(partition))
            for partition, records in waiting.items():
                await sink.send(POSTS, partition, records)
        finally:
            await sink.stop()
        return number

    def expect(self, posts: int) -> None:
        """Take note of posts that somebody else produced."""
        self._produced += posts

    def accounted(self) -> int:
        """Return posts counted plus messages dead-lettered so far, by the store's totals."""
        pipe = self.redis.pipeline(transaction=False)
        for partition in range(self.settings.kafka.partitions):
            pipe.hmget(keys.cursor(partition), "counted", f"dead:{POSTS}")
        return sum(int(n or 0) for totals in pipe.execute() for n in totals)

    # -- timing -------------------------------------------------------------------------------

    def cpu_s(self) -> dict[str, float]:
        """Return the processor seconds of each part of the system so far, children included."""
        pids = {"kafka": self.kafka.pid, "redis": self.redis_pid}
        if self.triton is not None:
            pids["triton"] = self.triton.pid
        pids |= {name: child.pid for name, child in self.workers.items()}
        return {name: process_cpu_s(pid) for name, pid in pids.items()}

    def drain(
        self, warm_up_posts: int = 0, observe: Callable[[int], None] = lambda _: None
    ) -> Drained:
        """Wait until all that was produced is applied; time it from the first apply on.

        Args:
            warm_up_posts: The number of posts after the first that are not timed.
            observe: Called with the posts applied so far, some fifty times a second.
        """
        began = self.accounted()
        before = self.cpu_s()
        first, started = self._wait_beyond(began + warm_up_posts, observe)
        if first < self._produced:
            before = self.cpu_s()
        else:  # so few that one look saw them all: the time since the look before is all we know
            first, started = began, started - POLL_S
        _, ended = self._wait_beyond(self._produced - 1, observe)
        after = self.cpu_s()
        used = {name: after[name] - before[name] for name in before}
        return Drained(self._produced - first, ended - started, used)

    def wait_all(self) -> None:
        """Wait until all that was produced is applied, whenever that was."""
        self._wait_beyond(self._produced - 1, lambda _: None)

    def rush(self, posts: Iterable[Keyed]) -> Drained:
        """Produce a backlog for workers that stand idle; time it from the first record sent on.

        Nothing of the pipeline is full when the clock starts, so nothing is counted that was
        worked on before.
        """
        ready = list(posts)
        before, started = self.cpu_s(), time.perf_counter()
        self.produce(ready)
        _, ended = self._wait_beyond(self._produced - 1, lambda _: None)
        after = self.cpu_s()
        used = {name: after[name] - before[name] for name in before}
        return Drained(len(ready), ended - started, used)

    def _wait_beyond(self, number: int, observe: Callable[[int], None]) -> tuple[int, float]:
        """Return posts applied and the time (perf_counter) once they are more than `number`."""
        reached, moved_at = -1, time.monotonic()
        while True:
            found = self.accounted()
            observe(found)
            if found > number:
                return found, time.perf_counter()
            now = time.monotonic()
            if found > reached:
                reached, moved_at = found, now
            ended = [name for name, child in self.workers.items() if not child.is_running]
            if ended or now - moved_at > STALLED_S:
                raise BenchFailed(
                    f"stopped at {found:,} of {number + 1:,} posts; ended: {ended}\n"
                    f"{self.last_words()}"
                )
            time.sleep(POLL_S)


def _assigned(log: Path) -> int | None:
    """Return how many partitions the last assignment in a worker's log has, None without one."""
    found = None
    if log.exists():
        for line in log.read_text(errors="replace").splitlines():
            if "partitions assigned" in line:
                found = line.count("('")
    return found
