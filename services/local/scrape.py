"""Reads Prometheus pages: values, sums over labels, quantiles of histograms, rates of counters."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from services.local.probes import fetch

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """The samples of one or several pages; equal samples of several pages are added.

    Attributes:
        samples: Name -> labels -> value.
    """

    samples: Mapping[str, Mapping[Labels, float]] = field(
        default_factory=dict[str, dict[Labels, float]]
    )

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all samples of `name` that have these labels; 0 if there are none."""
        wanted = labels.items()
        return sum(
            value
            for found, value in self.samples.get(name, {}).items()
            if wanted <= dict(found).items()
        )

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return the samples of `name`, added up by the value of one label."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def buckets(self, name: str) -> dict[float, float]:
        """Return a histogram's cumulative counts by upper edge; empty if there is none."""
        return {float(edge): count for edge, count in self.by_label(f"{name}_bucket", "le").items()}


def parse_pages(texts: Iterable[str]) -> Page:
    """Return the samples of several metrics pages as one."""
    samples: dict[str, dict[Labels, float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                by_labels = samples.setdefault(sample.name, {})
                by_labels[labels] = by_labels.get(labels, 0.0) + sample.value
    return Page(samples)


def fetch_pages(ports: Iterable[int]) -> dict[int, Page]:
    """Return port -> samples of the loopback pages that answer; a part that is down is absent."""
    bodies = {port: fetch(port, "/metrics") for port in ports}
    return {
        port: parse_pages([body.decode(errors="replace")])
        for port, body in bodies.items()
        if body is not None
    }


def quantile(level: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of a histogram, linear inside its bucket as Prometheus does it.

    Args:
        level: In (0, 1).
        buckets: Cumulative count by upper edge, `inf` included.

    Returns:
        None without samples; the largest finite edge if the quantile lies above it.

    Example:
        >>> quantile(0.5, {0.1: 10, 0.2: 20, math.inf: 20})
        0.1
        >>> round(quantile(0.75, {0.1: 10, 0.2: 20, math.inf: 20}), 3)
        0.15
    """
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] <= 0:
        return None
    rank = level * buckets[edges[-1]]
    lower, below = 0.0, 0.0
    for edge in edges:
        if buckets[edge] >= rank:
            if math.isinf(edge):
                return lower
            inside = buckets[edge] - below
            share = (rank - below) / inside if inside > 0 else 0.0
            return lower + (edge - lower) * share
        lower, below = edge, buckets[edge]
    return lower


class RecentGrowth:
    """How counters grew within the last seconds, whatever happened to the processes behind them.

    Each process counts from zero when it is started again, and is silent while it is down; so
    growth is taken process by process, and a counter that fell has grown by its new value.

    Args:
        span_s: How far back `growth` and `rate` look.
    """

    def __init__(self, span_s: float = 10.0) -> None:
        self._span_s = span_s
        self._last: dict[tuple[int, str], float] = {}
        self._grown: dict[str, float] = {}
        self._history: deque[tuple[float, dict[str, float]]] = deque()

    def note(self, now_s: float, counters: Mapping[int, Mapping[str, float]]) -> None:
        """Take the counters of each process at a time; times must not fall."""
        for process, values in counters.items():
            for name, value in values.items():
                before = self._last.get((process, name), 0.0)
                step = value - before if value >= before else value
                self._grown[name] = self._grown.get(name, 0.0) + step
                self._last[process, name] = value
        self._history.append((now_s, dict(self._grown)))
        while len(self._history) > 2 and self._history[1][0] <= now_s - self._span_s:
            self._history.popleft()

    def names(self) -> list[str]:
        """Return the counters seen so far."""
        return list(self._grown)

    def total(self, name: str) -> float:
        """Return how much a counter grew since the beginning."""
        return self._grown.get(name, 0.0)

    def growth(self, name: str) -> float:
        """Return how much a counter grew within the span."""
        if not self._history:
            return 0.0
        return self._history[-1][1].get(name, 0.0) - self._history[0][1].get(name, 0.0)

    def rate(self, name: str) -> float:
        """Return a counter's growth per second within the span; 0 before the second look."""
        if len(self._history) < 2:
            return 0.0
        elapsed_s = self._history[-1][0] - self._history[0][0]
        return self.growth(name) / elapsed_s if elapsed_s > 0 else 0.0
