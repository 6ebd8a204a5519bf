"""The object that commands write with `--json FILE`: figures, and what they were taken on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import psutil


def write_report(
    path: Path,
    figures: Mapping[str, float],
    *,
    settings: Mapping[str, Any],
    packages: tuple[str, ...] = (),
    seed: int | None = None,
    further: Mapping[str, Any] | None = None,
) -> None:
    """Write a report of one measurement or judgement.

    Args:
        path: JSON file, replaced.
        figures: name -> number, flat.
        settings: what was asked for.
        packages: distributions whose versions matter.
        seed: of what was random, None if nothing was.
        further: keys beside the usual ones.
    """
    report = {
        "figures": dict(figures),
        "machine": describe_machine(),
        "versions": {"python": platform.python_version()} | package_versions(packages),
        "seed": seed,
        "settings": dict(settings),
    } | dict(further or {})
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def describe_machine() -> dict[str, str | int]:
    """Return system, architecture, cores and memory (bytes) of this machine."""
    return {
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
    }


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed version of each distribution, "missing" where there is none."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found
