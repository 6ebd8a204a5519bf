"""A model process ends as soon as the server that started it is gone, also one that was killed.

Triton's own model processes look whether the server's process id exists. Until somebody collects a
killed server it does, and the orphan, which ignores SIGTERM, keeps its memory and its cores.
Standard library only. Linux.
"""

import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

SERVER_GONE: Final = 71
"""Exit status of a model process whose server is gone."""
_SHARED: Final = "/dev/shm/"  # noqa: S108 -- where Linux keeps POSIX shared memory


def end_with_server(server: int | None = None) -> None:
    """Watch the server from a thread of its own; called once, when the model is loaded.

    Args:
        server: The process id of the server; the parent of this process if None.
    """
    try:
        watched = os.pidfd_open(os.getppid() if server is None else server)
    except OSError:  # an old kernel, or it is gone already: Triton's own look has to do
        return
    threading.Thread(target=_wait, args=(watched,), name="end with server", daemon=True).start()


def _wait(watched: int) -> None:
    """End this process when the one behind the descriptor has ended, collected or not."""
    select.select([watched], [], [])
    # Nobody else has these: the server has made them for itself and this process.
    for region in mapped_regions(Path("/proc/self/maps").read_text(errors="replace")):
        with suppress(OSError):
            region.unlink()
    os._exit(SERVER_GONE)


def mapped_regions(maps: str) -> list[Path]:
    """Return the files of shared memory that a process has mapped.

    Args:
        maps: What the kernel says in `/proc/<pid>/maps`.
    """
    paths = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if _SHARED in line}
    return [Path(path) for path in sorted(paths) if path.startswith(_SHARED)]
