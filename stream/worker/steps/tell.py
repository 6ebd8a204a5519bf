"""The step `Tell`: what a batch did becomes metrics, once it is applied."""

from __future__ import annotations

from core.clock import Clock, epoch_ms
from core.logs import get_logger
from core.metrics import Metrics
from stream.worker.batch import PostBatch
from stream.worker.step import Step
from stream.worker.steps.amend import DELETED_MS, KINDS
from stream.worker.steps.apply import APPLIED
from stream.worker.steps.count import COUNTED_MS, UNRATED
from stream.worker.steps.render import RENDERED

_log = get_logger(__name__)


class Tell(Step):
    """Exports what became of a batch."""

    needs = (APPLIED, RENDERED)
    wants = (COUNTED_MS, UNRATED, KINDS, DELETED_MS)

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def run(self, batch: PostBatch) -> None:
        """Count, and observe latencies."""
        metrics, position, apply = self._metrics, batch.position, batch.apply
        label = str(position.partition)
        metrics.cursor.labels(topic=position.topic, partition=label).set(position.cursor)
        if apply.watermark_ms >= 0:
            metrics.watermark_seconds.labels(partition=label).set(apply.watermark_ms / 1000)
        if counted := apply.totals.get("counted", 0):
            metrics.posts_applied.labels(partition=label).inc(counted)
        metrics.scored_posts_out.inc(len(batch[RENDERED]))
        metrics.posts_unrated.inc(batch.get(UNRATED) or 0)
        for dead in batch.dead:
            metrics.dead_posts.labels(reason=dead.reason, stage="worker").inc()
        for repair, count in batch.repairs.items():
            metrics.posts_repaired.labels(repair=repair).inc(count)
        for kind, count in (batch.get(KINDS) or {}).items():
            metrics.events_applied.labels(kind=kind).inc(count)
        self._tell_aside(batch)
        now_ms = epoch_ms(self._clock.now())
        for ingested_ms in batch.get(COUNTED_MS) or ():
            metrics.count_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))
        # One that overtook its post counts too: from here on nothing of the post can be in a pane.
        for ingested_ms in batch.get(DELETED_MS) or ():
            metrics.removal_latency_seconds.observe(max(0.0, (now_ms - ingested_ms) / 1000))

    def _tell_aside(self, batch: PostBatch) -> None:
        applied, partition = batch[APPLIED], batch.position.partition
        self._metrics.quarantine_expired.inc(applied.expired)
        if applied.aside:
            label = str(partition)
            self._metrics.state_set_aside.labels(partition=label).inc(len(applied.aside))
            _log.error(
                "stored values could not be read and were set aside",
                partition=partition,
                quarantined=applied.aside,
                repair=f"groundswell windows repair --partition {partition}",
            )
