"""What is tried with the stack of docker-compose.yml, from its images to its last volume."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from testkit.compose.console import Console, check_console
from testkit.compose.engine import Engine
from testkit.compose.failures import ComposeTestFailed
from testkit.compose.inspection import SBOM, find_faults, find_image_faults
from testkit.compose.killing import check_without_scorer, kill, kill_each, restart_each
from testkit.compose.pages import check_demo, check_pages, check_targets, wait_for_alert
from testkit.compose.replaying import (
    begin_replay,
    check_shift,
    end_replay,
    prepare_day,
    recount,
)
from testkit.compose.stack import Stack
from testkit.compose.stages import Stages
from testkit.compose.upgrading import check_upgraded, upgrade


def check_images(engine: Engine, services: Mapping[str, Any], stages: Stages) -> None:
    """Say the size of every image that was built, and hold what is in it to what may be.

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
        stages.say(f"{tag}: {inspected['Size'] / 1e6:.0f} MB, "
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


def check_stack(engine: Engine, root: Path, stages: Stages) -> None:
    """Build, start, check, try and remove the whole stack.

    Raises:
        ComposeTestFailed: Something is not as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="groundswell-stack-") as folder:
        stack = Stack(engine, root, Path(folder))
        if stack.left():  # by a run that was killed
            stack("down", "--volumes", "--timeout", "0")
        with stages("images of the project"):
            stack("build")
        check_images(engine, stack.services, stages)
        try:
            _bring_up(stack, Path(folder), stages)
            _try_stack(stack, Path(folder), stages)
            with stages("recount"):
                plain = recount(stack, root)
            stages.say(f"equal to the plain program: {json.dumps(plain['figures'])}")
            with stages("windows of the console"):
                number = Console(stack.console_key).check_windows(
                    plain["counters"], plain["windows"]
                )
            stages.say(f"equal in the console: {number} windows")
        except ComposeTestFailed:
            stages.say(stack.said_by_ill())
            raise
        finally:
            with stages("down"):
                stack("down", "--volumes", "--timeout", "30")
        if left := stack.left():
            raise ComposeTestFailed(f"down --volumes left {', '.join(left)}")


def _bring_up(stack: Stack, folder: Path, stages: Stages) -> None:
    """Start all with a day of posts that ends in a shift, and look at what comes of it."""
    prepare_day(stack, folder)
    with stages("all up"):
        # A heartbeat is of today, and would close the day's windows before its posts are read.
        stack("up", "--detach", "--scale", "heartbeat=0")
    with stages("alert of a shift in the day"):
        check_shift(Console(stack.console_key))
    stack("up", "--detach")
    with stages("all healthy"):
        stack.wait_until_healthy()
    stages.say(f"{check_containers(stack)} containers as the file promises")
    with stages("what the demo shows"):
        check_demo(stack)


def _try_stack(stack: Stack, folder: Path, stages: Stages) -> None:
    """Kill, restart, scale, upgrade and alert while a file is replayed in real time."""
    with stages("replay in real time, with all that follows"):
        begin_replay(stack, folder)
        with stages("pages and targets"):
            check_pages(stack)
            check_console(stack)
            check_targets()
        with stages("source killed"):  # while it has something to send
            kill(stack, "ingest")
        with stages("each other service killed"):
            healthy_s = kill_each(stack, but="ingest")
        stages.say(", ".join(f"{name} {took_s:.0f} s" for name, took_s in healthy_s.items()))
        check_containers(stack, {"ingest", *healthy_s})
        with stages("each service restarted"):
            restart_each(stack)
        check_containers(stack)
        for number in (3, 1):
            with stages(f"workers: {number}"):
                stack("up", "--detach", "--scale", f"worker={number}")
                stack.wait_until_healthy(worker=number)
            check_containers(stack)
        with stages("upgraded over its volumes"):
            kept = upgrade(stack)
            stack.wait_until_healthy()
            check_containers(stack)
            check_upgraded(stack, kept)
            check_pages(stack)
            check_console(stack)
        stack("stop", "heartbeat")
        with stages("without the model server, and back"):
            check_without_scorer(stack)
        with stages("alert of a stopped part, after that"):
            wait_for_alert("GroundswellProcessDown", part="heartbeat")
        end_replay(stack)
