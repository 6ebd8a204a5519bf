"""Which parts the local stack has, in which order, on which ports, with which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import config
from core.errors import ConfigError
from core.folders import runbooks
from services.local.child import Command
from services.local.kafka_server import KafkaServer
from services.local.options import StackOptions
from services.local.paths import AUTHOR_KEY_VARIABLE, groundswell_argv
from services.local.ports import LOOPBACK, PortBook
from services.local.prometheus_server import (
    AlertmanagerServer,
    PrometheusServer,
    ScrapeTarget,
    alertmanager_program,
    prometheus_program,
)
from services.local.redis_server import RedisServer
from services.local.server import LocalServer, Program
from services.local.supervisor import StackPart, StartStage, StartTask
from services.local.triton_server import TritonServer

INGEST = "ingest"
HEARTBEAT = "heartbeat"
FORECASTER = "forecaster"
RESPONDER = "responder"
CONSOLE = "console"
_BESIDE = {"triton": "triton", "openvino": "in_process", "fake": "fake"}
"""Scorer -> the kind of engagement and of crowd model that is where it is."""
_WORKER_GRACE_S = 25.0  # above worker.drain_timeout_s: batches in flight may finish


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts of one stack, ready to be supervised.

    Attributes:
        options: What was asked for.
        steps: For the supervisor.
        environment: The `GROUNDSWELL__…` variables that lead any command to this stack.
        urls: Part -> where people or clients reach it.
        ports: Which its parts have; None if they have no choice.
    """

    options: StackOptions
    steps: tuple[StartStage | StartTask, ...]
    environment: dict[str, str]
    urls: dict[str, str]
    ports: PortBook | None = None

    def without(self, port: int) -> "Stack":
        """Return the stack as it is without a port that another program listens on."""
        if self.ports is None:
            raise ValueError("a stack without a book of ports cannot be laid out again")
        self.ports.lose(port)
        return plan_stack(self.options, ports=self.ports)

    @property
    def servers(self) -> list[LocalServer]:
        """Every part's server, in starting order."""
        return [
            part.server
            for step in self.steps
            if isinstance(step, StartStage)
            for part in step.parts
        ]


def groundswell_command(
    arguments: Sequence[str], environment: dict[str, str], config: Path | None = None
) -> Command:
    """Return the command that runs `groundswell ARGUMENTS` with this interpreter."""
    chosen = () if config is None else ("--config", str(config.resolve()))
    return Command((*groundswell_argv(), *chosen, *arguments), environment)


def plan_stack(
    options: StackOptions, *, usual_ports: bool = True, ports: PortBook | None = None
) -> Stack:
    """Choose ports and lay out all parts; nothing is started or written.

    Args:
        options: What was asked for.
        usual_ports: False takes free ports only, so that stacks can run side by side.
        ports: The book of a stack that is laid out again; None opens one.
    """
    book = ports or PortBook(usual_ports)
    planner = _Planner(options, book)
    servers = planner.backing_servers()
    processes = planner.processes()
    watchers = planner.watchers([*servers, *processes]) if options.metrics_stack else []
    steps: list[StartStage | StartTask] = [
        StartStage(tuple(StackPart(server) for server in servers)),
        StartTask("topics", planner.own_command(("topics", "create"))),
        # The source comes last, so that the first post finds everybody there.
        StartStage(tuple(StackPart(process) for process in processes if process.name != INGEST)),
        StartStage(tuple(StackPart(watcher) for watcher in watchers)),
        *planner.measuring(),
        StartStage(tuple(StackPart(p, may_end=True) for p in processes if p.name == INGEST)),
    ]
    kept = [step for step in steps if isinstance(step, StartTask) or step.parts]
    return Stack(options, tuple(kept), planner.environment, planner.urls, book)


def _has_author_key(options: StackOptions) -> bool:
    """Tell whether the settings that processes will find name a key of their own."""
    try:
        return bool(config.load(options.config, fallback=options.settings).ingest.author_key)
    except ConfigError:  # the first process that reads them says it better
        return False


