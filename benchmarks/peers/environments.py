"""An environment of its own for each peer, made from pinned versions with hashes, once."""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.harness import say
from benchmarks.lab import BenchFailed
from services.local.child import Command, run_to_end
from services.local.paths import DEFAULT_PATHS

HERE: Final = Path(__file__).parent
_INSTALL_TIMEOUT_S: Final = 300.0


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment, made first when its pins have changed.

    Raises:
        BenchFailed: It could not be made; most often there is no package index to be reached.
    """
    pins = HERE / f"requirements-{name}.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    home = DEFAULT_PATHS.root / "bench" / "peers" / f"{name}-{digest}"
    python = home / "bin" / "python"
    if (home / "made").exists():
        return python
    say(f"making the environment of {name}")
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is not None:
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        install = (uv, "pip", "install", "--python", str(python))
    elif find_spec("ensurepip") is not None:
        _run(sys.executable, "-m", "venv", str(home))
        install = (str(python), "-m", "pip", "install")
    else:
        raise BenchFailed(f"the environment of {name} needs uv or ensurepip")
    _run(*install, "--quiet", "--no-deps", "--require-hashes", "-r", str(pins))
    (home / "made").touch()
    return python


def pinned_version(name: str, package: str) -> str:
    """Return the version of a package in a peer's pins."""
    for line in (HERE / f"requirements-{name}.txt").read_text().splitlines():
        if line.startswith(f"{package}=="):
            return line.partition("==")[2].split()[0]
    return "unknown"


def _run(*argv: str) -> None:
    status, output = run_to_end(Command(argv), _INSTALL_TIMEOUT_S)
    if status:
        raise BenchFailed(f"{' '.join(argv[:3])} failed:\n{output[-2000:]}")
