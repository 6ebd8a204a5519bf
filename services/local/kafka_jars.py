"""Kafka's jar files: fetched once as the committed lock says, verified, kept in a cache.

`deploy/kafka/jgo.lock.toml` names every artifact with its version and SHA-256 and is the only
authority: fetching resolves nothing, so it needs no Maven and gives the same files everywhere.
`scripts/lock_kafka.py` writes the lock anew after a change of version.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import GroundswellError
from core.folders import shipped
from services.local.paths import DEFAULT_PATHS

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_PATH = shipped("deploy", "kafka", "jgo.lock.toml")
_PARALLEL_FETCHES = 8
_FETCH_TRIES = 3
_RETRY_WAIT_S = 1.0


class JarsUnavailable(GroundswellError):
    """A jar could not be fetched, or is not the one that the lock names."""


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One artifact of the lock file.

    Attributes:
        coordinate: `group:artifact:version`.
        sha256: The digest of the jar, lower-case hexadecimal.
    """

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """Name of the file in the cache."""
        _group, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_PATH) -> list[LockedJar]:
    """Return the artifacts of a lock file in its order."""
    document = tomllib.loads(path.read_text())
    return [
        LockedJar(f"{row['groupId']}:{row['artifactId']}:{row['version']}", row["sha256"])
        for row in document["dependencies"]
    ]


def jars_folder(cache: Path, lock_path: Path = LOCK_PATH) -> Path:
    """Return where the jars of this lock lie (or will lie): the name carries the lock's digest."""
    digest = hashlib.sha256(lock_path.read_bytes()).hexdigest()[:12]
    return cache / f"kafka-{digest}"


def are_cached(cache: Path, lock_path: Path = LOCK_PATH) -> bool:
    """Tell whether `fetch_jars` would find everything on disk."""
    return jars_folder(cache, lock_path).is_dir()


def fetch_jars(cache: Path = DEFAULT_PATHS.cache, lock_path: Path = LOCK_PATH) -> list[Path]:
    """Return the jars of the lock in its order, fetching them if this cache has none.

    Safe to call from several processes at once. The folder appears under its final name only
    when every jar is there and verified, so an interrupted fetch leaves nothing half done.

    Raises:
        JarsUnavailable: The registry cannot be reached or serves something else.
    """
    jars = read_lock(lock_path)
    folder = jars_folder(cache, lock_path)
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with exclusive(cache / "kafka.lock"):
            if not folder.is_dir():
                _fetch_all(jars, folder)
    return [folder / jar.filename for jar in jars]


def _fetch_all(jars: Sequence[LockedJar], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="kafka-") as scratch:
        ready = Path(scratch, "ready")
        ready.mkdir()
        context = maven_context(Path(scratch, "repository"))
        with ThreadPoolExecutor(_PARALLEL_FETCHES) as pool:
            for jar, fetched in zip(
                jars, pool.map(lambda jar: fetch_one(context, jar), jars), strict=True
            ):
                shutil.move(fetched, ready / jar.filename)
        os.replace(ready, folder)


def fetch_one(context: "MavenContext", jar: LockedJar) -> Path:
    """Return an artifact in the context's folder, fetched and verified.

    Raises:
        JarsUnavailable: The registry cannot be reached or serves something else.
    """
    group, artifact, version = jar.coordinate.split(":")
    component = context.project(group, artifact).at_version(version)
    reason = "no try was made"
    for attempt in range(_FETCH_TRIES):
        time.sleep(_RETRY_WAIT_S * attempt)
        try:
            path = component.artifact().resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            # jgo's message lists addresses; the kind of error is enough to act on.
            reason = f"{type(error).__name__}; is the network there?"
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == jar.sha256:
            return path
        path.unlink()
        reason = f"its SHA-256 is {digest}, the lock says {jar.sha256}"
    raise JarsUnavailable(f"cannot fetch {jar.coordinate}: {reason}")


def maven_context(repository: Path) -> "MavenContext":
    """Return what fetches artifacts into a folder, without Maven."""
    # Imported late: a warm start needs neither jgo nor its HTTP client.
    from jgo.maven import MavenContext, PythonResolver

    return MavenContext(resolver=PythonResolver(), repo_cache=repository)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file: another process that wants it waits."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
