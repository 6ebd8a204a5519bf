"""`/api/v1/pipeline` and `/api/v1/dead-posts`: how far stages are, and what is dead."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from core.logs import get_logger
from services.console.access import Operator
from services.console.answers import answer
from services.console.api import Cursor, Limit
from services.console.data import ConsoleData
from services.console.pipeline_shapes import (
    DeadLetterPage,
    DeadLetterShape,
    PartitionShape,
    PipelineShape,
    ReplayRequest,
    ReplayShape,
    StageShape,
    StoreShape,
)
from services.console.problems import Problem
from services.console.sessions import Principal
from services.console.state import ConsoleState, state_of
from services.dead_letters import DeadLetter, Replayed, ReplayRefused
from services.pipeline_view import PipelineView

_log = get_logger(__name__)
router = APIRouter()
OfReason = Annotated[str, Query(max_length=32, description="Only of this reason")]
Place = Annotated[int, Path(ge=0, lt=2**63, description="The `place` of the dead letter")]


@router.get("/pipeline", summary="How far each stage is", response_model=PipelineShape)
async def pipeline(request: Request, _principal: Operator) -> Response:
    """Say what each stage has written, how far partitions are applied, and what was set aside.

    From Kafka and Redis alone, so that it is right when a stage is dead.
    """
    return answer(request, shape_of(await state_of(request).data.pipeline()))


def shape_of(found: PipelineView) -> PipelineShape:
    """Return how far the stream is, as it is answered."""
    health = found.store
    return PipelineShape(
        at=found.at,
        stages=[
            StageShape(
                stage=one.stage, topic=one.topic, records=one.records, recent=one.recent,
                last=one.last,
            )
            for one in found.stages
        ],
        partitions=[
            PartitionShape(
                partition=one.partition, behind=one.behind, events_behind=one.events_behind,
                gap=one.gap, watermark=one.watermark, applied=one.applied,
                model_version=one.model_version, readable=one.is_readable,
            )
            for one in found.partitions
        ],
        totals=dict(found.totals), set_aside=dict(found.set_aside), notes=list(found.notes),
        store=None if health is None else StoreShape(
            memory_bytes=health.memory_bytes, memory_limit_bytes=health.memory_limit_bytes,
            keys=health.keys, evicted_keys=health.evicted_keys, log_ok=health.log_ok,
        ),
    )  # fmt: skip


@router.get("/dead-posts", summary="What could not be used", response_model=DeadLetterPage)
async def dead_posts(
    request: Request, _principal: Operator, reason: OfReason = "", limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Return the last messages that could not be used, the newest first, and why.

    What they say is not shown: it may name people. `groundswell dead-posts show --unseal` shows it
    to whoever has the key.
    """
    state = state_of(request)
    found = await state.data.dead_letters()
    rows = [one for one in found.letters if reason in ("", one.letter.reason)]
    list_name = f"dead-posts|{reason}"
    if cursor is not None:
        before = state.cursors.read(cursor, list_name, int)
        rows = [one for one in rows if one.place < before]
    shown, more = rows[:limit], rows[limit:]
    return answer(
        request,
        DeadLetterPage(
            dead_letters=[letter_shape(one) for one in shown], by_reason=dict(found.by_reason),
            whole=found.is_all, notes=list(found.notes),
            next_cursor=state.cursors.make(list_name, shown[-1].place) if more else None,
        ),
    )  # fmt: skip


def letter_shape(one: DeadLetter) -> DeadLetterShape:
    """Return a dead letter without what it says."""
    letter = one.letter
    came = letter.offset >= 0
    return DeadLetterShape(
        place=one.place, at=letter.dead_at, reason=letter.reason, detail=letter.detail,
        topic=letter.topic, partition=letter.partition if came else None,
        offset=letter.offset if came else None, size=letter.size, replay=one.replayable,
    )  # fmt: skip


@router.post(
    "/dead-posts/{place}/replay", summary="Send a dead letter again", response_model=ReplayShape
)
async def replay(
    request: Request, principal: Operator, place: Place, asked: ReplayRequest
) -> Response:
    """Send the record of a dead letter again, as it was kept or repaired.

    It is counted once, however often it is sent: a post that was counted is known by its id. 422
    says why it cannot be sent; then nothing is.
    """
    repaired = None if asked.record is None else msgspec.json.encode(asked.record)
    sent = await send(state_of(request), principal, place, repaired)
    return answer(
        request,
        ReplayShape(place=sent.place, topic=sent.topic, source=sent.source, post_id=sent.post_id),
    )


async def send(
    state: ConsoleState, principal: Principal, place: int, repaired: bytes | None
) -> Replayed:
    """Send a dead letter again on behalf of somebody, and note in the log who asked.

    Raises:
        Problem: There is none (404), or it cannot be sent (422).
    """
    data: ConsoleData = state.data
    try:
        sent = await data.replay(place, repaired)
    except ReplayRefused as error:
        _log.info("a replay is refused", by=principal.name, place=place, reason=str(error))
        status, field = (404, "place") if error.is_unknown else (422, "record")
        raise Problem(status, str(error), errors=[(field, str(error))]) from None
    _log.info("a replay was asked for", by=principal.name, key=principal.key_id, place=place,
              topic=sent.topic, repaired=repaired is not None)  # fmt: skip
    return sent
