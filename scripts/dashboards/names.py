"""Names and PromQL of metrics: ours from `core.metrics`, those of others written here once."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import Metrics

METRICS: Final = Metrics()
"""Only for its names."""

# Triton's own, https://docs.nvidia.com/deeplearning/triton-inference-server: durations are sums
# over requests, in microseconds.
TRITON_REQUESTS: Final = "nv_inference_request_success"
TRITON_INFERENCES: Final = "nv_inference_count"
TRITON_EXECUTIONS: Final = "nv_inference_exec_count"
TRITON_PENDING: Final = "nv_inference_pending_request_count"
TRITON_FAILURES: Final = "nv_inference_request_failure"
TRITON_QUEUE_US: Final = "nv_inference_queue_duration_us"
TRITON_COMPUTE_US: Final = {
    "input": "nv_inference_compute_input_duration_us",
    "inference": "nv_inference_compute_infer_duration_us",
    "output": "nv_inference_compute_output_duration_us",
}

# Of every process of ours, by prometheus_client.
PROCESS_CPU: Final = "process_cpu_seconds_total"
PROCESS_MEMORY: Final = "process_resident_memory_bytes"

RANGE: Final = "$__rate_interval"
"""Grafana's: never shorter than four scrapes."""


def name_of(metric: Gauge | Counter | Histogram) -> str:
    """Return the name of a metric's series in Prometheus; of a histogram, that of its buckets.

    Example:
        >>> name_of(METRICS.posts_in), name_of(METRICS.batch_posts), name_of(METRICS.store_up)
        ('groundswell_posts_in_total', 'groundswell_batch_posts_bucket', 'groundswell_store_up')
    """
    (family,) = metric.describe()
    suffix = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
    return family.name + suffix


def series(metric: Gauge | Counter | Histogram | str, where: str = "") -> str:
    """Return a selector.

    Example:
        >>> series(METRICS.window_posts, 'query="all"')
        'groundswell_window_posts{query="all"}'
    """
    name = metric if isinstance(metric, str) else name_of(metric)
    return f"{name}{{{where}}}" if where else name


def rate(counter: Counter | str, by: str = "", where: str = "") -> str:
    """Return the sum of a counter's growth per second, by labels.

    Example:
        >>> rate(METRICS.posts_in, "source")
        'sum by (source) (rate(groundswell_posts_in_total[$__rate_interval]))'
    """
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({series(counter, where)}[{RANGE}]))"


def quantile(level: float, histogram: Histogram) -> str:
    """Return a quantile over all processes."""
    return f"histogram_quantile({level}, {rate(name_of(histogram), 'le')})"


def mean(histogram: Histogram) -> str:
    """Return the mean over all processes."""
    (family,) = histogram.describe()
    return f"{rate(f'{family.name}_sum')} / {rate(f'{family.name}_count')}"
