"""The panels of *pipeline* about what the stream leans on: scorer, Redis, processes."""

# ruff: noqa: D103 - what a panel is, its description says, where the reader of the page sees it

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import timeseries
from prometheus_client import Counter

from dashboards import names
from dashboards.names import METRICS, mean, quantile, rate, series
from dashboards.shapes import BYTES, COUNT, PER_SECOND, SECONDS, SHARE, lines

_PROCESS: Final = "{{part}} {{instance}}"


def batch_size() -> timeseries.Panel:
    return lines(
        "Batch size",
        "Posts in a scored batch: large when there is a backlog, small when there is none.",
        COUNT,
        (mean(METRICS.batch_posts), "mean"),
        (quantile(0.95, METRICS.batch_posts), "p95"),
    )


def scorer_latency() -> timeseries.Panel:
    return lines(
        "Scorer latency",
        "From sending a batch to its scores, as workers see it.",
        SECONDS,
        (quantile(0.5, METRICS.scorer_latency_seconds), "p50"),
        (quantile(0.95, METRICS.scorer_latency_seconds), "p95"),
    )


def in_flight() -> timeseries.Panel:
    return lines(
        "In flight and tried again",
        "Posts between fetch and apply, by worker; batches and store calls made again.",
        COUNT,
        (f"sum by (part, instance) ({series(METRICS.in_flight_posts)})", f"in flight: {_PROCESS}"),
        (rate(METRICS.scorer_retries), "scorer retries/s"),
        (rate(METRICS.store_retries), "store retries/s"),
    )


def triton_times() -> timeseries.Panel:
    requests = rate(names.TRITON_REQUESTS, "model")
    return lines(
        "Triton: queue and compute",
        "Mean time of a request in each step. Queue above compute: the server is the limit.",
        "µs",
        (f"{rate(names.TRITON_QUEUE_US, 'model')} / {requests}", "queue"),
        *(
            (f"{rate(metric, 'model')} / {requests}", step)
            for step, metric in names.TRITON_COMPUTE_US.items()
        ),
    )


def triton_rates() -> timeseries.Panel:
    return lines(
        "Triton: posts and executions",
        "Posts scored and runs of the model a second; their ratio is the server's batch.",
        PER_SECOND,
        (rate(names.TRITON_INFERENCES, "model"), "posts"),
        (rate(names.TRITON_EXECUTIONS, "model"), "executions"),
    )


def triton_pending() -> timeseries.Panel:
    return lines(
        "Triton: waiting and failed",
        "Requests in the queue, and those refused or failed a second.",
        COUNT,
        (f"sum by (model) ({series(names.TRITON_PENDING)})", "waiting"),
        (rate(names.TRITON_FAILURES, "model"), "failed/s"),
    )


def servers_in_use() -> timeseries.Panel:
    return lines(
        "Model servers in use",
        "Of several servers: 1 while every worker uses it, 0 while one has left it out.",
        COUNT,
        (f"min by (server) ({series(METRICS.scorer_server_up)})", "{{server}}"),
        span=12,
    )


def servers_load() -> timeseries.Panel:
    return lines(
        "Model servers: load and trouble",
        "Posts that each has to answer; times a second that it was left out, and that a batch "
        "which it held for long was sent to another too.",
        COUNT,
        (
            f"sum by (server) ({series(METRICS.scorer_server_in_flight_posts)})",
            "in flight: {{server}}",
        ),
        (rate(METRICS.scorer_server_left_out, "server, cause"), "{{cause}}/s: {{server}}"),
        (rate(METRICS.scorer_server_asked_again, "server"), "asked again/s: {{server}}"),
        span=12,
    )


def shadow_distance() -> timeseries.Panel:
    return lines(
        "Shadow: distance",
        "Mean total variation distance between the model that counts and the one beside it.",
        SHARE,
        (_of_compared(METRICS.shadow_distance), "{{head}}"),
    )


def shadow_labels() -> timeseries.Panel:
    return lines(
        "Shadow: other label",
        "Share of compared posts whose likeliest class differs, and that only one of them rates.",
        SHARE,
        (_of_compared(METRICS.shadow_label_disagreements), "{{head}}"),
        (
            f"{rate(METRICS.shadow_rating_disagreements)} / {rate(METRICS.shadow_posts)}",
            "rated or not",
        ),
    )


def shadow_latency() -> timeseries.Panel:
    return lines(
        "Shadow: latency",
        "From sending a sample to the second model's scores.",
        SECONDS,
        *((quantile(q, METRICS.shadow_latency_seconds), f"p{q * 100:.0f}") for q in (0.5, 0.99)),
    )


def _of_compared(counter: Counter) -> str:
    return f"{rate(counter, 'head')} / {rate(METRICS.shadow_compared_posts, 'head')}"


def redis_memory() -> timeseries.Panel:
    return lines(
        "Redis memory",
        "Flat once the horizons are full. At the limit applies wait and nothing is lost.",
        BYTES,
        (f"max({series(METRICS.store_memory_bytes)})", "used"),
        (f"max({series(METRICS.store_memory_limit_bytes)})", "limit (0: none)"),
        span=6,
    )


def redis_commands() -> timeseries.Panel:
    return lines(
        "Redis commands",
        "Carried out a second, those inside our scripts included.",
        PER_SECOND,
        (rate(METRICS.store_commands), "commands"),
        span=6,
    )


def redis_entries() -> timeseries.Panel:
    return lines(
        "Redis entries by horizon",
        "What the store remembers; each stops growing when its horizon is reached.",
        COUNT,
        (f"max by (horizon) ({series(METRICS.store_entries)})", "{{horizon}}"),
        (f"max({series(METRICS.store_keys)})", "keys"),
        span=6,
    )


def redis_health() -> timeseries.Panel:
    return lines(
        "Redis durability",
        "The log must be written (1), and nothing ever evicted (0).",
        COUNT,
        (f"min({series(METRICS.store_log_ok)})", "log written"),
        (f"max({series(METRICS.store_evicted_keys)})", "keys evicted"),
        span=6,
    )


def cpu() -> timeseries.Panel:
    return lines(
        "CPU",
        "Cores used by each of our processes.",
        COUNT,
        (rate(names.PROCESS_CPU, "part, instance"), _PROCESS),
    )


def memory() -> timeseries.Panel:
    return lines(
        "Memory",
        "Resident memory of each of our processes; a worker stays under 300 MB, flat.",
        BYTES,
        (f"sum by (part, instance) ({names.PROCESS_MEMORY})", _PROCESS),
    )


def versions() -> timeseries.Panel:
    return lines(
        "Workers by model version",
        "How many workers were last answered by each version of the model.",
        COUNT,
        (f"count by (model_version) ({series(METRICS.model_info)})", "{{model_version}}"),
    )
