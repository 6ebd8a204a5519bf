"""What is taken from Debian by the clients of its packages: a base system, and Compose.

The mirror is the one that this machine takes its own packages from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from testkit.compose.failures import ComposeTestFailed, run

DEBIAN: Final = "groundswell-stand-in/debian:bookworm"
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
# What lets pip reach its index is the machine's own business: copied, never written here.
_OF_THE_MACHINE: Final = ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf")
_ENVIRONMENT: Final = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)
# An image that was not written to its end is made anew; pages of manuals are read by nobody, but
# Java wants their folders.
_UNPACKING: Final = ("force-unsafe-io", "path-exclude=/usr/share/man/man?/*",
                     "path-exclude=/usr/share/doc/*")  # fmt: skip
_KEYS: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Bookworm has the first Compose, which read other files; this one is of the next release.
_COMPOSE_SUITE: Final = "trixie"
_TARGET: Final = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
_FIELDS: Final = 3
_BESIDE: Final = (f"{_SUITE}-updates", f"{_SUITE}-security")
_PATIENCE_S: Final = 1_800.0


class Mirrors:
    """From where this machine takes Debian: its own sources of packages, no address of ours."""

    def __init__(self, targets: str) -> None:
        """Read what `apt-get` says of its sources of Debian.

        Args:
            targets: Lines of an address, a suite and a component.

        Raises:
            ComposeTestFailed: None of them is a mirror.
        """
        rows = [line.split() for line in targets.splitlines()]
        self._of_suite = {
            suite: address
            for address, suite, component in (row for row in rows if len(row) == _FIELDS)
            if component == "main" and address.startswith(("http://", "https://"))
        }
        bases = [suite for suite in (_SUITE, _COMPOSE_SUITE) if suite in self._of_suite]
        if not bases:
            named = ", ".join(sorted(self._of_suite)) or "none"
            raise ComposeTestFailed(
                f"Debian's mirror: of its sources of packages this machine knows none of {_SUITE} "
                f"or {_COMPOSE_SUITE}, but {named}; after apt-get update it knows them all"
            )
        self._base = self._of_suite[bases[0]]

    @classmethod
    def of_machine(cls) -> Self:
        """Ask `apt-get`.

        Raises:
            ComposeTestFailed: This machine has no mirror.
        """
        return cls(run(("apt-get", "indextargets", "--format", _TARGET,
                        "Created-By: Packages", "Origin: Debian")))  # fmt: skip

    def compose(self) -> str:
        """Return the source of Compose, as a line for `apt`."""
        return _source(self._base, _COMPOSE_SUITE)

    def base_system(self) -> list[str]:
        """Return the sources of the base system, with updates where this machine has them."""
        beside = [suite for suite in _BESIDE if suite in self._of_suite]
        return [_source(self._base, _SUITE),
                *(_source(self._of_suite[suite], suite) for suite in beside)]  # fmt: skip


def _source(address: str, suite: str) -> str:
    return f"deb [signed-by={_KEYS}] {address} {suite} main"


def fetch_compose(cache: Path) -> Path:
    """Return Docker Compose, from a package whose signature is checked unless it is there already.

    Nothing is installed: the machine's own sources and lists of packages stay as they are.

    Raises:
        ComposeTestFailed: It cannot be had.
    """
    program = cache / "docker-compose"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            place = Path(folder)
            (place / "sources.list").write_text(f"{Mirrors.of_machine().compose()}\n")
            for name in ("lists", "cache"):
                (place / name).mkdir()
            apt = ("apt-get", "--quiet", "--quiet",
                   *(word for line in (f"Dir::Etc::sourcelist={place}/sources.list",
                                       "Dir::Etc::sourceparts=-", "APT::Sandbox::User=root",
                                       f"Dir::State::lists={place}/lists",
                                       f"Dir::Cache={place}/cache", "Acquire::Retries=3",
                                       "Acquire::Languages=none")
                     for word in ("--option", line)))  # fmt: skip
            run((*apt, "update"), cwd=place, timeout_s=_PATIENCE_S)
            run((*apt, "download", "docker-compose"), cwd=place, timeout_s=_PATIENCE_S)
            (package,) = place.glob("docker-compose_*.deb")
            run(("dpkg-deb", "--extract", str(package), str(place / "files")))
            found = place / "files/usr/libexec/docker/cli-plugins/docker-compose"
            found.replace(program)
    return program


def import_debian(environment: Mapping[str, str]) -> None:
    """Make the image `DEBIAN` unless it is there with the machine's certificates of today.

    Args:
        environment: The variables with which clients find the engine.

    Raises:
        ComposeTestFailed: The base system or the image could not be made.
    """
    files = [Path("/", name) for name in _OF_THE_MACHINE if Path("/", name).is_file()]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    label = f"groundswell.machine={key}"
    docker = shutil.which("docker", path="/usr/bin") or "docker"
    there = (docker, "images", "--quiet", "--filter", f"label={label}", DEBIAN)
    if run(there, env=environment).strip():
        return
    copies = [f"--customize-hook=upload {path} {path}" for path in files]
    make = ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}",
            *(f"--dpkgopt={option}" for option in _UNPACKING), *copies,
            "--format=tar", _SUITE, "-", *Mirrors.of_machine().base_system())  # fmt: skip
    changes = [word for line in _ENVIRONMENT for word in ("--change", f"ENV {line}")]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 -- fixed words
            make, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        ) as pack,
    ):
        try:
            done = subprocess.run(  # noqa: S603 -- fixed words
                (docker, "import", *changes, "--change", f"LABEL {label}", "-", DEBIAN),
                stdin=pack.stdout, env=dict(environment), capture_output=True, text=True,
                check=False,
            )  # fmt: skip
        except BaseException:
            os.killpg(pack.pid, signal.SIGTERM)  # it takes away the folder in which it works
            raise
        if pack.wait() or done.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace")[-500:]
            raise ComposeTestFailed(f"a base system as an image: {last}{done.stderr[-500:]}")
