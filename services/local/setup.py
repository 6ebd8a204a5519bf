"""Makes what the local stack needs, each once: the model server's environment, broker and model.

The model server has an environment of its own, since Triton's wheel wants numpy < 2. It is made
with uv from the lock that the program ships with, on a Python for which that numpy has a wheel.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final

from core.errors import GroundswellError
from core.folders import checkout, shipped
from services.local.child import Command, run_to_end
from services.local.kafka_jars import are_cached, exclusive, fetch_jars
from services.local.kafka_server import archive_path, build_archive
from services.local.paths import (
    DEFAULT_SERVER_PYTHON,
    SERVER_PYTHON_VARIABLE,
    RuntimePaths,
    server_environment,
)
from services.local.server import ServerFailed
from services.local.triton_server import build_model_repository

PYTHONS: Final = ("3.11", "3.12")
"""Versions that the model server's environment may have: numpy 1.26 has wheels for these."""
_ASK_PYTHON: Final = """
import os, sys, sysconfig
library = os.path.join(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
print("%d.%d" % sys.version_info[:2], os.path.exists(library))
"""
_WAS_BUILT: Final = "built in"
"""What `models.build` says of a model that it has made."""
_INSTALL_TIMEOUT_S: Final = 3_600.0
_MEGABYTE: Final = 1_000_000

Say = Callable[[str], None]
"""Takes a message for people."""


class SetupFailed(GroundswellError):
    """Something that the stack needs could not be made; the message says what to do."""


def set_up(paths: RuntimePaths, say: Say, *, needs_model: bool = True) -> None:
    """Make what is missing: the broker beside the model, as they wait for different things.

    Args:
        paths: Where the files of the stack are.
        say: Takes what is done, how much it is and how long it took; nothing if all is there.
        needs_model: Also build the model, for which its server's environment is made.

    Raises:
        JarsUnavailable: The broker's jars cannot be fetched.
        SetupFailed: The environment cannot be made.
        ServerFailed: The model cannot be built.
    """
    with ThreadPoolExecutor(2) as pool:
        pending: list[Future[Any]] = [pool.submit(_make_broker, paths.cache, say)]
        if needs_model:
            pending.append(pool.submit(_make_model, paths.model_repository, say))
        for step in pending:
            step.result()


def _make_broker(cache: Path, say: Say) -> None:
    has_jars = are_cached(cache)
    if has_jars and archive_path(cache).exists():
        return
    began_s = time.monotonic()
    if not has_jars:
        say("Kafka: fetching 55 MB of jars, only this once")
        fetch_jars(cache)
    with contextlib.suppress(ServerFailed):  # the broker only starts slower without it
        build_archive(cache)
    say(f"Kafka: ready after {time.monotonic() - began_s:.0f} s")


def _make_model(repository: Path, say: Say) -> None:
    make_server_environment(say)
    began_s = time.monotonic()
    if not repository.is_dir():
        say("model: building it from the shipped weights, about 20 s on two free cores, once")
    if _WAS_BUILT in build_model_repository(repository=repository):
        size = _size_of(repository) / _MEGABYTE
        say(f"model: built in {time.monotonic() - began_s:.0f} s, {size:.0f} MB")


def make_server_environment(say: Say) -> Path:
    """Return the interpreter of the model server's environment, made if it is not as it should be.

    An environment that `GROUNDSWELL_SERVER_PYTHON` names is somebody else's: it is left as it is.

    Raises:
        SetupFailed: It cannot be made, or the one that is named does not exist.
    """
    if os.environ.get(SERVER_PYTHON_VARIABLE):
        if not DEFAULT_SERVER_PYTHON.exists():
            raise SetupFailed(
                f"{SERVER_PYTHON_VARIABLE} = {DEFAULT_SERVER_PYTHON}: there is no such program;"
                " unset it, and groundswell setup makes an environment"
            )
        return DEFAULT_SERVER_PYTHON
    folder = server_environment()
    if is_made(folder):
        return DEFAULT_SERVER_PYTHON
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_name(f"{folder.name}.lock")):
        if not is_made(folder):
            _make_environment(folder, say)
            (folder / ".made").write_text(_wanted())
    return DEFAULT_SERVER_PYTHON


