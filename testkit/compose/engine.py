"""A container engine of this test's own: started as root, ended by its process, its data kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from core.errors import GroundswellError
from testkit.compose.traces import Traces

_READY_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 90.0
_POOL: Final = "base=10.213.0.0/16,size=24"
COMPOSE_VERSION: Final = "v2.39.4"
_CLIENT: Final = "/usr/bin/docker"
_COMPOSE: Final = "github.com/docker/compose/v2/cmd"


class ComposeTestFailed(GroundswellError):
    """Something of the stack in containers is not as it must be; the message says what."""


class NoEngine(GroundswellError):
    """No engine can be started here; the message says what is missing."""


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        timeout_s: float = 600.0) -> str:  # fmt: skip
    """Run a command to its end and return its standard output.

    Raises:
        ComposeTestFailed: It failed or did not end in time; with the end of what it said.
    """
    try:
        done = subprocess.run(  # noqa: S603 -- a test's own words
            list(argv), env=None if env is None else dict(env), cwd=cwd, capture_output=True,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ComposeTestFailed(f"{' '.join(argv[:6])}: not done in {timeout_s:.0f} s") from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-2_000:]
        raise ComposeTestFailed(f"{' '.join(argv[:8])}: status {done.returncode}\n{said}")
    return done.stdout


def wait_while(lacking: Callable[[], str], patience_s: float, every_s: float = 0.2) -> None:
    """Return once nothing is lacking.

    Args:
        lacking: Looks, and returns in words what is not yet as it must be; empty when all is.
        patience_s: The seconds after which it will not be.
        every_s: The seconds between two looks.

    Raises:
        ComposeTestFailed: With what is lacking.
    """
    deadline_s = time.monotonic() + patience_s
    while why := lacking():
        if time.monotonic() > deadline_s:
            raise ComposeTestFailed(f"{why}, after {patience_s:.0f} s")
        time.sleep(every_s)


class Engine:
    """`dockerd` with a data root that is kept, and a socket that is not.

    Attributes:
        cache: Keeps the images between runs, and the program of Compose.
    """

    def __init__(self, cache: Path) -> None:
        """Choose folders; start nothing yet.

        Raises:
            NoEngine: Not root, or a program is missing.
        """
        missing = [name for name in ("dockerd", "containerd", _CLIENT, "debootstrap", "go",
                                     "iptables-save", "ip")
                   if shutil.which(name) is None]  # fmt: skip
        if os.geteuid() != 0 or missing:
            need = ", ".join(missing) or "root"
            raise NoEngine(f"needed: {need} (Debian: docker.io, debootstrap)")
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
                [shutil.which("dockerd") or "dockerd", "--data-root", str(self.cache / "engine"),
                 "--exec-root", str(self._scratch / "exec"),
                 "--pidfile", str(self._scratch / "docker.pid"),
                 "--config-file", str(self._scratch / "daemon.json"),
                 "--host", f"unix://{self._scratch}/docker.sock",
                 "--default-address-pool", _POOL],
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.__exit__()
                raise NoEngine(f"dockerd does not run: {self.cache / 'dockerd.log'}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT_S)
        if self._before is not None:
            self._before.put_back()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answers(self) -> bool:
        asked = subprocess.run(  # noqa: S603 -- fixed words
            [_CLIENT, "version"], env=self.environment, capture_output=True, check=False
        )
        return asked.returncode == 0

    def docker(self, *arguments: str, timeout_s: float = 1_800.0) -> str:
        """Run a command of `docker` (Debian's client, which has the engine's own BuildKit)."""
        return run((_CLIENT, *arguments), env=self.environment, timeout_s=timeout_s)

    def compose_program(self) -> Path:
        """Return Docker Compose, built from its Go module if the cache has it not."""
        program = self.cache / f"docker-compose-{COMPOSE_VERSION}"
        if not program.exists():
            source = Path(tempfile.mkdtemp(dir=self.cache))
            for words in (("mod", "init", "compose"), ("get", f"{_COMPOSE}@{COMPOSE_VERSION}"),
                          ("build", "-trimpath", "-o", str(program), _COMPOSE)):  # fmt: skip
                run(("nice", "-n", "10", "go", *words), cwd=source, timeout_s=1_800.0)
            shutil.rmtree(source)
        return program
