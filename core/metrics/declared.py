"""How a metric is declared: a row of a class, its attribute the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as it is declared; each process makes its own of it.

    Attributes:
        kind: The class of the client library.
        text: The help text.
        labels: The names of the labels.
        name: The name without prefix and unit, if it is not the attribute.
        buckets: The upper edges of a histogram.
    """

    kind: type[Counter | Gauge | Histogram]
    text: str
    labels: tuple[str, ...]
    name: str = ""
    buckets: tuple[float, ...] = ()

    def make(
        self, attribute: str, registry: CollectorRegistry | None
    ) -> Counter | Gauge | Histogram:
        """Return the metric, registered if there is a registry."""
        further: dict[str, Any] = {"buckets": self.buckets} if self.buckets else {}
        name = f"groundswell_{self.name or attribute}"
        return self.kind(name, self.text, self.labels, registry=registry, **further)


def counter(text: str, *labels: str, name: str = "") -> Counter:
    """Declare a counter."""
    return cast(Counter, Declared(Counter, text, labels, name))


def gauge(text: str, *labels: str) -> Gauge:
    """Declare a gauge."""
    return cast(Gauge, Declared(Gauge, text, labels))


def histogram(text: str, buckets: tuple[float, ...]) -> Histogram:
    """Declare a histogram without labels."""
    return cast(Histogram, Declared(Histogram, text, (), buckets=buckets))
