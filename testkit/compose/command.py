"""`make compose-test`: docker-compose.yml on a real engine, every container of it.

Makes stand-ins for the public images, builds the project's own, brings everything up, holds what
runs against what the file promises, and reads the published pages. While a file is replayed it
scales the workers to three and back, kills each service once, and waits for an alert; a plain
program then counts every window again. At the end everything is taken away. What a stand-in cannot
show: docs/compose.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from core.folders import checkout
from testkit.compose.bases import make_bases
from testkit.compose.engine import ComposeTestFailed, Engine, NoEngine
from testkit.compose.inspection import SBOM, find_faults, find_image_faults
from testkit.compose.killing import check_without_scorer, kill_each
from testkit.compose.pages import check_pages, wait_for_alert
from testkit.compose.replaying import begin_replay, end_replay, recount
from testkit.compose.stack import Stack

_WAIT: Final = ("--wait", "--wait-timeout", "600")


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


def check_containers(stack: Stack, killed: Collection[str] = ()) -> int:
    """Hold every container against the file; return how many there are.

    Args:
        stack: What runs.
        killed: The services that were killed, each once.

    Raises:
        ComposeTestFailed: With everything that is not as promised.
    """
    containers = stack.containers()
    faults, seen = [], set()
    for container in containers:
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        seen.add(name)
        is_task = stack.services[name].get("restart") == "no"
        faults += find_faults(name, container, is_task=is_task, restarts=int(name in killed))
    faults += [f"{name}: has no container" for name in sorted(set(stack.services) - seen)]
    if faults:
        raise ComposeTestFailed("\n".join(faults))
    return len(containers)


def check_stack(engine: Engine, root: Path) -> None:
    """Build, start, check, try and remove the whole stack.

    Raises:
        ComposeTestFailed: Something is not as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="groundswell-stack-") as folder:
        stack = Stack(engine, root, Path(folder))
        _timed("images of the project", lambda: stack("build"))
        check_images(engine, stack.services)
        try:
            _timed("all up", lambda: stack("up", "--detach"))
            _timed("all healthy", lambda: stack("up", "--detach", *_WAIT))
            _say(f"{check_containers(stack)} containers as the file promises")
            _timed("pages and targets", lambda: check_pages(stack))
            _try_stack(stack, root, Path(folder))
        except ComposeTestFailed:
            _say(stack.said_by_ill())
            raise
        finally:
            _timed("down", lambda: stack("down", "--volumes", "--timeout", "30"))
        if left := stack.left():
            raise ComposeTestFailed(f"down --volumes left {', '.join(left)}")


def _try_stack(stack: Stack, root: Path, folder: Path) -> None:
    """Scale, kill and alert while a file is replayed, and count again what came of it."""
    began_s = time.monotonic()
    begin_replay(stack, folder)
    for number in (3, 1):
        words = ("up", "--detach", "--scale", f"worker={number}", *_WAIT)
        _timed(f"workers: {number}", lambda words=words: stack(*words))
        check_containers(stack)
    healthy_s = kill_each(stack)
    _say("healthy again after a kill: " + ", ".join(f"{k} {v:.0f} s" for k, v in healthy_s.items()))
    check_containers(stack, healthy_s)
    _timed("without the model server, and back", lambda: check_without_scorer(stack))
    stack("stop", "heartbeat")
    _timed("alert of a stopped part", lambda: wait_for_alert("GroundswellProcessDown", "heartbeat"))
    end_replay(stack)
    _say(f"replay: {time.monotonic() - began_s:.0f} s")
    figures: dict[str, float] = {}
    _timed("recount", lambda: figures.update(recount(stack, root)))
    _say(f"equal to the plain program: {json.dumps(figures)}")


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
