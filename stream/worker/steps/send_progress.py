"""The step `SendProgress`: the closer hears how far a partition has come."""

from __future__ import annotations

from core.clock import Clock, from_epoch_ms
from core.codec import encode
from core.errors import BrokerUnavailable
from core.logs import get_logger
from core.schemas import Progress
from stream import heartbeat
from stream.topics import POST_EVENTS, POSTS, PROGRESS
from stream.worker.batch import PostBatch
from stream.worker.outlets import OutRecord, RecordSink
from stream.worker.step import Step
from stream.worker.steps.drop_unscored import SCORES
from stream.worker.steps.match import QUERIES_DIGEST

_log = get_logger(__name__)


class SendProgress(Step):
    """Produces cursors and watermark of a partition; may be lost without harm.

    One for all chains of a worker: a partition's progress has the cursors of both topics.
    """

    needs = (SCORES,)
    wants = (QUERIES_DIGEST,)

    def __init__(self, sink: RecordSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._cursors: dict[int, dict[str, int]] = {}
        self._model_version = ""

    async def run(self, batch: PostBatch) -> None:
        """Send it; a broker that is away holds nothing up."""
        self._model_version = batch[SCORES].model_version or self._model_version
        position, watermark_ms = batch.position, batch.apply.watermark_ms
        if _is_only_heartbeats(batch):
            return  # to the closer a partition without posts is idle
        cursors = self._cursors.setdefault(position.partition, {POSTS: -1, POST_EVENTS: -1})
        cursors[position.topic] = position.cursor
        progress = Progress(
            partition=position.partition,
            cursor=cursors[POSTS],
            event_cursor=cursors[POST_EVENTS],
            applied_at=self._clock.now(),
            watermark=None if watermark_ms < 0 else from_epoch_ms(watermark_ms),
            model_version=self._model_version,
            queries=batch.get(QUERIES_DIGEST) or "",
        )
        record = OutRecord(b"%d" % position.partition, encode(progress))
        try:
            await self._sink.send(PROGRESS, 0, [record])
        except BrokerUnavailable as error:
            _log.warning("progress not sent; the next will do", error=str(error))


def _is_only_heartbeats(batch: PostBatch) -> bool:
    """Tell whether a batch says nothing about the partition's posts."""
    totals = batch.apply.totals
    return totals.get(heartbeat.TOTAL, 0) > 0 and not (totals.get("counted") or batch.dead)
