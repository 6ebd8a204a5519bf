"""The one object that every command writes with `--json FILE`: figures, and what they are of."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

SHAPE: Final = 1
"""The version of the shape: it grows when a reader of yesterday would be wrong today."""


class Machine(msgspec.Struct, frozen=True):
    """What the figures were taken on.

    Attributes:
        system: The operating system and its release.
        architecture: The instruction set, such as `x86_64`.
        processor: The processor's own name where the system tells it, else its architecture.
        cores: The number of logical cores.
        memory_bytes: The physical memory.
    """

    system: str
    architecture: str
    processor: str
    cores: int
    memory_bytes: int


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one command found.

    Attributes:
        shape: The version of this shape.
        command: The words after `groundswell`, such as `sources check`, or the module.
        made_at: The time of writing, UTC.
        figures: The numbers by name, flat; None is one that could not be taken.
        tables: Rows by the name of their table, where one number is not enough.
        notes: Sentences for people: what failed, what is to be known.
        settings: What was asked for.
        seed: The seed of what was random, None if nothing was.
        machine: The machine that it ran on.
        versions: The versions of Python, of this project and of the packages that matter.
    """

    shape: int
    command: str
    made_at: datetime
    figures: dict[str, float | None]
    tables: dict[str, list[dict[str, Any]]]
    notes: list[str]
    settings: dict[str, Any]
    seed: int | None
    machine: Machine
    versions: dict[str, str]


def write_report(
    file: Path,
    command: str,
    figures: Mapping[str, float | None],
    *,
    settings: Mapping[str, Any],
    packages: Sequence[str] = (),
    seed: int | None = None,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    notes: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
) -> None:
    """Write a report as indented JSON; a reader sees the old file or the whole new one.

    Args:
        file: The file to write; its folder is made. What is no regular file, such as
            `/dev/stdout`, is written to as it is.
        command: The words after `groundswell`, or the module.
        figures: The numbers by name; one that is not finite is written as null.
        settings: What was asked for.
        packages: The distributions whose versions matter.
        seed: The seed of what was random, None if nothing was.
        tables: Rows by the name of their table.
        notes: Sentences for people.
        versions: The versions of what is not in this environment; they go before those that are.
    """
    own = {"python": platform.python_version()} | package_versions(("groundswell", *packages))
    rows = {name: [dict(row) for row in table] for name, table in (tables or {}).items()}
    report = Report(
        shape=SHAPE, command=command, made_at=datetime.now(UTC), figures=dict(figures),
        tables=rows, notes=list(notes), settings=dict(settings), seed=seed,
        machine=describe_machine(), versions=own | dict(versions or {}),
    )  # fmt: skip
    _write_whole(file, _encoded(report))


def _encoded(report: Report) -> bytes:
    """Return a report as JSON that has been read back: who knows the shape can read it.

    Raises:
        msgspec.ValidationError: A figure is no number, or a row no object.
    """
    content = msgspec.json.encode(report, enc_hook=_plain)
    msgspec.json.decode(content, type=Report)
    return msgspec.json.format(content, indent=2) + b"\n"


def _write_whole(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not file.is_file():
        file.write_bytes(content)
        return
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.replace(file)


def describe_machine() -> Machine:
    """Return what this machine is."""
    return Machine(
        system=platform.platform(),
        architecture=platform.machine(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each distribution, "missing" where there is none."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _plain(value: Any) -> Any:
    """Return a path as text and a number of numpy as one of Python."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} has no place in a report")
