"""What answers about the pipeline and dead letters look like."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.console.shapes import Shape


class StageShape(Shape):
    """A stage, by the topic that it writes; `recent` are the records of the last 5 minutes."""

    stage: str
    topic: str
    records: int
    recent: int
    last: AwareDatetime | None


class PartitionShape(Shape):
    """How far a partition is applied; null is what is not known.

    `gap` is what was applied and is not accounted for: 0, or something was lost or doubled.
    """

    partition: int
    behind: int | None
    events_behind: int | None
    gap: int
    watermark: AwareDatetime | None
    applied: AwareDatetime | None
    model_version: str
    readable: bool


class StoreShape(Shape):
    """What Redis says of itself."""

    memory_bytes: int
    memory_limit_bytes: int
    keys: int
    evicted_keys: int
    log_ok: bool


class PipelineShape(Shape):
    """How far the stream is, from store and broker; `notes` say what could not be found out."""

    at: AwareDatetime
    stages: list[StageShape]
    partitions: list[PartitionShape]
    totals: dict[str, int]
    set_aside: dict[str, int]
    store: StoreShape | None
    notes: list[str]


class DeadLetterShape(Shape):
    """A message that could not be used, without what it says.

    `topic`, `partition` and `offset` are where it came from, null if it never got there;
    `replay` is `as it is`, `repaired` (a repaired record is needed), or `no`.
    """

    place: int
    at: AwareDatetime
    reason: str
    detail: str
    topic: str
    partition: int | None
    offset: int | None
    size: int
    replay: str


class DeadLetterPage(Shape):
    """The last dead letters, the newest first; `whole` if the topic has no more than were counted.

    `by_reason` counts the last 2,000.
    """

    dead_letters: list[DeadLetterShape]
    by_reason: dict[str, int]
    whole: bool
    notes: list[str]
    next_cursor: str | None


class ReplayRequest(BaseModel):
    """The record to send in place of the one that was kept, or nothing to send that one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    record: Annotated[
        dict[str, Any] | None, Field(description="As in topic posts or post-events")
    ] = None


class ReplayShape(Shape):
    """What was sent, and where to; every replica has it."""

    place: int
    topic: str
    source: str
    post_id: str
