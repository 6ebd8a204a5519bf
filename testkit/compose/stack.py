"""The project's compose file under a name of the test's own, and what the engine says of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from testkit.compose.engine import Engine
from testkit.compose.failures import run, wait_while

PROJECT: Final = "groundswell-compose-test"
_OWN: Final = ("--filter", f"label=com.docker.compose.project={PROJECT}", "--quiet")
PORTS: Final = {"GRAFANA": 13000, "PROMETHEUS": 19090, "ALERTMANAGER": 19093, "CONSOLE": 18080}
"""Page -> the port of this machine on which it is published."""
_PATIENCE_S: Final = 600.0


class Stack:
    """The project's compose file under a name of this test's own."""

    def __init__(self, engine: Engine, root: Path, folder: Path) -> None:
        """Make secrets, and the overlay for an engine of the distribution."""
        self._engine, self._root = engine, root
        run((str(root / "deploy/docker/make_secrets.sh"), str(folder / "secrets")), cwd=folder)
        self.secrets = folder / "secrets"
        self.grafana_password = (self.secrets / "grafana_admin_password").read_text()
        self.console_key = (self.secrets / "console_key").read_text()
        self.environment = {
            **engine.environment,
            "GROUNDSWELL_SECRETS": str(self.secrets),
            **{f"GROUNDSWELL_{name}_PORT": str(port) for name, port in PORTS.items()},
        }  # fmt: skip
        self._files = ("--file", str(root / "docker-compose.yml"))
        self.services = self.config("cpu")
        overlay = folder / "overlay.yml"
        overlay.write_text(overlay_for({**self.services, **self.config("gpu")}))
        self._files = (*self._files, "--file", str(overlay))

    def lay_over(self, path: Path, text: str) -> None:
        """Write a further overlay and use it from now on."""
        path.write_text(text)
        self._files = (*self._files, "--file", str(path))

    def __call__(self, *words: str, profiles: str = "cpu", timeout_s: float = 1_800.0) -> str:
        """Run a command of Compose."""
        argv = (str(self._engine.compose_program()), "--project-name", PROJECT,
                "--project-directory", str(self._root), *self._files, *words)  # fmt: skip
        environment = {**self.environment, "COMPOSE_PROFILES": profiles}
        return run(argv, env=environment, timeout_s=timeout_s)

    def config(self, profile: str) -> dict[str, Any]:
        """Return the services of a profile, as Compose reads them."""
        read = self("--profile", profile, "config", "--format", "json", profiles="")
        return json.loads(read)["services"]

    def containers(self) -> list[dict[str, Any]]:
        """Return what the engine says of every container."""
        ids = self._engine.docker("ps", "--all", *_OWN).split()
        return json.loads(self._engine.docker("inspect", *ids)) if ids else []

    def wait_until_healthy(self, **replicas: int) -> None:
        """Wait until every service has its containers, each healthy or ended well.

        Args:
            replicas: The number of containers of a service, where it is not one.

        Raises:
            ComposeTestFailed: With those that are not.
        """
        wanted = dict.fromkeys(self.services, 1) | replicas

        def lacking() -> str:
            found = Counter(name for name, is_well in self._wellness() if is_well)
            short = [f"{name} {found[name]} of {number}"
                     for name, number in wanted.items() if found[name] != number]  # fmt: skip
            return f"well are {', '.join(short)}" if short else ""

        wait_while(lacking, _PATIENCE_S, every_s=0.5)

    def _wellness(self) -> Iterator[tuple[str, bool]]:
        """Yield the service of every container, and whether it is healthy or has ended well."""
        for container in self.containers():
            state = container["State"]
            is_over = state["Status"] == "exited" and state["ExitCode"] == 0
            is_healthy = state.get("Health", {}).get("Status") == "healthy"
            yield container["Config"]["Labels"]["com.docker.compose.service"], is_over or is_healthy

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine says of the one container of a service."""
        label = f"label=com.docker.compose.service={service}"
        (found,) = self._engine.docker("ps", "--all", "--filter", label, *_OWN).split()
        return json.loads(self._engine.docker("inspect", found))[0]

    def said_by_ill(self) -> str:
        """Return the last lines of every container that is not healthy or ended badly."""
        said: list[str] = []
        for one in self.containers():
            state, name = one["State"], one["Config"]["Labels"]["com.docker.compose.service"]
            health = state.get("Health", {}).get("Status")
            is_ill = state["Status"] != "exited" and health not in {"healthy", None}
            if state["ExitCode"] or is_ill:
                said += [f"--- {name}: {state['Status']}, {health}, status {state['ExitCode']}",
                         self("logs", "--tail", "15", "--no-log-prefix", name)]  # fmt: skip
        return "\n".join(said)

    def left(self) -> list[str]:
        """Return the containers, volumes and networks of the project that are there."""
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [line for kind in kinds for line in self._engine.docker(*kind, *_OWN).split()]

    def volumes(self) -> frozenset[str]:
        """Return the names of the project's volumes."""
        return frozenset(self._engine.docker("volume", "ls", *_OWN).split())


def overlay_for(services: Mapping[str, Any]) -> str:
    """Return the overlay for an engine of the distribution, which is older than the file asks.

    It has no interval of its own for starting services, and builds reach packages by the network
    of the machine.
    """
    lines = ["services:"]
    for name, body in services.items():
        lines.append(f"  {name}:")
        if "healthcheck" in body:
            lines.append("    healthcheck: { start_interval: !reset null, interval: 2s }")
        if "build" in body:
            lines.append("    build: { network: host }")
    return "\n".join(lines) + "\n"
