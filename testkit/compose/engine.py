"""A container engine of this test's own: started as root, ended by its process."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from testkit.compose.distribution import fetch_compose
from testkit.compose.failures import ComposeTestFailed, NoEngine, run
from testkit.compose.traces import Traces

_READY_TIMEOUT_S: Final = 180.0
_STOP_TIMEOUT_S: Final = 180.0
_POOL: Final = "base=10.213.0.0/16,size=24"
_PROBE: Final = "groundswell-compose-probe"
_CLIENT: Final = "/usr/bin/docker"
_SETPRIV: Final = "/usr/bin/setpriv"
_PROGRAMS: Final = ("dockerd", "containerd", _CLIENT, "mmdebstrap", "apt-get", "dpkg-deb",
                    "iptables-save", "ip", _SETPRIV)  # fmt: skip


class Engine:
    """`dockerd` with a data root that is kept, and a socket that is not.

    Attributes:
        cache: Holds the images, and the program of Compose.
    """

    def __init__(self, cache: Path) -> None:
        """Choose folders; start nothing yet.

        Args:
            cache: The folder for what was fetched and made, kept for the next run.

        Raises:
            NoEngine: Not root, or a program is missing.
        """
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if os.geteuid() != 0 or missing:
            need = ", ".join(missing) or "root"
            raise NoEngine(f"needed: {need} (Debian: docker.io, mmdebstrap)")
        self.cache = cache
        self._scratch = Path(tempfile.mkdtemp(prefix="groundswell-compose-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._before: Traces | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the clients find this engine."""
        socket = f"unix://{self._scratch}/docker.sock"
        return {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "1"}

    def __enter__(self) -> Self:
        self.cache.mkdir(parents=True, exist_ok=True)
        (self._scratch / "daemon.json").write_text("{}")
        self._before = Traces.now()
        with (self.cache / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- fixed words
                self._words(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                said = (self.cache / "dockerd.log").read_text(errors="replace")[-500:]
                self.__exit__()
                raise NoEngine(f"dockerd does not run: {said}")
            time.sleep(0.2)
        return self

    def _words(self) -> list[str]:
        folders = {
            "--data-root": self.cache / "engine",
            "--exec-root": self._scratch / "exec",
            "--pidfile": self._scratch / "docker.pid",
            "--config-file": self._scratch / "daemon.json",
        }
        return [
            # However this process ends, its engine is told to end, and ends its containers.
            _SETPRIV, "--pdeathsig", "TERM", shutil.which("dockerd") or "dockerd",
            *(str(word) for pair in folders.items() for word in pair),
            "--host", f"unix://{self._scratch}/docker.sock",
            "--storage-driver", "overlay2",  # by itself it may choose to copy every layer whole
            "--bridge", "none",  # another engine of this machine may have that of all
            "--default-address-pool", _POOL,
        ]  # fmt: skip

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        try:
            if self._before is not None:
                self._before.put_back()
        finally:
            _unmount(self.cache)
            _unmount(self._scratch)
            shutil.rmtree(self._scratch)

    def _answers(self) -> bool:
        asked = subprocess.run(  # noqa: S603 -- fixed words
            [_CLIENT, "version"], env=self.environment, capture_output=True, check=False
        )
        return asked.returncode == 0

    def docker(self, *arguments: str, timeout_s: float = 1_800.0) -> str:
        """Run a command of `docker` (Debian's client, which has the engine's own BuildKit).

        Raises:
            ComposeTestFailed: It failed.
        """
        return run((_CLIENT, *arguments), env=self.environment, timeout_s=timeout_s)

    def require_containers(self, image: str) -> None:
        """Start a container and a network as the stack has them, of an image that is not its own.

        Raises:
            NoEngine: There are none to be had here.
        """
        try:
            self.docker("network", "create", "--internal", _PROBE)
            self.docker("run", "--rm", "--network", _PROBE, "--read-only", "--memory", "64m",
                        "--cpus", "0.5", "--pids-limit", "16", image, "true")  # fmt: skip
        except ComposeTestFailed as error:
            raise NoEngine(f"dockerd runs, but starts no container: {error}") from error
        finally:
            self.docker("network", "prune", "--force")

    def compose_program(self) -> Path:
        """Return Docker Compose.

        Raises:
            ComposeTestFailed: It cannot be had.
        """
        return fetch_compose(self.cache)


def remove_cache(cache: Path) -> None:
    """Remove the folder of an `Engine` that has ended, if it is there.

    Raises:
        ComposeTestFailed: Something in it is in use.
    """
    _unmount(cache)
    if cache.exists():
        shutil.rmtree(cache)


def _unmount(folder: Path) -> None:
    """Take away what an engine that was killed has left mounted below a folder."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed(places):
        if Path(place).is_relative_to(folder):
            run(("umount", place))
