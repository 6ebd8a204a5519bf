"""Half an hour of every metric, in OpenMetrics, for a Prometheus that nothing feeds.

The figures mean nothing; they have the sizes of a healthy stream, so that a panel looks as people
see it: shares add up, ages are seconds, watermarks follow the clock. Nothing is drawn by chance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.heads import COUNTED
from core.metrics import Metrics

BEGIN_S: Final = 1_790_000_000
"""Seconds since 1970, a multiple of `STEP_S`."""
STEP_S: Final = 15
SPAN_S: Final = 40 * 60
"""Ten minutes more than the page shows, so that rates have a past."""

_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "partition": ("0", "1", "2", "3"),
    "source": ("bluesky", "mastodon"),
    "topic": ("posts", "post-events"),
    "target": ("likes", "replies", "reposts"),
    "query": ("all", "energy-prices", "flood-relief", "rail-strike", "vaccines"),
    "rank": ("1", "2", "3", "4", "5"),
    "head": tuple(spec.name for spec in COUNTED),
    "outcome": ("tracked", "sampled_out", "shed"),
    "counts": ("totals", "added_up", "none", "deleted"),
    "server": ("triton-1:8001", "triton-2:8001"),
    "kind": ("opinion", "volume"),
    "state": ("firing", "resolved"),
    "direction": ("down",),
    "what": ("expected", "observed"),
    "label": ("negative", "neutral", "positive"),
    "system": ("average", "forecast", "counts", "posterior"),
    "authors": ("known", "strangers"),
    "age": ("0", "15m", "1h", "6h"),
    "model_version": ("post-encoder-7",),
    "found": ("told", "detected", "unsure"),
    "reason": ("duplicate", "not_json"),
    "stage": ("decode", "score", "apply"),
    "horizon": ("panes", "unpublished_panes", "ids", "contributions", "waiting_events"),
    "cause": ("network", "stalled"),
    "counter": ("exclamations", "questions"),
}  # fmt: skip
"""Label -> values that series of it have; of any other label `any`."""

_MIX: Final = {
    "language": ("en", "de", "es", "fr", "other"),
    "source": ("bluesky", "mastodon", "rss"),
    "topic": ("news_&_social_concern", "diaries_&_daily_life", "sports", "music", "none"),
    "stratum": ("bluesky/en/news_&_social_concern", "bluesky/en/none", "mastodon/de/none"),
}
_WHOLE: Final = ("_up", "_connected", "_active", "_log_ok", "_info", "_divisor")
_LEVELS: Final = {
    "_greyed": 0.0, "_not_judged": 0.0, "_suppressed": 0.0, "_evicted_keys": 0.0,
    "_integrity_gap_posts": 0.0, "_sentiment_stderr": 0.06, "_window_sentiment": 0.2,
    "_skill": 0.12, "_coverage": 0.8, "_rank_correlation": 0.6, "_quality_outcomes": 600.0,
    "_duplicate_share": 0.08, "_firing": 2.0, "_bytes": 2.4e8, "_reach": 4_000.0,
    "_window_posts": 900.0, "_window_authors": 700.0, "_log_score": -0.9, "_turn_evidence": 2.0,
    "_patience": 30.0, "_keys": 40_000.0, "_entries": 9_000.0, "_budget_used": 3.0,
    "_partition_posts": 250_000.0, "_authors": 12_000.0, "_pending_posts": 3_000.0,
    "_ranked_posts": 40.0, "_judged_queries": 12.0, "_seconds": 4.0,
}  # fmt: skip
"""End of a gauge's name -> about its level; the first that fits counts, of any other 20."""
_RATES: Final = {
    "error_micros": 300_000.0, "commands": 4_000.0, "retries": 0.02, "failures": 0.01,
    "refused": 0.01, "gap": 0.01, "evicted": 0.0, "dead_posts": 0.03, "expired": 0.0,
    "_seconds": 0.2, "distance": 1.5, "_us": 40_000.0, "alerts": 0.002,
}  # fmt: skip
"""Part of a counter's name -> about how much a second; the first that fits counts, else 30."""
_BUCKETS: Final = {0.025: 0.3, 0.05: 0.7, 0.1: 0.92, 0.4: 0.99, 2.5: 1.0, math.inf: 1.0}
"""Edge in seconds -> share of what a histogram has seen up to there."""
_TRITON: Final = (
    "nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count",
    "nv_inference_request_failure", "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us", "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us", "process_cpu_seconds_total",
)  # fmt: skip

Value = Callable[[float], float]
"""Seconds from the beginning -> the value of a series."""
Series = tuple[str, dict[str, str], Value]


