"""Prometheus and Alertmanager on this machine, if they are installed; the stack runs without."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.folders import runbooks, shipped
from services.local.child import Command
from services.local.ports import LOOPBACK, any_free_port
from services.local.probes import http_answers
from services.local.server import LocalServer, ServerFailed

_PROMETHEUS_NAMES = ("prometheus",)
_ALERTMANAGER_NAMES = ("alertmanager", "prometheus-alertmanager")  # the second is Debian's
_RETENTION = "2d"
_MAINTENANCE = "10s"


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One metrics page.

    Attributes:
        part: The name of the process, the `part` label of its series.
        port: The loopback port of its page.
    """

    part: str
    port: int


def _first_program(names: Sequence[str]) -> Path | None:
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
    return None


def prometheus_program() -> Path | None:
    """Return the installed Prometheus, or None."""
    return _first_program(_PROMETHEUS_NAMES)


def alertmanager_program() -> Path | None:
    """Return the installed Alertmanager, or None."""
    return _first_program(_ALERTMANAGER_NAMES)


class _Watcher(LocalServer):
    """A server with one port, for its pages and its API."""

    def __init__(self, directory: Path, port: int | None, log_path: Path | None) -> None:
        super().__init__(directory, log_path)
        self.port = port or any_free_port()

    @property
    def url(self) -> str:
        """Base address of its pages and API."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of its pages and API."""
        return {"http": self.port}

    def is_ready(self) -> bool:
        """It says that it serves."""
        return http_answers(self.port, "/-/ready")


class PrometheusServer(_Watcher):
    """Collects the metrics of all processes; its configuration is `deploy/prometheus/`."""

    name = "prometheus"

    def __init__(
        self,
        directory: Path,
        targets: Sequence[ScrapeTarget],
        port: int | None = None,
        alertmanager_port: int | None = None,
        log_path: Path | None = None,
    ) -> None:
        """Choose a port; start nothing yet.

        Args:
            directory: The home of configuration and series; existing series are continued.
            targets: The pages to scrape.
            port: Where the page is served; any free port if None.
            alertmanager_port: Where alerts are sent; None sends them nowhere.
            log_path: The file for the server's output; `<directory>/prometheus.log` if None.
        """
        super().__init__(directory, port, log_path)
        self._targets = tuple(targets)
        self._alertmanager_port = alertmanager_port

    def is_planned_as(self, other: LocalServer) -> bool:
        """Tell whether the other scrapes the same pages and sends alerts to the same place."""
        return (
            isinstance(other, PrometheusServer)
            and super().is_planned_as(other)
            and (self._targets, self._alertmanager_port)
            == (other._targets, other._alertmanager_port)
        )

    def command(self) -> Command:
        """Write the configuration and return the server's command.

        Raises:
            ServerFailed: Prometheus is not installed.
        """
        program = prometheus_program()
        if program is None:
            raise ServerFailed("prometheus is not installed")
        configuration = self.directory / "prometheus.yml"
        shutil.copyfile(shipped("deploy", "prometheus", "prometheus.yml"), configuration)
        rules = shipped("deploy", "prometheus", "rules")
        if rules.is_dir():
            shutil.copytree(rules, self.directory / "rules", dirs_exist_ok=True)
        alertmanagers = [] if self._alertmanager_port is None else [self._alertmanager_port]
        self._write_targets("targets.json", self._targets)
        self._write_targets(
            "alertmanagers.json", [ScrapeTarget("alertmanager", port) for port in alertmanagers]
        )
        return Command(
            (
                str(program),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.directory / 'series'}",
                f"--storage.tsdb.retention.time={_RETENTION}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                "--enable-feature=expand-external-labels",  # always on in Prometheus 3
                "--log.level=warn",
            ),
            env={"GROUNDSWELL_RUNBOOKS": runbooks()},
            cwd=self.directory,
        )

    def _write_targets(self, filename: str, targets: Sequence[ScrapeTarget]) -> None:
        groups = [
            {"targets": [f"{LOOPBACK}:{target.port}"], "labels": {"part": target.part}}
            for target in targets
        ]
        (self.directory / filename).write_text(json.dumps(groups, indent=2))


class AlertmanagerServer(_Watcher):
    """Groups and shows alerts; its configuration is `deploy/alertmanager/`."""

    name = "alertmanager"

    def __init__(
        self, directory: Path, port: int | None = None, log_path: Path | None = None
    ) -> None:
        """Choose a port; start nothing yet.

        Args:
            directory: The home of configuration, silences and the notification log.
            port: Where page and API are served; any free port if None.
            log_path: The file for the server's output; `<directory>/alertmanager.log` if None.
        """
        super().__init__(directory, port, log_path)

    def command(self) -> Command:
        """Copy the configuration and return the server's command.

        Raises:
            ServerFailed: Alertmanager is not installed.
        """
        program = alertmanager_program()
        if program is None:
            raise ServerFailed("alertmanager is not installed")
        configuration = self.directory / "alertmanager.yml"
        shutil.copyfile(shipped("deploy", "alertmanager", "alertmanager.yml"), configuration)
        return Command(
            (
                str(program),
                f"--config.file={configuration}",
                f"--storage.path={self.directory / 'stored'}",
                # What was sent is written so often: after a kill it is not sent again.
                f"--data.maintenance-interval={_MAINTENANCE}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                "--cluster.listen-address=",  # one of its kind: no gossip, no port for it
                "--log.level=warn",
            ),
            cwd=self.directory,
        )