class _Planner:
    """Collects addresses while the parts are laid out: each needs those before it."""

    def __init__(self, options: StackOptions, book: PortBook) -> None:
        self._options = options
        self._book = book
        self._paths = options.paths
        self._watcher_ports: dict[str, int] = {}
        self.urls: dict[str, str] = {}
        self.environment: dict[str, str] = {
            "GROUNDSWELL__KAFKA__PARTITIONS": str(options.partitions),
            "GROUNDSWELL__SCORER__KIND": options.scorer,
            "GROUNDSWELL__FORECASTS__KIND": _BESIDE.get(options.scorer, "triton"),
            "GROUNDSWELL__RESPONDER__CROWD_KIND": _BESIDE.get(options.scorer, "triton"),
            "GROUNDSWELL__SCORER__REPOSITORY": str(self._paths.model_repository),
            "GROUNDSWELL__INGEST__CURSOR_DIR": str(self._paths.state / "ingest"),
        }
        if not _has_author_key(options):
            # Ingest hides authors by it, and workers find `@author` by it: all need the same one.
            self.environment[AUTHOR_KEY_VARIABLE] = str(self._paths.author_key)

    def backing_servers(self) -> list[LocalServer]:
        """Broker, store and, if it is asked for, the model server."""
        take = self._book.take
        kafka = KafkaServer(
            self._paths.state / "kafka",
            port=take("kafka"),
            controller_port=take("kafka controller"),
            log_path=self._log("kafka"),
            cache=self._paths.cache,
        )
        redis = RedisServer(
            self._paths.state / "redis", port=take("redis"), log_path=self._log("redis")
        )
        self.urls |= {"kafka": kafka.bootstrap, "redis": redis.url}
        self.environment |= {
            "GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
            # Whoever answers there later, it is this one that is meant.
            "GROUNDSWELL__KAFKA__CLUSTER_ID": kafka.cluster_id,
            "GROUNDSWELL__REDIS__URL": redis.url,
        }
        servers: list[LocalServer] = [kafka, redis]
        if self._options.scorer == "triton":
            triton = TritonServer(
                self._paths.state / "triton",
                http_port=take("triton http"),
                grpc_port=take("triton grpc"),
                metrics_port=take("triton metrics"),
                log_path=self._log("triton"),
                repository=self._paths.model_repository,
            )
            self.urls["triton"] = triton.http_url
            self.environment["GROUNDSWELL__SCORER__URL"] = triton.grpc_address
            servers.append(triton)
        self._plan_console()
        if self._options.metrics_stack:
            self._plan_watchers()
        self.environment |= self._options.settings
        return servers

    def _plan_console(self) -> None:
        """Choose the port of the console: alerts lead there."""
        port = self._book.take("console page")
        self.environment |= {
            "GROUNDSWELL__CONSOLE__ADDRESS": LOOPBACK,
            "GROUNDSWELL__CONSOLE__PORT": str(port),
            "GROUNDSWELL__CONSOLE__LOCAL_LINK": "true",
            "GROUNDSWELL__CONSOLE__DATA_DIR": str(self._paths.console),
            "GROUNDSWELL__ALERTS__LINK": f"http://{LOOPBACK}:{port}/alerts/{{alert_id}}",
        }

    def _plan_watchers(self) -> None:
        """Choose the ports of Prometheus and Alertmanager: the closer is told of the latter."""
        self.environment["GROUNDSWELL__ALERTS__RUNBOOKS"] = runbooks()
        if prometheus_program():
            self._watcher_ports["prometheus"] = self._book.take("prometheus")
        if alertmanager_program():
            port = self._book.take("alertmanager")
            self._watcher_ports["alertmanager"] = port
            url = f"http://{LOOPBACK}:{port}"
            self.environment["GROUNDSWELL__ALERTS__ALERTMANAGER_URL"] = url

    def processes(self) -> list[LocalServer]:
        """Groundswell's own processes, each with a metrics page."""
        found: list[LocalServer] = [self._process("closer", ("closer",))]
        for number in range(self._options.workers):
            name = f"worker-{number + 1}"
            own = {
                "GROUNDSWELL__WORKER__DATA_DIR": str(self._paths.state / name),
                "GROUNDSWELL__WORKER__INSTANCE": name,
            }
            found.append(self._process("worker", ("worker",), name, number, own, _WORKER_GRACE_S))
        if self._options.forecasts:
            found.append(self._process(FORECASTER, (FORECASTER,)))
            if self._options.responses:
                found.append(self._process(RESPONDER, (RESPONDER, "run")))
        found.append(self._process("exporter", ("exporter",)))
        page = self._book.take("console page")
        found.append(self._process(CONSOLE, (CONSOLE,), listens={"page": page}))
        self.urls[CONSOLE] = f"http://{LOOPBACK}:{page}"
        if self._options.heartbeat:
            found.append(self._process(HEARTBEAT, (HEARTBEAT,)))
        if self._options.source:
            arguments = (INGEST, "--source", self._options.source, *self._options.ingest_arguments)
            if self._options.measured_rate is not None:
                arguments += (f"--options={self._rate_file}",)
            found.append(self._process(INGEST, arguments))
        return found

    def measuring(self) -> list[StartTask]:
        """What sets the source's rate by this machine, once the scorer is up, if that is asked."""
        most = self._options.measured_rate
        if most is None:
            return []
        words = (*groundswell_argv("services.local.demo_rate"), str(self._rate_file), str(most))
        variables = self.environment
        if self._options.config is not None:
            variables = variables | {"GROUNDSWELL_CONFIG": str(self._options.config.resolve())}
        return [StartTask("rate", Command(words, variables), speaks=True)]

    @property
    def _rate_file(self) -> Path:
        return self._paths.state / "rate.toml"

    def own_command(self, arguments: Sequence[str]) -> Command:
        """One of Groundswell's commands, towards this stack."""
        return groundswell_command(arguments, self.environment, self._options.config)

    def _process(
        self,
        use: str,
        arguments: Sequence[str],
        name: str = "",
        port_offset: int = 0,
        extra: dict[str, str] | None = None,
        stop_grace_s: float = 10.0,
        listens: Mapping[str, int] | None = None,
    ) -> LocalServer:
        name = name or use
        port = self._book.take(use, port_offset)
        self.urls[name] = f"http://127.0.0.1:{port}/metrics"
        variables = self.environment | {"GROUNDSWELL__METRICS__PORT": str(port)} | (extra or {})
        return Program(
            name,
            groundswell_command(arguments, variables, self._options.config),
            self._paths.state / name,
            ports={"metrics": port} | dict(listens or {}),
            log_path=self._log(name),
            stop_grace_s=stop_grace_s,
        )

    def watchers(self, watched: Sequence[LocalServer]) -> list[LocalServer]:
        """Prometheus and Alertmanager, each if it is installed."""
        targets = [
            ScrapeTarget(server.name, server.ports["metrics"])
            for server in watched
            if "metrics" in server.ports
        ]
        found: list[LocalServer] = []
        alertmanager_port = self._watcher_ports.get("alertmanager")
        if alertmanager_port is not None:
            alertmanager = AlertmanagerServer(
                self._paths.state / "alertmanager", alertmanager_port, self._log("alertmanager")
            )
            self.urls["alertmanager"] = alertmanager.url
            targets.append(ScrapeTarget("alertmanager", alertmanager_port))
            found.append(alertmanager)
        if "prometheus" in self._watcher_ports:
            prometheus = PrometheusServer(
                self._paths.state / "prometheus",
                targets,
                self._watcher_ports["prometheus"],
                alertmanager_port,
                self._log("prometheus"),
            )
            self.urls["prometheus"] = prometheus.url
            found.append(prometheus)
        return found

    def _log(self, name: str) -> Path:
        return self._paths.logs / f"{name}.log"
