"""Metrics pages of processes that have been through everything, for what reads such pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, Metric, start_http_server
from prometheus_client.registry import Collector

from core.metrics import Metrics, Role

_VALUES: Final = {
    "partition": ("0", "1"),
    "source": ("synthetic",),
    "target": ("likes", "replies", "reposts"),
    "query": ("all", "flood-relief"),
    "rank": ("1", "2"),
    "outcome": ("tracked", "sampled_out", "shed"),
    "counts": ("totals", "none", "deleted"),
}
"""Label -> the values that series of it have here; of any other label one."""
_A_STEP: Final = {
    "groundswell_forecast_error_micros": 80_000_000,
    "groundswell_forecast_floor_error_micros": 100_000_000,
    "groundswell_query_forecast_error_micros": 80_000_000,
    "groundswell_query_forecast_floor_error_micros": 100_000_000,
    "groundswell_forecast_covered": 160,
    "groundswell_query_forecast_covered": 160,
}
_STEP: Final = 200
_LEVEL: Final = {
    "groundswell_forecast_quality_outcomes": 500,
    "groundswell_query_forecast_quality_outcomes": 500,
    "groundswell_forecast_greyed": 0,
}


class _Moving(Collector):
    """Moves everything a step on whenever the page is read: a rate needs no clock."""

    def __init__(self, metrics: Metrics, names: frozenset[str]) -> None:
        self._metrics = [
            metric
            for metric in vars(metrics).values()
            if isinstance(metric, (Counter, Gauge, Histogram))
            and next(iter(metric.describe())).name in names
        ]

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            _move(metric)
        yield from ()


def _move(metric: Counter | Gauge | Histogram) -> None:
    (family,) = metric.describe()
    # prometheus_client has no public way to ask a metric for its labels.
    for values in itertools.product(*(_VALUES.get(n, ("any",)) for n in metric._labelnames)):
        series = metric.labels(*values) if values else metric
        if isinstance(series, Counter):
            series.inc(_A_STEP.get(family.name, _STEP))
        elif isinstance(series, Gauge):
            series.set(_LEVEL.get(family.name, 1))
        else:
            series.observe(0.02)


@contextmanager
def metrics_page(metrics: Metrics) -> Iterator[int]:
    """Serve a page; give its port."""
    server, serving = start_http_server(0, "127.0.0.1", metrics.registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        serving.join(60)


@contextmanager
def role_page(role: Role, beginning: str = "") -> Iterator[int]:
    """Serve a page with metrics that only processes of a role have; give its port.

    Args:
        role: The role.
        beginning: What the names of the metrics that move begin with.
    """
    metrics = Metrics(role=role)
    others = {family.name for family in Metrics(role="worker").registry.collect()}
    own = {family.name for family in metrics.registry.collect()} - others
    moving = frozenset(name for name in own if name.startswith(beginning))
    metrics.add(_Moving(metrics, moving))
    with metrics_page(metrics) as port:
        yield port
