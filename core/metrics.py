"""Every Prometheus metric: name, help, labels and bucket edges, in one place.

Names are `groundswell_<noun>_<unit>`, counters end in `_total` (prometheus_client adds it). Labels
come from small closed sets only: never a post, an author, a free text; `query` is bounded by the
query file. A metric without a row in `docs/metrics.md` fails a test. Each process has one
`Metrics` with a registry of its own, so that tests can have many in one interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.registry import Collector

from core.errors import ConfigError

LATENCY_BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
SCORER_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 30.0)
BATCH_BUCKETS: Final = (1, 4, 16, 32, 64, 128, 256, 512, 1024)

Role: TypeAlias = Literal["ingest", "worker", "closer", "exporter"]


class Metrics:
    """The metrics of one process.

    Args:
        registry: where they are registered; None makes a registry of their own.
        role: the kind of process; it has the others' metrics too, but exports none of them. None
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
        groups: dict[Role, tuple[Callable[[], None], ...]] = {
            "ingest": (self._ingest,),
            "worker": (self._worker, self._state, self._shadow),
            "closer": (self._closer, self._alerts),
            "exporter": (self._exporter, self._servers),
        }
        self._target: CollectorRegistry | None = self.registry
        self._several()
        for owner, makers in groups.items():
            # A gauge that a process never sets would be a 0 beside the truth of another process.
            self._target = self.registry if role in (None, owner) else None
            for make in makers:
                make()

    def _several(self) -> None:
        self.dead_posts = self._counter(
            "dead_posts", "Messages that went to dead-posts", "reason", "stage"
        )
        self.records_refused = self._counter(
            "records_refused", "Records of our own topics that could not be used", "topic", "reason"
        )
        self.posts_repaired = self._counter(
            "posts_repaired", "Posts accepted with a documented repair", "repair"
        )

    def _ingest(self) -> None:
        self.posts_in = self._counter("posts_in", "Posts taken from a source", "source")
        self.posts_acknowledged = self._counter(
            "posts_acknowledged", "Posts that Kafka acknowledged", "source"
        )
        self.source_items_unmappable = self._counter(
            "source_items_unmappable", "Items of a source that could not become a post", "source"
        )
        self.source_up = self._gauge("source_up", "1 while the source delivers or waits", "source")
        self.ingest_buffered_posts = self._gauge(
            "ingest_buffered_posts", "Posts sent to Kafka and not yet acknowledged"
        )
        self.ingest_waits = self._counter(
            "ingest_waits", "Times the source was slowed because the buffer was full", "source"
        )
        self.source_gap_items = self._counter(
            "source_gap_items", "Items lost because a source that cannot wait met a full buffer",
            "source",
        )  # fmt: skip
        self.source_lag_seconds = self._gauge(
            "source_lag_seconds", "Ingest time less claimed time of the last post", "source"
        )
        self.source_near_duplicates = self._counter(
            "source_near_duplicates", "Posts that repeat another, to the letter or nearly", "source"
        )
        self.source_languages = self._counter(
            "source_languages", "Texts by how their language is known: told, detected or unsure",
            "source", "found",
        )  # fmt: skip
        self._network_sources()

    def _network_sources(self) -> None:
        self.source_messages = self._counter(
            "source_messages", "Messages received from the platform", "source"
        )
        self.source_items_ignored = self._counter(
            "source_items_ignored", "Items of a source that are none of ours", "source"
        )
        self.source_duplicates = self._counter(
            "source_duplicates", "Messages that came again and were left out", "source"
        )
        self.webhook_requests = self._counter(
            "webhook_requests", "Requests to the webhook, by what signs them and what became of it",
            "scheme", "outcome",
        )  # fmt: skip
        self.source_gaps = self._counter(
            "source_gaps", "Times that items were missed for good", "source", "cause"
        )
        self.source_gap_seconds = self._counter(
            "source_gap_seconds", "Time of the stream that was missed for good", "source"
        )
        self.source_reconnects = self._counter(
            "source_reconnects", "Sessions that ended, by why", "source", "cause"
        )
        self.source_reader_waits = self._counter(
            "source_reader_waits", "Times the reader stopped reading for want of room", "source"
        )
        self.source_connected = self._gauge(
            "source_connected", "1 while a session with the platform is open", "source"
        )
        self.source_buffered_items = self._gauge(
            "source_buffered_items", "Items read from the network and not yet taken", "source"
        )
        self.source_position_lag_seconds = self._gauge(
            "source_position_lag_seconds", "Present less the stream's own time where we are",
            "source",
        )  # fmt: skip
        self.source_idle_limit_seconds = self._gauge(
            "source_idle_limit_seconds", "Silence after which a session is given up", "source"
        )

    def _worker(self) -> None:
        self.records_fetched = self._counter(
            "records_fetched", "Records taken from Kafka", "topic", "partition"
        )
        self.posts_applied = self._counter(
            "posts_applied", "Posts counted in panes by this worker", "partition"
        )
        self.posts_refused = self._counter(
            "applies_refused", "Applies refused because the cursor had moved", "partition"
        )
        self.state_set_aside = self._counter(
            "state_set_aside", "Stored values that could not be read and were set aside",
            "partition",
        )  # fmt: skip
        self.quarantine_expired = self._counter(
            "quarantine_expired", "Entries of the quarantine that retention took unrepaired"
        )
        self.increments_refused = self._counter(
            "increments_refused", "Batches refused, as they would add what is no integer"
        )
        self.posts_unrated = self._counter("posts_unrated", "Posts on which the model abstained")
        self.events_applied = self._counter(
            "events_applied", "Post events applied by this worker", "kind"
        )
        self.batch_posts = self._histogram("batch_posts", "Posts in a scored batch", BATCH_BUCKETS)
        self.scorer_latency_seconds = self._histogram(
            "scorer_latency_seconds", "From sending a batch to its scores", SCORER_BUCKETS_S
        )
        self.scorer_up = self._gauge("scorer_up", "1 while the scorer answers")
        self.scorer_retries = self._counter("scorer_retries", "Batches sent to the scorer again")
        self.scorer_timeouts = self._counter(
            "scorer_timeouts", "Batches that the scorer did not answer in time"
        )
        self.scorer_invalid_answers = self._counter(
            "scorer_invalid_answers", "Answers of the scorer that were refused as a whole"
        )
        self.store_retries = self._counter("store_retries", "Store calls made again")
        self.count_latency_seconds = self._histogram(
            "count_latency_seconds", "From ingest time to counted in its pane", LATENCY_BUCKETS_S
        )
        self.removal_latency_seconds = self._histogram(
            "removal_latency_seconds", "From a deletion's ingest to its removal", LATENCY_BUCKETS_S
        )
        self.in_flight_posts = self._gauge("in_flight_posts", "Posts between fetch and apply")
        self.in_flight_limit_posts = self._gauge(
            "in_flight_limit_posts", "Posts that may be in scoring, by the measured rate"
        )
        self.seeks = self._counter("seeks", "Seeks to the stored cursor", "cause")
        self.offset_gap_posts = self._counter(
            "offset_gap_posts", "Offsets that the topic no longer held when asked for", "partition"
        )
        self.scored_posts_out = self._counter("scored_posts_out", "Scored posts acknowledged")

    def _state(self) -> None:
        self.cursor = self._gauge("cursor", "Last applied offset", "topic", "partition")
        self.watermark_seconds = self._gauge(
            "watermark_seconds", "Watermark of a partition, seconds since 1970", "partition"
        )
        self.model_info = self._gauge(
            "model_info", "1 for the model version that scores", "model_version"
        )
        self.queries_loaded = self._gauge("queries_loaded", "Queries in use, `all` included")
        self.query_reload_failures = self._counter(
            "query_reload_failures", "Query files refused on reload"
        )

    def _shadow(self) -> None:
        self.shadow_info = self._gauge(
            "shadow_info", "1 for the two models that are compared",
            "model_version", "shadow_version",
        )  # fmt: skip
        self.shadow_posts = self._counter("shadow_posts", "Posts that the shadow model scored too")
        self.shadow_skipped_posts = self._counter(
            "shadow_skipped_posts", "Sampled posts not compared: busy, failed or invalid", "cause"
        )
        self.shadow_rating_disagreements = self._counter(
            "shadow_rating_disagreements", "Posts that one model rates and the other does not"
        )
        self.shadow_compared_posts = self._counter(
            "shadow_compared_posts", "Posts compared, rated by both", "head"
        )
        self.shadow_distance = self._counter(
            "shadow_distance", "Sum of the total variation distances of compared posts", "head"
        )
        self.shadow_label_disagreements = self._counter(
            "shadow_label_disagreements", "Compared posts whose likeliest class differs", "head"
        )
        self.shadow_latency_seconds = self._histogram(
            "shadow_latency_seconds", "From sending a sample to the shadow's scores",
            SCORER_BUCKETS_S,
        )  # fmt: skip

    def _closer(self) -> None:
        self.closer_active = self._gauge("closer_active", "1 while this closer owns `progress`")
        self.windows_closed = self._counter("windows_closed", "Windows published, revision 0")
        self.windows_corrected = self._counter("windows_corrected", "Corrections published")
        self.windows_expired = self._counter(
            "windows_expired", "Changed panes that retention took before they were published"
        )
        self.closer_retries = self._counter(
            "closer_retries", "Times the closer tried again because Kafka or the store was away"
        )
        self.global_watermark_seconds = self._gauge(
            "global_watermark_seconds", "Least watermark of partitions not idle, since 1970"
        )
        self.idle_partitions = self._gauge("idle_partitions", "Partitions left out of it as idle")

    def _alerts(self) -> None:
        self.judge_seconds = self._histogram(
            "judge_seconds", "Judging the windows of a pane, all queries", LATENCY_BUCKETS_S
        )
        self.alert_state_refused = self._counter(
            "alert_state_refused", "Stored parts of what is known of alerts that could not be read",
            "kind",
        )  # fmt: skip
        self.judge_failures = self._counter(
            "judge_failures", "Windows that could not be judged; their query starts anew"
        )
        self.judged_queries = self._gauge("judged_queries", "Queries whose shifts are judged")
        self.alerts = self._counter(
            "alerts", "Alerts decided: begun, grown, ended", "kind", "state"
        )
        self.shift_firing = self._gauge(
            "shift_firing", "Severity (1-10) of a shift that fires", "query", "kind", "direction"
        )
        self.shifts_suppressed = self._gauge(
            "shifts_suppressed", "1 while shifts are neither learnt nor told, by cause", "cause"
        )
        self.alerts_unpublished = self._gauge(
            "alerts_unpublished", "Alerts decided and not yet acknowledged by Kafka"
        )
        self.alerts_undelivered_seconds = self._gauge(
            "alerts_undelivered_seconds", "Age of the oldest alert that no Alertmanager has; or 0"
        )
        self.alertmanager_calls = self._counter(
            "alertmanager_calls", "Calls of Alertmanagers, by outcome", "outcome"
        )

    def _exporter(self) -> None:
        self.partition_posts = self._gauge(
            "partition_posts", "Records accounted for in the store", "partition", "outcome"
        )
        self.window_posts = self._gauge("window_posts", "Posts in the last closed pane", "query")
        self.window_sentiment = self._gauge(
            "window_sentiment", "Mean sentiment (-1..1) of the last closed pane", "query"
        )
        self.window_sentiment_stderr = self._gauge(
            "window_sentiment_stderr", "Standard error of window_sentiment", "query"
        )
        self.window_rated_posts = self._gauge(
            "window_rated_posts", "Posts with a sentiment in the last closed pane", "query"
        )
        self.window_sentiment_sum = self._gauge(
            "window_sentiment_sum", "Sum of their sentiment: what means over hours are made of",
            "query",
        )  # fmt: skip
        self.window_share = self._gauge(
            "window_share", "Expected share of a class in the last closed pane",
            "query", "head", "label",
        )  # fmt: skip
        self.window_mobilisation = self._gauge(
            "window_mobilisation",
            "Expected share of posts at a level of participation or beyond; 20 posts or more only",
            "query", "level",
        )  # fmt: skip
        self.window_near_duplicate_share = self._gauge(
            "window_near_duplicate_share", "Share of posts that repeat another, last closed pane",
            "query",
        )  # fmt: skip
        self.window_mix_posts = self._gauge(
            "window_mix_posts", "Posts in the last closed pane by source, language, topic, stratum",
            "query", "by", "value",
        )  # fmt: skip
        self.window_counter = self._gauge(
            "window_counter", "A counter without a metric of its own, sum in the last closed pane",
            "query", "counter",
        )  # fmt: skip
        self.window_authors = self._gauge(
            "window_authors", "Unique authors in the last closed pane", "query"
        )
        self.window_end_seconds = self._gauge(
            "window_end_seconds", "End of the last closed pane, seconds since 1970"
        )
        self.queries_left_out = self._gauge(
            "queries_left_out", "Queries beyond exporter.max_queries, not exported"
        )

    def _servers(self) -> None:
        """What the exporter sees of the servers: Redis has no metrics page of its own."""
        self.lag_posts = self._gauge(
            "lag_posts", "Records written and not yet applied", "topic", "partition"
        )
        self.lag_seconds = self._gauge(
            "lag_seconds", "Age of the oldest record not yet applied, 0 if none",
            "topic", "partition",
        )  # fmt: skip
        self.integrity_gap_posts = self._gauge(
            "integrity_gap_posts",
            "Records applied less those accounted for; not 0: lost (above) or doubled (below)",
            "topic", "partition",
        )  # fmt: skip
        self.heartbeat_age_seconds = self._gauge(
            "heartbeat_age_seconds", "Now less event time of the last heartbeat counted",
            "partition",
        )  # fmt: skip
        self.broker_up = self._gauge("broker_up", "1 while Kafka answers the exporter")
        self.store_up = self._gauge("store_up", "1 while Redis answers the exporter")
        self.store_memory_bytes = self._gauge("store_memory_bytes", "Memory that Redis uses")
        self.store_memory_limit_bytes = self._gauge(
            "store_memory_limit_bytes", "Redis's maxmemory; 0 is none"
        )
        self.store_commands = self._counter("store_commands", "Commands that Redis carried out")
        self.store_clients = self._gauge("store_clients", "Connections to Redis")
        self.store_keys = self._gauge("store_keys", "Keys in Redis")
        self.store_evicted_keys = self._gauge(
            "store_evicted_keys", "Keys that Redis threw away for want of memory; must stay 0"
        )
        self.store_log_ok = self._gauge(
            "store_log_ok", "1 while Redis writes its append-only file; 0: off, or the disk is full"
        )
        self.quarantined = self._gauge(
            "quarantined", "Stored values that cannot be read and wait for a repair, by kind",
            "kind",
        )  # fmt: skip
        self.store_entries = self._gauge(
            "store_entries", "Entries that a horizon keeps, over all partitions", "horizon"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"groundswell_{name}", text, labels, registry=self._target)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"groundswell_{name}", text, labels, registry=self._target)

    def _histogram(self, name: str, text: str, edges: tuple[float, ...]) -> Histogram:
        return Histogram(f"groundswell_{name}", text, registry=self._target, buckets=edges)

    def add(self, collector: Collector) -> None:
        """Register one more collector, for example the process collector."""
        self.registry.register(collector)

    def serve(self, address: str, port: int) -> None:
        """Serve `/metrics`, with CPU and memory of this process; port 0 serves nothing.

        On a thread of its own.

        Raises:
            ConfigError: it cannot listen there.
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
