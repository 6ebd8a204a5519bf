"""The project's compose file under a name of the test's own, and what the engine says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from testkit.compose.engine import Engine, run

PROJECT: Final = "groundswell-compose-test"
PORTS: Final = {"GRAFANA": 13000, "PROMETHEUS": 19090, "ALERTMANAGER": 19093}
"""Page -> the port of this machine on which it is published."""


class Stack:
    """The project's compose file under a name of this test's own."""

    def __init__(self, engine: Engine, root: Path, folder: Path) -> None:
        """Make secrets, and the overlay for an engine of the distribution."""
        self._engine, self._root = engine, root
        run((str(root / "deploy/docker/make_secrets.sh"), str(folder / "secrets")), cwd=folder)
        self.secrets = folder / "secrets"
        self.environment = {
            **engine.environment, "COMPOSE_PROFILES": "cpu",
            "GROUNDSWELL_SECRETS": str(self.secrets),
            **{f"GROUNDSWELL_{name}_PORT": str(port) for name, port in PORTS.items()},
        }  # fmt: skip
        self._files = ("--file", str(root / "docker-compose.yml"))
        self.services: dict[str, Any] = json.loads(self("config", "--format", "json"))["services"]
        overlay = folder / "overlay.yml"
        overlay.write_text(overlay_for(self.services))
        self._files = (*self._files, "--file", str(overlay))

    def lay_over(self, path: Path, text: str) -> None:
        """Write a further overlay and use it from now on."""
        path.write_text(text)
        self._files = (*self._files, "--file", str(path))

    def __call__(self, *words: str, timeout_s: float = 1_800.0) -> str:
        """Run a command of Compose."""
        argv = (str(self._engine.compose_program()), "--project-name", PROJECT,
                "--project-directory", str(self._root), *self._files, *words)  # fmt: skip
        return run(argv, env=self.environment, timeout_s=timeout_s)

    def containers(self) -> list[dict[str, Any]]:
        """Return what the engine says of every container."""
        ids = self("ps", "--all", "--quiet").split()
        return json.loads(self._engine.docker("inspect", *ids)) if ids else []

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine says of the one container of a service."""
        (found,) = self("ps", "--all", "--quiet", service).split()
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
        label = ("--filter", f"label=com.docker.compose.project={PROJECT}", "--quiet")
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [line for kind in kinds for line in self._engine.docker(*kind, *label).split()]


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