def is_made(folder: Path) -> bool:
    """Tell whether an environment is the one that the shipped lock describes."""
    try:
        is_wanted = (folder / ".made").read_text() == _wanted()
    except FileNotFoundError:
        return False
    return is_wanted and (folder / "bin" / "python").exists()


def _wanted() -> str:
    return hashlib.sha256(_lock().read_bytes()).hexdigest()


def _lock() -> Path:
    return shipped("requirements", "server.txt")


def _make_environment(folder: Path, say: Say) -> None:
    began_s = time.monotonic()
    uv, python = find_uv(), folder / "bin" / "python"
    if _version_if_usable(python) is None:
        base = find_python(uv)
        say(f"model server: making {folder} with Python {base}")
        _run(uv, "venv", "--quiet", "--clear", "--python", base, str(folder))
    number = sum("==" in line for line in _lock().read_text().splitlines())
    say(f"model server: installing {number} packages, 1 GB on disk; a minute or some")
    install = ("pip", "install", "--no-deps", "--python", str(python))
    _run(uv, *install, "--require-hashes", "--requirement", str(_lock()))
    root = checkout()
    if root is not None:  # its tests run there
        _run(uv, *install, "--no-build-isolation", "--editable", str(root))
    size = _size_of(folder) / _MEGABYTE
    say(f"model server: installed in {time.monotonic() - began_s:.0f} s, {size:,.0f} MB")


def find_uv() -> str:
    """Return the program uv: the one beside this interpreter, else that of the search path.

    Raises:
        SetupFailed: There is none.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("uv", path=beside) or shutil.which("uv")
    if found is None:
        raise SetupFailed("uv is not there: install it with `pip install uv`, then try again")
    return found


def find_python(uv: str) -> str:
    """Return which Python the model server's environment is made with, as uv is told it.

    This interpreter if it will do, else one that is installed. Triton loads Python as a shared
    library, which not every build has. Where there is none, uv is told a version, and fetches it.
    """
    others = (path for version in PYTHONS for path in installed_pythons(uv, version))
    found = chain([sys.executable], others)  # the others are looked for only if they are needed
    usable = (path for path in found if _version_if_usable(Path(path)) is not None)
    return next(usable, PYTHONS[-1])


def installed_pythons(uv: str, version: str) -> list[str]:
    """Return the interpreters of a version on this machine: those uv finds, and pyenv's."""
    words = (uv, "python", "find", "--system", "--no-python-downloads", version)
    status, output = run_to_end(Command(words), 60.0)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    by_pyenv = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    found = output.strip().splitlines()[-1:] if status == 0 else []
    return [*found, *map(str, by_pyenv)]


def _version_if_usable(python: Path) -> str | None:
    """Return the version of an interpreter that the model server can use, else None."""
    try:
        status, output = run_to_end(Command((str(python), "-I", "-c", _ASK_PYTHON)), 60.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, is_shared = output.strip().partition(" ")
    return version if status == 0 and version in PYTHONS and is_shared == "True" else None


def _run(uv: str, *words: str) -> None:
    """Run uv; its progress is shown on a terminal, and kept for the message elsewhere.

    Raises:
        SetupFailed: It failed.
    """
    is_watched = sys.stderr.isatty()
    done = subprocess.run(  # noqa: S603  (our own argv, no shell)
        (uv, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if is_watched else subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise SetupFailed(
            f"uv {' '.join(words[:2])} failed; what it made so far is used when it is tried again"
            f" (groundswell setup):\n{done.stdout[-2_000:].strip()}"
        )


def _size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, links not followed."""
    return sum(
        path.stat(follow_symlinks=False).st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