def openmetrics(recorded: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the lines of a file for `promtool tsdb create-blocks-from openmetrics`.

    Args:
        recorded: Names that rules record, as `labels:metric:operation`.
    """
    families: dict[str, list[Series]] = {}
    for series in itertools.chain(_ours(), _of_others(), map(_recorded_series, sorted(recorded))):
        families.setdefault(series[0], []).append(series)
    for name, family in families.items():
        yield f"# TYPE {name} unknown"
        for _, labels, value in family:
            written = ",".join(f'{key}="{text}"' for key, text in labels.items())
            for at in range(0, SPAN_S + 1, STEP_S):
                yield f"{name}{{{written}}} {value(at):.12g} {BEGIN_S + at}"
    yield "# EOF"


def _ours() -> Iterator[Series]:
    for metric in vars(Metrics()).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            (family,) = metric.describe()
            for number, labels in enumerate(_labels_of(family.name, metric._labelnames)):
                yield from _series(family.name, family.type, labels, number)


def _labels_of(name: str, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the labels of each series of a metric; classes go with their heads."""
    if "head" in names and "label" in names:
        for query, spec in itertools.product(_LABELS["query"], COUNTED):
            yield from ({"query": query, "head": spec.name, "label": n} for n in spec.labels)
        yield {"query": "all", "head": "stance", "label": "against"}  # a head that may come
    elif "level" in names:
        for query, level in itertools.product(_LABELS["query"], _levels()[1:]):
            yield {"query": query, "level": level}
    elif "by" in names:
        for query, (by, values) in itertools.product(_LABELS["query"], _MIX.items()):
            yield from ({"query": query, "by": by, "value": value} for value in values)
    else:
        for values in itertools.product(*(_LABELS.get(n, ("any",)) for n in names)):
            yield dict(zip(names, values, strict=True))


def _levels() -> tuple[str, ...]:
    (spec,) = (spec for spec in COUNTED if spec.name == "participation")
    return spec.labels


def _series(name: str, kind: str, labels: dict[str, str], number: int) -> Iterator[Series]:
    if kind == "histogram":
        factor = 2_000 if "batch" in name else 1
        for edge, share in _BUCKETS.items():
            written = f"{edge * factor:g}" if edge < math.inf else "+Inf"
            yield f"{name}_bucket", labels | {"le": written}, _growing(30 * share, number)
        yield f"{name}_sum", labels, _growing(1.2 * factor, number)
        yield f"{name}_count", labels, _growing(30.0, number)
    elif kind == "counter":
        rate = next((rate for part, rate in _RATES.items() if part in name), 30.0)
        yield f"{name}_total", labels, _growing(rate, number)
    else:
        yield name, labels, _gauge(name, labels, number)


def _gauge(name: str, labels: dict[str, str], number: int) -> Value:
    if name.endswith(("watermark_seconds", "end_seconds")):
        return lambda at: BEGIN_S + at - 12 - number - at % 10
    if name.endswith(_WHOLE):
        return lambda at: 1.0
    if "share" in name and "label" in labels:
        return _share_of(labels)
    if name.endswith("mobilisation"):
        share = 0.5 ** (_levels().index(labels["level"]) + 1)
        return _around(share, number)
    level = next((level for end, level in _LEVELS.items() if name.endswith(end)), 20.0)
    return _around(level, number)


def _share_of(labels: dict[str, str]) -> Value:
    """Return a share that adds up to one with those of the other classes."""
    spec = next((spec for spec in COUNTED if spec.name == labels.get("head")), None)
    classes = _LABELS["label"] if spec is None else spec.labels
    if len(classes) == 1 or labels["label"] not in classes:
        return _around(0.3, 0)
    own = classes.index(labels["label"])

    def value(at: float) -> float:
        weights = [1.5 + math.sin(at / 300 + 2 * n) + 0.3 * (n == 1) for n in range(len(classes))]
        return weights[own] / sum(weights)

    return value


def _around(level: float, number: int) -> Value:
    """Return a value that moves about a level, by a fifth of it; series lie apart by a tenth."""
    apart = level * (1 + 0.1 * (number % 7))
    return lambda at: apart * (1 + 0.2 * math.sin(at / 240 + number))


def _growing(rate: float, number: int) -> Value:
    """Return a counter that grows by a rate that moves; never down."""
    apart = rate * (1 + 0.2 * (number % 5))
    return lambda at: apart * (at + 60 * (1 - math.cos(at / 240 + number)) + 500)


def _of_others() -> Iterator[Series]:
    """Yield the series of processes, of Triton and of Prometheus itself."""
    parts = ("ingest", "worker-1", "closer")
    for number, part in enumerate(parts):
        labels = {"part": part, "instance": f"127.0.0.1:{9101 + number}"}
        yield "process_cpu_seconds_total", labels, _growing(0.3, number)
        yield "process_resident_memory_bytes", labels, _around(1.6e8, number)
    model = {"model": "post_encoder", "part": "triton"}
    for name in _TRITON[:-1]:
        rate = 30_000.0 if name.endswith("_us") else 0.0 if "failure" in name else 25.0
        yield name, model, _growing(rate, len(name))
    yield "nv_inference_pending_request_count", model, _around(4.0, 1)
    firing = {"alertname": "GroundswellLag", "alertstate": "firing"}
    yield "ALERTS", firing | {"layer": "stream", "severity": "warning"}, lambda at: 1.0


def _recorded_series(name: str) -> Series:
    """Return one series of a name such as `source_target:groundswell_forecast_skill:ratio1d`."""
    by, metric, _ = name.split(":")
    labels = {label: _LABELS.get(label, ("any",))[-1] for label in by.split("_") if label}
    level = 0.1 if "skill" in metric else 0.8 if "coverage" in metric else 900.0
    return name, labels, _around(0.02 if "dead" in metric else level, 0)
