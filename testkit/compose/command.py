"""`make compose-test`: docker-compose.yml on a real engine, every container of it.

Makes stand-ins for the public images, builds the project's own, brings everything up, holds what
runs against what the file promises, reads the published pages, scales the workers to three and
back, and takes everything away. What a stand-in cannot show: docs/compose.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.folders import checkout
from testkit.compose.bases import make_bases
from testkit.compose.engine import ComposeTestFailed, Engine, NoEngine, run
from testkit.compose.inspection import SBOM, find_faults, find_image_faults

_PROJECT: Final = "groundswell-compose-test"
_UP_TIMEOUT_S: Final = 600
_PORTS: Final = {"GRAFANA": 13000, "PROMETHEUS": 19090, "ALERTMANAGER": 19093}


class Stack:
    """The project's compose file under a name of this test's own."""

    def __init__(self, engine: Engine, root: Path, folder: Path) -> None:
        """Make secrets, and the overlay for an engine of the distribution."""
        self._engine, self._root = engine, root
        run(("deploy/docker/make_secrets.sh", str(folder / "secrets")), cwd=root)
        self.secrets = folder / "secrets"
        self.environment = {
            **engine.environment, "COMPOSE_PROFILES": "cpu",
            "GROUNDSWELL_SECRETS": str(self.secrets),
            **{f"GROUNDSWELL_{name}_PORT": str(port) for name, port in _PORTS.items()},
        }  # fmt: skip
        self._files = ("--file", str(root / "docker-compose.yml"))
        self.services: dict[str, Any] = json.loads(self("config", "--format", "json"))["services"]
        overlay = folder / "overlay.yml"
        overlay.write_text(overlay_for(self.services))
        self._files = (*self._files, "--file", str(overlay))

    def __call__(self, *words: str, timeout_s: float = 1_800.0) -> str:
        """Run a command of Compose."""
        argv = (str(self._engine.compose_program()), "--project-name", _PROJECT,
                "--project-directory", str(self._root), *self._files, *words)  # fmt: skip
        return run(argv, env=self.environment, timeout_s=timeout_s)

    def containers(self) -> list[dict[str, Any]]:
        """Return what the engine says of every container."""
        ids = self("ps", "--all", "--quiet").split()
        return json.loads(self._engine.docker("inspect", *ids)) if ids else []

    def left(self) -> list[str]:
        """Return the containers, volumes and networks of the project that are there."""
        label = ("--filter", f"label=com.docker.compose.project={_PROJECT}", "--quiet")
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


def check_images(engine: Engine, services: Mapping[str, Any]) -> None:
    """Print the size of every image that was built, and hold what is in it to what may be.

    Raises:
        ComposeTestFailed: With every fault of every image.
    """
    faults: list[str] = []
    for tag in sorted({body["image"] for body in services.values() if "build" in body}):
        inspected = json.loads(engine.docker("image", "inspect", tag))[0]
        within = ("run", "--rm", "--network", "none", "--entrypoint")
        files = engine.docker(*within, "find", tag, "/app")
        listed = engine.docker(*within, "cat", tag, SBOM)
        faults += find_image_faults(tag, inspected, files.splitlines(), listed)
        _say(f"{tag}: {inspected['Size'] / 1e6:.0f} MB, "
             f"{len(json.loads(listed)['components'])} packages listed")  # fmt: skip
    if faults:
        raise ComposeTestFailed("\n".join(faults))


def check_containers(stack: Stack) -> int:
    """Hold every container against the file; return how many there are.

    Raises:
        ComposeTestFailed: With everything that is not as promised.
    """
    containers = stack.containers()
    faults, seen = [], set()
    for container in containers:
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        seen.add(name)
        is_task = stack.services[name].get("restart") == "no"
        faults += find_faults(name, container, is_task=is_task)
    faults += [f"{name}: has no container" for name in sorted(set(stack.services) - seen)]
    if faults:
        raise ComposeTestFailed("\n".join(faults))
    return len(containers)


def check_pages(stack: Stack) -> None:
    """Read the published pages, and Grafana's data sources through Grafana.

    Raises:
        ComposeTestFailed: A page does not answer, or Prometheus misses a target.
    """
    grafana = f"http://127.0.0.1:{_PORTS['GRAFANA']}"
    password = (stack.secrets / "grafana_admin_password").read_text()
    boards = _read(f"{grafana}/api/search", password)
    if len(boards) != len(list(Path("deploy/grafana/dashboards").glob("*.json"))):
        raise ComposeTestFailed(f"Grafana has {len(boards)} dashboards")
    for uid in ("prometheus", "alertmanager"):
        _read(f"{grafana}/api/datasources/uid/{uid}/health", password)
    _read(f"http://127.0.0.1:{_PORTS['ALERTMANAGER']}/api/v2/alerts")
    deadline_s = time.monotonic() + 60
    while down := _targets_down():
        if time.monotonic() > deadline_s:
            raise ComposeTestFailed(f"Prometheus does not reach {', '.join(sorted(down))}")
        time.sleep(1)


def _targets_down() -> set[str]:
    answer = _read(f"http://127.0.0.1:{_PORTS['PROMETHEUS']}/api/v1/targets?state=active")
    targets = answer["data"]["activeTargets"]
    if not targets:
        return {"anything"}
    return {target["labels"].get("part", "?") for target in targets if target["health"] != "up"}


def _read(address: str, password: str = "") -> Any:
    request = urllib.request.Request(address)  # noqa: S310 -- our own containers
    if password:
        login = base64.b64encode(f"admin:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as reply:
            return json.loads(reply.read())
    except OSError as error:
        raise ComposeTestFailed(f"{address}: {error}") from error


def check_stack(engine: Engine, root: Path) -> None:
    """Build, start, check, scale and remove the whole stack.

    Raises:
        ComposeTestFailed: Something is not as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="groundswell-stack-") as folder:
        stack = Stack(engine, root, Path(folder))
        _timed("images of the project", lambda: stack("build"))
        check_images(engine, stack.services)
        wait = ("--wait", "--wait-timeout", str(_UP_TIMEOUT_S))
        try:
            _timed("all up", lambda: stack("up", "--detach"))
            _timed("all healthy", lambda: stack("up", "--detach", *wait))
            _say(f"{check_containers(stack)} containers as the file promises")
            _timed("pages and targets", lambda: check_pages(stack))
            for number in (3, 1):
                words = ("up", "--detach", "--scale", f"worker={number}", *wait)
                _timed(f"workers: {number}", lambda words=words: stack(*words))
                check_containers(stack)
        finally:
            stack("down", "--volumes", "--timeout", "30")
        if left := stack.left():
            raise ComposeTestFailed(f"down --volumes left {', '.join(left)}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _timed(name: str, step: Any) -> None:
    began_s = time.monotonic()
    step()
    _say(f"{name}: {time.monotonic() - began_s:.0f} s")


def main() -> int:
    """Run the test; status 0 if all is well, or if there is no engine and that is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".groundswell/compose"))
    parser.add_argument("--skip-without-engine", action="store_true")
    asked = parser.parse_args()
    root = checkout()
    if root is None:
        sys.exit("compose-test: works in a checkout")
    try:
        with Engine(asked.cache.absolute()) as engine:
            engine.compose_program()
            _timed("stand-ins", lambda: make_bases(engine, root))
            check_stack(engine, root)
    except NoEngine as error:
        _say(f"compose-test: NO CONTAINER WAS STARTED: {error}")
        return 0 if asked.skip_without_engine else 1
    except ComposeTestFailed as error:
        _say(f"compose-test: {error}")
        return 1
    _say("compose-test: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
