"""A Prometheus that has half an hour of every metric and collects nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.folders import shipped
from services.local.child import Command, run_to_end
from services.local.prometheus_server import PrometheusServer
from services.local.server import ServerFailed
from testkit.look.made_up import BEGIN_S, SPAN_S, openmetrics

UNTIL_S = BEGIN_S + SPAN_S
"""The end of what is made up, in seconds since 1970."""
_RECORD = re.compile(r"record: (\w+:groundswell_\w+:\w+)")


def recorded_names() -> frozenset[str]:
    """Return the names that our rules record, of those with labels."""
    rules = shipped("deploy", "prometheus", "rules").glob("*.yml")
    return frozenset(name for path in rules for name in _RECORD.findall(path.read_text()))


@contextmanager
def made_up_prometheus(folder: Path) -> Iterator[PrometheusServer]:
    """Give a running Prometheus; it is ended afterwards, and its series are left.

    Args:
        folder: An empty folder, or one that is not there yet.

    Raises:
        ServerFailed: Prometheus or its promtool is not installed, or refuses the series.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        raise ServerFailed("promtool is not installed: apt-get install prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "series.txt"
    with written.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in openmetrics(recorded_names()))
    server = PrometheusServer(folder, ())
    words = ("tsdb", "create-blocks-from", "openmetrics", str(written), str(folder / "series"))
    status, output = run_to_end(Command((promtool, *words)), 120)
    written.unlink()
    if status:
        raise ServerFailed(f"promtool refuses the series: {output[-2000:]}")
    with server:
        yield server
