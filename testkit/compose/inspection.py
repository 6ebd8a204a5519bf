"""What the engine says of running containers, held against what docker-compose.yml promises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

_WRITABLE: Final = {"kafka"}
"""Services whose root may be written to; docker-compose.yml says why."""

SBOM: Final = "/usr/share/groundswell/sbom.cdx.json"
"""Where an image lists what it installs."""
SIZE_LIMITS: Final = {"app": 800_000_000, "model-build": 1_600_000_000, "triton": 1_100_000_000}
"""Bytes that an image may have on the base of a stand-in."""
_NOT_SHIPPED: Final = {"testkit", "evaluation", "tests", "benchmarks"}
_LABELS: Final = tuple(
    f"org.opencontainers.image.{name}" for name in ("title", "version", "licenses")
)


def find_image_faults(
    tag: str, image: Mapping[str, Any], files: Iterable[str], listed: str
) -> Iterator[str]:
    """Yield what is wrong with one image of the project.

    Args:
        tag: Its name, `groundswell/NAME:VERSION`.
        image: The answer of `docker image inspect`.
        files: Every path below `/app`.
        listed: Its SBOM, CycloneDX in JSON.
    """
    limit = SIZE_LIMITS[tag.partition("/")[2].partition(":")[0]]
    if image["Size"] > limit:
        yield f"{tag}: has {image['Size']} bytes, more than {limit}"
    labels = image["Config"].get("Labels") or {}
    for label in _LABELS:
        if not labels.get(label):
            yield f"{tag}: has no label {label}"
    for path in files:
        name = PurePosixPath(path).name
        if name in _NOT_SHIPPED or "fake" in name.lower():
            yield f"{tag}: holds {path}"
    if not json.loads(listed).get("components"):
        yield f"{tag}: its SBOM lists nothing"


def find_faults(
    service: str, container: Mapping[str, Any], *, is_task: bool, restarts: int = 0
) -> Iterator[str]:
    """Yield what is wrong with one container.

    Args:
        service: The service's name in docker-compose.yml.
        container: The answer of `docker inspect`.
        is_task: Whether it does one thing and ends.
        restarts: How often the engine must have started it again: once for each time it was killed.
    """
    state, host, config = container["State"], container["HostConfig"], container["Config"]
    may_end = host.get("RestartPolicy", {}).get("Name") == "on-failure"  # a source of a file
    if is_task or (may_end and state["Status"] == "exited"):
        if state["Status"] != "exited" or state["ExitCode"] != 0:
            yield f"{service}: {state['Status']} with {state['ExitCode']}, not ended with 0"
    elif state.get("Health", {}).get("Status") != "healthy":
        yield f"{service}: {state['Status']}, {state.get('Health', {}).get('Status')}, not healthy"
    if state.get("OOMKilled"):
        yield f"{service}: was killed for its memory"
    count = container.get("RestartCount", 0)
    if count > restarts or (count < restarts and not may_end):  # one that had ended counts anew
        yield f"{service}: was restarted {count} times, not {restarts}"
    if host["ReadonlyRootfs"] == (service in _WRITABLE):
        yield f"{service}: its root is read-only: {host['ReadonlyRootfs']}"
    if config["User"].partition(":")[0] in {"", "0", "root"}:
        yield f"{service}: runs as root"
    if not (host["Memory"] and host["NanoCpus"] and host["PidsLimit"]):
        yield f"{service}: has no limit of memory, processor or processes"
    if host["CapDrop"] != ["ALL"] or not any("no-new-privileges" in s for s in host["SecurityOpt"]):
        yield f"{service}: keeps privileges"
    for line in config["Env"]:
        name, _, value = line.partition("=")
        secret = "PASSWORD" in name or name.endswith("_KEY")
        if secret and not name.endswith("_FILE") and value:
            yield f"{service}: {name} holds a secret"
