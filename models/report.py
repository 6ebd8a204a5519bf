"""The JSON object that everything which measures writes: figures and where they come from."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions of Python and of those packages that are there."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_report(
    file: Path,
    figures: Mapping[str, float],
    versions: Mapping[str, str],
    seed: int,
    settings: Mapping[str, Any],
) -> None:
    """Write `{figures, machine, versions, seed, settings}`; figures are a flat map."""
    report = {
        "figures": dict(figures),
        "machine": {
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": dict(versions),
        "seed": seed,
        "settings": dict(settings),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
