"""Where the local stack keeps its files, all below one folder, and the key of its author hashes."""

import contextlib
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.folders import checkout, home

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: a checkout's root, or where they are installed."""
SERVER_PYTHON_VARIABLE: Final = "GROUNDSWELL_SERVER_PYTHON"
KEY_BYTES: Final = 32
AUTHOR_KEY_VARIABLE: Final = "GROUNDSWELL__INGEST__AUTHOR_KEY_FILE"
"""A path and not the key: variables of a process are shown by many tools, and the run file has
them."""


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """Folders and files below the run-time root.

    Attributes:
        root: The folder of everything that the stack fetches, builds and stores.
        shared_cache: A cache elsewhere, for stacks that share one; None puts it below the root.
    """

    root: Path = field(default_factory=home)
    shared_cache: Path | None = None

    @property
    def cache(self) -> Path:
        """Downloads that survive `--fresh`: the broker's jars."""
        return self.shared_cache or self.root / "cache"

    @property
    def state(self) -> Path:
        """What the servers store; `--fresh` removes it."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log file per process of the running stack."""
        return self.root / "logs"

    @property
    def runfile(self) -> Path:
        """Description of the running stack: process ids, ports, addresses."""
        return self.root / "run.json"

    @property
    def console(self) -> Path:
        """The hashed keys of the console and its link; keys outlive `--fresh`."""
        return self.root / "console"

    @property
    def console_link(self) -> Path:
        """The link that lets a browser into the console, once; made anew when it was used."""
        return self.console / "link"

    @property
    def author_key(self) -> Path:
        """The key of the author hashes; it outlives `--fresh`: authors stay the same ones."""
        return self.root / "author.key"

    @property
    def model_repository(self) -> Path:
        """The Triton model repository that `models.build` fills."""
        return self.root / "model_repository"


DEFAULT_PATHS: Final = RuntimePaths()
"""The run-time folder of this process: `core.folders.home`."""


def server_environment() -> Path:
    """Return the folder of the model server's environment, which `groundswell setup` makes."""
    root = checkout()
    return root / ".venv-server" if root is not None else DEFAULT_PATHS.root / "server"


DEFAULT_SERVER_PYTHON: Final = Path(
    os.environ.get(SERVER_PYTHON_VARIABLE) or server_environment() / "bin" / "python"
)


def read_link(paths: RuntimePaths) -> str:
    """Return the link that lets a browser into the console; "" if no console is up."""
    try:
        return paths.console_link.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def groundswell_argv(module: str = "services.cli.main") -> tuple[str, ...]:
    """Return how a module of ours is run by this interpreter, wherever that is started.

    A folder `core` or `models` of the person who starts it must not be taken for ours, hence -P.
    """
    return (sys.executable, "-P", "-m", module)


def ensure_author_key(path: Path) -> None:
    """Write a random key to `path`, unless there is one.

    Linked into place whole: of two programs that start together both find the same key, and a
    crash leaves none or all of it.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
