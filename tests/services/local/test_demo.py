"""The demo from an empty folder to its summary, on real Kafka and Redis, with a worker killed."""

import io
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from core import config
from core.settings import Settings
from services.local.demo import Demo
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.runfile import ProcessIdentity, read_run
from services.local.stack import plan_stack

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DEADLINE_S = 120.0
SHORT_PANES = {
    "GROUNDSWELL__WINDOWS__PANE_S": "5",
    "GROUNDSWELL__WINDOWS__ALLOWED_LATENESS_S": "2",
    "GROUNDSWELL__WINDOWS__IDLE_AFTER_S": "2",
}


def settings_of(environment: Mapping[str, str]) -> Settings:
    return config.load(environ=environment)


class Assassin:
    """Kills a part with SIGKILL once posts flow; remembers all processes it saw."""

    def __init__(self, paths: RuntimePaths, victim: str) -> None:
        self.killed: int | None = None
        self.seen: set[ProcessIdentity] = set()
        self._paths = paths
        self._victim = victim
        self._thread = threading.Thread(target=self._lurk, daemon=True)
        self._thread.start()

    def _lurk(self) -> None:
        give_up_at = time.monotonic() + DEADLINE_S
        while time.monotonic() < give_up_at:
            run = read_run(self._paths.runfile)
            if run is not None:
                self.seen |= {part.identity for part in run.parts if part.identity is not None}
                victim = run.part(self._victim)
                if run.state == "ready" and victim is not None and victim.identity is not None:
                    time.sleep(3.0)  # let posts flow first
                    self.killed = victim.identity.pid
                    os.kill(self.killed, signal.SIGKILL)
                    return
            time.sleep(0.05)


def test_a_demo_whose_worker_is_killed_balances_its_books_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    paths = RuntimePaths(tmp_path, shared_cache=DEFAULT_PATHS.cache)
    options = StackOptions(
        measured_rate=200.0,
        scorer="fake",
        metrics_stack=False,
        fresh=True,
        settings=SHORT_PANES,
        paths=paths,
    )
    assassin = Assassin(paths, "worker-1")
    screen = io.StringIO()
    console = Console(file=screen, width=120)
    demo = Demo(
        options, settings_of, console, 12.0, plan=lambda asked: plan_stack(asked, usual_ports=False)
    )
    summary = demo.run()
    assert assassin.killed is not None
    assert summary.restarts["worker-1"] >= 1
    assert summary.faults() == []
    assert summary.books.counted > 500
    assert summary.books.windows_closed > 0
    assert summary.forecasts is not None
    assert summary.forecasts.posts > 0
    assert re.search(r"this machine scores [\d,]+ posts/s .*the demo sends 200", screen.getvalue())
    assert not any(process.is_alive() for process in assassin.seen)
    assert not paths.runfile.exists()
    assert re.search(r"counted \d+/s .* windows \d+", screen.getvalue())
