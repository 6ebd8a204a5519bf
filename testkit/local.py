"""Real servers for tests, each a context manager; `tests/conftest.py` makes fixtures of them.

The caller gives the directory (pytest's `tmp_path_factory`); ports are free ones of the loopback
interface, so several test runs can share a machine.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from services.local.child import Command
from services.local.kafka_server import KafkaServer
from services.local.ports import LOOPBACK
from services.local.prometheus_server import AlertmanagerServer, PrometheusServer
from services.local.redis_server import RedisServer
from services.local.server import PortLost
from services.local.triton_server import (
    DEFAULT_SERVER_PYTHON,
    TritonServer,
    build_model_repository,
)


@contextmanager
def kafka_server(directory: Path) -> Iterator[KafkaServer]:
    """A ready broker without topics; `.bootstrap` is its address."""
    with KafkaServer(directory) as server:
        yield server


@contextmanager
def redis_server(directory: Path) -> Iterator[RedisServer]:
    """A ready, empty Redis; `.url` is its address."""
    with RedisServer(directory) as server:
        yield server


@contextmanager
def triton_server(
    directory: Path, server_python: Path = DEFAULT_SERVER_PYTHON
) -> Iterator[TritonServer]:
    """A ready Triton with the shipped model, built first when needed; `.grpc_address`."""
    build_model_repository(server_python)
    with TritonServer(directory, server_python=server_python) as server:
        yield server


class HurriedPrometheus(PrometheusServer):
    """The project's own configuration and rules, with seconds where those have minutes."""

    def command(self) -> Command:
        """Return the server's command, once the copied configuration is made faster."""
        command = super().command()
        _replace(
            self.directory / "prometheus.yml",
            (r"(scrape_interval|scrape_timeout|evaluation_interval): \w+", r"\1: 1s"),
        )
        for rules in (self.directory / "rules").glob("*.yml"):
            _replace(
                rules,
                (r"\b(for|keep_firing_for): \w+", r"\1: 1s"),
                (r"\binterval: \w+", "interval: 1s"),
                (r"\[[125]m\]", "[10s]"),
            )
        return command


class HurriedAlertmanager(AlertmanagerServer):
    """The project's own routes and inhibition, with seconds, and a webhook as its receiver."""

    webhook_url: str = ""

    def command(self) -> Command:
        """Return the server's command, once the copied configuration is made faster."""
        command = super().command()
        receiver = f"- name: page\n    webhook_configs:\n      - url: {self.webhook_url}\n"
        _replace(
            self.directory / "alertmanager.yml",
            (r"group_wait: \w+", "group_wait: 1s"),
            (r"group_interval: \w+", "group_interval: 1s"),
            (r"- name: page\n", receiver),
        )
        return command


def _replace(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for pattern, replacement in changes:
        text = re.sub(pattern, replacement, text)
    path.write_text(text)


class Webhook:
    """A receiver of Alertmanager's notifications that keeps them; a context manager.

    Attributes:
        notifications: as they came.
        url: where they are sent.
    """

    def __init__(self) -> None:
        self.notifications: list[dict[str, Any]] = []
        kept = self.notifications

        class Handler(BaseHTTPRequestHandler):
            """Keeps what is posted."""

            def do_POST(self) -> None:
                """Take a notification."""
                length = int(self.headers["Content-Length"])
                kept.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook")
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/"

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts of all notifications that have these labels, in order."""
        return [
            alert
            for notification in list(self.notifications)
            for alert in notification["alerts"]
            if labels.items() <= alert["labels"].items()
        ]

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def listening_alertmanager(directory: Path, webhook: Webhook) -> Iterator[HurriedAlertmanager]:
    """Give an Alertmanager that listens before anybody is told of its port.

    Chosen first and listened on once the stack is up, its port could be another's by then.
    """
    with ExitStack() as stack:
        while True:
            server = HurriedAlertmanager(directory)
            server.webhook_url = webhook.url
            try:
                stack.enter_context(server)
                break
            except PortLost:
                continue
        yield server
