"""A stack of its own in a folder, on the usual ports if it can have them; run as a program.

Says a line of JSON when it is about to begin, begins at a line on standard input, says another when
all posts of the file are counted, and ends at the next line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from core import config
from core.settings import Settings
from services.bootstrap import make_store
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.runner import IdleCheck
from services.local.session import Session
from services.local.supervisor import PartState
from services.windows_view import all_panes


def options(folder: Path, data: Path) -> StackOptions:
    return StackOptions(
        source="replay",
        ingest_arguments=(f"--path={data}",),
        partitions=2,
        scorer="fake",
        heartbeat=False,
        metrics_stack=False,
        fresh=True,
        paths=RuntimePaths(folder, shared_cache=DEFAULT_PATHS.cache),
    )


async def windows(settings: Settings) -> list[list[Any]]:
    """Return [query, start (s), posts] of every pane."""
    store = make_store(settings)
    try:
        panes = [pane async for pane in all_panes(store, settings.windows.pane_s)]
        return [[pane.query, pane.start_s, pane.counters["posts"]] for pane in panes]
    finally:
        await store.close()


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def run(asked: StackOptions) -> None:
    said: list[str] = []
    say(ready=True)
    sys.stdin.readline()
    with Session(asked, say=said.append) as session:
        session.bring_up()
        settings = config.load(environ=session.stack.environment)
        is_idle = IdleCheck(lambda: settings)
        session.supervisor.watch(
            lambda: session.supervisor.parts[-1].state is PartState.ENDED and is_idle()
        )
        servers = [part.server for part in session.supervisor.parts]
        ports = [port for server in servers for port in server.ports.values()]
        say(
            cluster_id=settings.kafka.cluster_id,
            ports=ports,
            said=said,
            windows=asyncio.run(windows(settings)),
            restarts=sum(part.restarts for part in session.supervisor.parts),
        )
        sys.stdin.readline()


if __name__ == "__main__":
    run(options(Path(sys.argv[1]), Path(sys.argv[2])))
