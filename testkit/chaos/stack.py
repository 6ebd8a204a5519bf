"""The stack that chaos breaks: real servers and processes on free ports, proxies in between."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.config import build
from core.settings import Settings
from services.local.child import Command, signal_session
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from services.local.ports import any_free_port, is_free
from services.local.redis_server import RedisServer
from services.local.server import LocalServer, Program
from services.local.supervisor import StackPart, StartStage, StartTask, Supervisor
from services.local.triton_server import TritonServer
from testkit.chaos.broker import ProxiedKafka
from testkit.chaos.disk import SmallDisk
from testkit.chaos.proxy import ProxyThread, TcpProxy
from testkit.chaos.settings_tree import settings_tree
from testkit.chaos.stand_in import WRONG_FILE

_CLI: Final = ("-m", "services.cli.main")
EVENT_POSTS_PER_S: Final = 200.0
"""Posts per second of event time; how fast it runs is `StackOptions.posts_per_s`."""
REPLY_SHARE: Final = 0.3
DELETE_SHARE: Final = 0.02
"""Enough that posts which take off, and replies to them, are among those deleted."""
TAIL_S: Final = 5.0
"""Copies, edits and deletions come at most so long after their post, by the wall clock."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What is run.

    Attributes:
        root: Where all files go; emptied first.
        posts: The number of distinct posts that the source makes.
        posts_per_s: How many of them a second, by the wall clock.
        seed: The seed of the source.
        workers: How many workers there are.
        scorer: `fake` (a stand-in process) or `triton`.
        scorers: How many of them there are.
        scorer_delay_ms: How long the stand-in thinks about a batch.
        lasting_s: How long faults last that have no length of their own; 0 is a few seconds.
        code: The source tree that the workers run from.
        settings: Further settings of every process, `section.field` -> value.
    """

    root: Path
    posts: int
    posts_per_s: float
    seed: int
    workers: int = 2
    scorer: str = "fake"
    scorers: int = 1
    scorer_delay_ms: float = 20.0
    lasting_s: float = 0.0
    code: Path = PROJECT_ROOT
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


class ChaosStack:
    """Builds, starts, pauses and takes down. Use from the main thread as a context manager.

    Attributes:
        settings: What every process is given.
        supervisor: Starts again what dies; its `check` must be called often.
        kafka, redis: The servers themselves, past their proxies.
        proxies: `kafka`, `redis`, and the names of the scorers -> the proxy before it.
        scorers: The names of the scorers: `scorer`, or `scorer-1` and so on.
        wrong_answers: Where each stand-in writes down what it answers wrongly.
        disk: The disk of Redis; not mounted where that is not permitted.
    """

    def __init__(self, options: StackOptions, say: Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self._threads = ProxyThread()
        self._ports: set[int] = set()
        self.proxies: dict[str, TcpProxy] = {}
        self.ledger = options.root / "ledger.jsonl"
        numbers = range(1, options.scorers + 1)
        self.scorers = [f"scorer-{n}" for n in numbers] if options.scorers > 1 else ["scorer"]
        self.wrong_answers = [options.root / name / WRONG_FILE for name in self.scorers]
        self.disk = SmallDisk(options.root / "redis" / "stored")
        self._held_pid: int | None = None

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> ChaosStack:
        """Start everything and wait for it; ingest comes last."""
        shutil.rmtree(self.options.root, ignore_errors=True)
        self._threads.__enter__()
        try:
            names = ("kafka", "redis", *self.scorers)
            self.proxies = {name: self._threads.add() for name in names}
            self._lay_out()
            self.disk.mount()
            self.supervisor.bring_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything; files stay."""
        if hasattr(self, "supervisor"):
            for part in self.supervisor.parts:
                if part.server.is_running:
                    self.signal(part, signal.SIGCONT)
            self.supervisor.take_down()
        self._threads.__exit__()
        self.disk.unmount()

    def _lay_out(self) -> None:
        root = self.options.root
        self.kafka = ProxiedKafka(
            root / "kafka", self._port(), self._port(), cache=DEFAULT_PATHS.cache
        )
        self.kafka.advertised_port = self.proxies["kafka"].port
        self.redis = RedisServer(root / "redis", self._port())
        scorers = [self._make_scorer(name) for name in self.scorers]
        self.proxies["kafka"].target_port = self.kafka.port
        self.proxies["redis"].target_port = self.redis.port
        tree = settings_tree(self.options, {name: p.port for name, p in self.proxies.items()})
        self.settings: Settings = build(tree)
        self._environment = {
            f"GROUNDSWELL__{section}__{name}".upper(): str(value)
            for section, fields in tree.items()
            for name, value in fields.items()
        }
        servers = StartStage(tuple(StackPart(s) for s in (self.kafka, self.redis, *scorers)))
        workers = (self._worker(number + 1) for number in range(self.options.workers))
        beside = [self._closer(), self._forecaster(), self._responder(), self._herald()]
        own = [*beside, *workers]
        self.supervisor = Supervisor(
            [
                servers,
                StartTask("topics", self._command((*_CLI, "topics", "create"), PROJECT_ROOT)),
                StartStage(tuple(StackPart(process) for process in own)),
                StartStage((StackPart(self._ingest(), may_end=True),)),
            ],
            say=self.say,
        )

    def _make_scorer(self, name: str) -> LocalServer:
        folder = self.options.root / name
        if self.options.scorer == "triton":
            triton = TritonServer(
                folder, self._port(), self._port(), self._port(),
                repository=DEFAULT_PATHS.model_repository,
            )  # fmt: skip
            triton.name = name
            self.proxies[name].target_port = triton.grpc_port
            return triton
        port, delay = self._port(), str(self.options.scorer_delay_ms)
        self.proxies[name].target_port = port
        command = Command(
            (sys.executable, "-m", "testkit.chaos.stand_in", str(folder), str(port), delay),
            {"PYTHONPATH": str(PROJECT_ROOT)},
            PROJECT_ROOT,
        )
        return Program(
            name, command, folder, ports={"scores": port},
            ready=lambda: not is_free(port),
        )  # fmt: skip

    # -- our own processes --------------------------------------------------------------------

    def _closer(self) -> LocalServer:
        return self._process("closer", (*_CLI, "closer"), PROJECT_ROOT)

    def _forecaster(self) -> LocalServer:
        return self._process("forecaster", (*_CLI, "forecaster"), PROJECT_ROOT)

    def _responder(self) -> LocalServer:
        return self._process("responder", (*_CLI, "responder", "run"), PROJECT_ROOT)

    def _herald(self) -> LocalServer:
        command = self._command(("-m", "testkit.chaos.herald"), PROJECT_ROOT)
        return Program("herald", command, self.options.root / "herald")

    def _worker(self, number: int) -> LocalServer:
        name = f"worker-{number}"
        extra = {
            "GROUNDSWELL__WORKER__DATA_DIR": str(self.options.root / name),
            "GROUNDSWELL__WORKER__INSTANCE": name,
        }
        return self._process(name, ("-m", "testkit.chaos.worker"), self.options.code, extra)

    def _ingest(self) -> LocalServer:
        options = self.options
        speed = options.posts_per_s / EVENT_POSTS_PER_S
        # What follows a post follows soon by the wall clock too, or the end would be long.
        soon_s = min(20.0, max(1.0, TAIL_S * speed))
        arguments = (
            *_CLI, "ingest", "--source", "synthetic",
            "--posts", str(options.posts), "--seed", str(options.seed),
            "--rate", str(EVENT_POSTS_PER_S),
            "--speed", f"{speed:.6f}",
            "--history-s", f"{options.posts / EVENT_POSTS_PER_S:.3f}",
            "--ledger", str(self.ledger), "--set", "daily_cycle=0.0",
            "--set", f"reply_share={REPLY_SHARE}", "--set", f"delete_share={DELETE_SHARE}",
            "--set", f"follow_up_max_s={soon_s:.3f}", "--set", f"late_max_s={soon_s:.3f}",
        )  # fmt: skip
        return self._process("ingest", arguments, PROJECT_ROOT)

    def _process(
        self, name: str, arguments: tuple[str, ...], code: Path, extra: dict[str, str] | None = None
    ) -> LocalServer:
        port = self._port()
        own = {"GROUNDSWELL__METRICS__PORT": str(port)} | (extra or {})
        command = self._command(arguments, code, own)
        return Program(name, command, self.options.root / name, ports={"metrics": port})

    def _command(
        self, arguments: tuple[str, ...], code: Path, extra: dict[str, str] | None = None
    ) -> Command:
        variables = self._environment | {"PYTHONPATH": str(code)} | (extra or {})
        return Command((sys.executable, *arguments), variables, code)

    def _port(self) -> int:
        port = any_free_port(self._ports)
        self._ports.add(port)
        return port

    # -- for the driver -----------------------------------------------------------------------

    def part(self, name: str) -> StackPart:
        """Return the part of this name."""
        return next(part for part in self.supervisor.parts if part.server.name == name)

    def parts_of(self, kind: str) -> list[StackPart]:
        """Return the parts of a kind: every worker, or the one of that name."""
        return [
            part
            for part in self.supervisor.parts
            if part.server.name == kind or part.server.name.startswith(f"{kind}-")
        ]

    def signal(self, part: StackPart, number: signal.Signals) -> None:
        """Send a signal to the part and all it started, a Triton in a group of its own too."""
        if part.server.is_running:
            signal_session(part.server.pid, number)

    def cut(self, name: str) -> None:
        """Reset all connections that go through a proxy."""
        self._threads.cut(self.proxies[name])

    def hold_ingest(self, wanted: bool) -> None:
        """Hold the source back, or let it go on; it was started again if it died meanwhile."""
        part = self.part("ingest")
        pid = part.server.pid if part.server.is_running else None
        if wanted and pid is not None and self._held_pid != pid:
            self.signal(part, signal.SIGSTOP)
            self._held_pid = pid
        elif not wanted and self._held_pid is not None:
            if pid == self._held_pid:
                self.signal(part, signal.SIGCONT)
            self._held_pid = None

    @property
    def is_holding(self) -> bool:
        """True while the source is held back."""
        return self._held_pid is not None
