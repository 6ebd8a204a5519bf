"""Every Prometheus metric: name, help, labels and bucket edges, a row each, by process.

Names are `groundswell_<noun>_<unit>`, counters end in `_total` (prometheus_client adds it). Labels
come from small closed sets only: never a post, an author, a free text; `query` is bounded by the
query file. A metric without a row in `docs/metrics.md` fails a test. Each process has one
`Metrics` with a registry of its own, so that tests can have many in one interpreter.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.registry import Collector

from core.errors import ConfigError
from core.metrics.closer import AlertMetrics, CloserMetrics
from core.metrics.console import ConsoleMetrics
from core.metrics.declared import Declared, counter
from core.metrics.exporter import ServerMetrics, WindowMetrics
from core.metrics.forecaster import (
    EngagementModelMetrics,
    ForecasterMetrics,
    ForecastQualityMetrics,
)
from core.metrics.ingest import IngestMetrics, NetworkSourceMetrics
from core.metrics.responder import ResponderMetrics
from core.metrics.worker import ShadowMetrics, WorkerMetrics

Role: TypeAlias = Literal[
    "ingest", "worker", "closer", "forecaster", "responder", "exporter", "console"
]


class SharedMetrics:
    """The metrics that several processes have."""

    dead_posts = counter("Messages that went to dead-posts", "reason", "stage")
    records_refused = counter("Records of our own topics that could not be used", "topic", "reason")
    posts_repaired = counter("Posts accepted with a documented repair", "repair")
    query_reload_failures = counter("Query files refused on reload")


_OF_ROLES: Final[tuple[tuple[Role | None, type], ...]] = (
    (None, SharedMetrics),
    ("ingest", IngestMetrics),
    ("ingest", NetworkSourceMetrics),
    ("worker", WorkerMetrics),
    ("worker", ShadowMetrics),
    ("closer", CloserMetrics),
    ("closer", AlertMetrics),
    ("forecaster", ForecasterMetrics),
    ("forecaster", ForecastQualityMetrics),
    ("forecaster", EngagementModelMetrics),
    ("responder", ResponderMetrics),
    ("exporter", WindowMetrics),
    ("exporter", ServerMetrics),
    ("console", ConsoleMetrics),
)
"""Whose metrics they are (None: everybody's) and where they are declared."""


class Metrics(
    SharedMetrics, IngestMetrics, NetworkSourceMetrics, WorkerMetrics, ShadowMetrics,
    CloserMetrics, AlertMetrics, ForecasterMetrics, ForecastQualityMetrics,
    EngagementModelMetrics, ResponderMetrics, WindowMetrics, ServerMetrics, ConsoleMetrics,
):  # fmt: skip
    """The metrics of one process.

    Args:
        registry: Where they are registered; None makes a registry of their own.
        role: The kind of process; it has the others' metrics too, but exports none of them. None
            exports all (tests, documents).

    Example:
        >>> metrics = Metrics()
        >>> metrics.posts_in.labels(source="synthetic").inc(3)
        >>> metrics.registry.get_sample_value(
        ...     "groundswell_posts_in_total", {"source": "synthetic"})
        3.0
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, role: Role | None = None
    ) -> None:
        self.registry = registry or CollectorRegistry()
        for owner, group in _OF_ROLES:
            # A gauge that a process never sets would be a 0 beside the truth of another process.
            target = self.registry if role in (None, owner) or owner is None else None
            for name, declared in vars(group).items():
                if isinstance(declared, Declared):
                    setattr(self, name, declared.make(name, target))

    def add(self, collector: Collector) -> None:
        """Register one more collector, for example the process collector."""
        self.registry.register(collector)

    def serve(self, address: str, port: int) -> None:
        """Serve `/metrics`, with CPU and memory of this process; port 0 serves nothing.

        On a thread of its own.

        Raises:
            ConfigError: It cannot listen there.
        """
        if port:
            # When each series began is more series than it is worth.
            disable_created_metrics()
            ProcessCollector(registry=self.registry)
            try:
                start_http_server(port, addr=address, registry=self.registry)
            except OSError as error:
                raise ConfigError(
                    f"metrics.port = {port}: cannot listen on {address}: {error.strerror}"
                ) from error
