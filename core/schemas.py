"""Every record on the wire, as frozen msgspec Structs with a schema version in `v`.

The version is msgspec's tag, so it is always written and any other is refused on decode; an absent
`v` reads as the present version.

JSON on the wire: readable with any Kafka tool, strict on decode (`core.codec`). Times are aware
datetimes (RFC 3339 on the wire); naive times are refused. Scores are integers in micro-units
(1_000_000 = probability 1), because integers add up to the same sum in any order.

Within a version, fields are only ever added, with a default; a reader of today reads what
yesterday's writer wrote and ignores what tomorrow's adds. Anything else is a new version. The JSON
Schemas in `docs/schemas/` are exported from here and a test holds them together.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from core.forecast_schemas import Forecast, ForecastEvent
from core.post_schemas import MAX_AUTHOR_CHARS as MAX_AUTHOR_CHARS
from core.post_schemas import MAX_ID_CHARS as MAX_ID_CHARS
from core.post_schemas import MAX_PIECE_CHARS as MAX_PIECE_CHARS
from core.post_schemas import MAX_PIECES as MAX_PIECES
from core.post_schemas import Attached as Attached
from core.post_schemas import AuthorId as AuthorId
from core.post_schemas import Count as Count
from core.post_schemas import Language as Language
from core.post_schemas import Pieces as Pieces
from core.post_schemas import Post, PostEvent, Time
from core.post_schemas import PostId as PostId
from core.post_schemas import SourceName as SourceName
from core.response_schemas import Response

Shape = Annotated[tuple[Annotated[int, Meta(ge=0, le=65_535)], ...], Meta(max_length=8)]

MICRO: Final = 1_000_000
"""One, in micro-units."""


class ScoredPost(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """What the scorer said of a post and where it was counted; topic `scored-posts`, key `author`.

    It carries no text: the text has one home, `posts`, so that a deletion need not chase copies.
    The position of the post is in the headers `source-partition` and `source-offset`; a consumer
    drops repeats by it.

    Attributes:
        event_at: claimed time clamped to [ingested - 24 h, ingested + 60 s], else ingest time.
        model_version: which model scored it.
        rated: False if the model abstained; the post then counts in volume only.
        scores: head -> probabilities in micro-units, classes ordered as in `core.heads.HEADS`.
        queries: names of the queries it matches, `all` first.
        pane_start: start of the pane it fell in; None for an edit, which stays in its post's pane.
        stratum: `source|language|topic`, each from a bounded set.
        edit: True if this replaces an earlier scoring of the same post.
        near_duplicate: as of the post; of an edit always False.
        reply_to: id of the post that this one answers; of an edit always None.
        shape: what the text looks like, as in `core.shape.SHAPE`; empty from a writer before that.
    """

    id: str
    source: str
    author: str
    event_at: Time
    ingested_at: Time
    model_version: str
    rated: bool
    scores: dict[str, list[int]]
    queries: list[str]
    stratum: str
    pane_start: Time | None = None
    claimed_at: Time | None = None
    lang: str = ""
    edit: bool = False
    near_duplicate: bool = False
    reply_to: PostId | None = None
    shape: Shape = ()


class Stratum(Struct, frozen=True, array_like=True):
    """Counts of one stratum: posts, rated posts, sum and sum of squares of sentiment."""

    posts: int
    rated: int
    sentiment_sum: int
    sentiment_square: int


class Window(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """A closed pane of one query over all partitions; topic `windows`, key `query|start`.

    Attributes:
        start, end: half-open `[start, end)` in event time.
        revision: 0 when first closed, one more with each correction.
        counters: name -> integer, as in `stream.windows.layout.COUNTERS`.
        authors: unique authors, estimated (HyperLogLog, standard error 0.81 %).
        strata: `source|language|topic` -> counts, at most 64, the rest under `other`.
        closed_at: when the closer published this revision.
    """

    query: str
    start: Time
    end: Time
    revision: int
    counters: dict[str, int]
    authors: int
    closed_at: Time
    strata: dict[str, Stratum] = {}


class Progress(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """How far a partition has been applied; topic `progress`, key the partition.

    Attributes:
        cursor: last applied offset of `posts`, -1 before the first.
        event_cursor: last applied offset of `post-events`.
        watermark: no earlier event time is expected in this partition; None before the first post.
        applied_at: when the batch was applied.
        model_version: what scored the last batch that was; "" if none was yet.
        queries: digest of the queries that the batch was matched with, of their names and what
            they look for; "" from a writer before that.
    """

    partition: int
    cursor: int
    event_cursor: int
    applied_at: Time
    watermark: Time | None = None
    model_version: str = ""
    queries: str = ""


DEAD_PAYLOAD_BYTES: Final = 65_536
"""A dead letter keeps so much of the message: enough to see what it was."""


class DeadPost(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """A message that could not be used; topic `dead-posts`, key `topic|partition|offset`.

    Attributes:
        reason: code from `core.reasons.DEAD_REASONS`.
        detail: what was found and what was expected.
        topic, partition, offset: where it came from; offset -1 if it never reached Kafka.
        size: length of the whole message in bytes.
        payload: the message itself, the first 64 KiB of it (base64 on the wire); empty for
            duplicates, whose original was counted.
        sealed_by: id of the author key that `payload` is encrypted under (`core.sealing`); "" if
            it is plain, because there is no key.
    """

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    size: int
    dead_at: Time
    payload: bytes = b""
    sealed_by: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the message was longer than what is kept of it."""
        return self.size > DEAD_PAYLOAD_BYTES


class Interval(Struct, frozen=True, array_like=True):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Contribution(Struct, frozen=True, omit_defaults=True):
    """What one stratum adds to a change of the mean sentiment.

    Over all strata of an alert, `mix` and `opinion` add up to its change, to rounding.

    Attributes:
        stratum: `source|language|topic`, or `other`.
        posts: rated posts of the stratum after the change began.
        share_before, share_after: of the rated posts, in [0, 1].
        mean_before, mean_after: sentiment in [-1, 1]; equal where a side has no posts.
        mix: because the stratum speaks more or less than before.
        opinion: because the stratum says something else than before.
    """

    stratum: str
    posts: int
    share_before: float
    share_after: float
    mean_before: float
    mean_after: float
    mix: float
    opinion: float


class Term(Struct, frozen=True, array_like=True):
    """A term that came or went with a change; `weight` > 0 came, in standard errors."""

    term: str
    weight: float
    before: int
    after: int


class ExamplePost(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A post that shows a change, by id only: the text has one home, `posts`."""

    post_id: str
    source: str
    why: Literal["typical", "most-seen", "against"]


class Alert(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """A shift of one query, as it begins, grows or ends; topic `alerts`, key `query`.

    The same `alert_id` goes out again with a higher severity while it fires, and once as resolved.

    Attributes:
        alert_id: stable from the first firing to the resolution; unique per query and kind.
        kind: `opinion` (the same people say something else), `mix` (others speak), `volume`, or
            `brigading` (few authors or copies of one text); a later version may have further ones.
        state: `firing`, then `resolved`.
        direction: `up` or `down`: of the mean, of the number of posts; `up` for brigading.
        severity: 1 (just worth a look) to 10.
        started: start of the first pane that the change is seen in.
        fired: end of the pane that made it certain.
        ended: end of the pane that resolved it; None while it fires.
        ended_as: why it is resolved: `over`, `accepted` (the new level is the normal one now),
            `corrected` (late posts took the evidence away) or `reset` (another model scores).
        evidence: log-likelihood ratio against no change, in nats.
        threshold: what the evidence had to pass.
        before, after: mean sentiment, posts a pane, or share of repeated posts, without and with.
        change: `after - before`; for volume the ratio of the two.
        mix, opinion: the two parts of the change of the mean; zero for volume and brigading.
        posts: posts since it started.
        contributions: strata that add up to the change, largest first; the rest as one, `other`.
        terms, examples: filled in where the texts are.
        sentence: all of it, for people.
        decided_at: event time of the decision.
    """

    alert_id: str
    query: str
    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    state: Literal["firing", "resolved"]
    direction: Literal["up", "down"]
    severity: Annotated[int, Meta(ge=1, le=10)]
    started: Time
    fired: Time
    decided_at: Time
    evidence: float
    threshold: float
    before: Interval
    after: Interval
    change: Interval
    ended: Time | None = None
    ended_as: Literal["", "over", "accepted", "corrected", "reset"] = ""
    mix: float = 0.0
    opinion: float = 0.0
    posts: int = 0
    contributions: list[Contribution] = []
    terms: list[Term] = []
    examples: list[ExamplePost] = []
    sentence: str = ""


SCHEMAS: Final[dict[str, type[Struct]]] = {
    "post": Post,
    "post-event": PostEvent,
    "scored-post": ScoredPost,
    "window": Window,
    "progress": Progress,
    "dead-post": DeadPost,
    "alert": Alert,
    "forecast": Forecast,
    "forecast-event": ForecastEvent,
    "response": Response,
}
"""Name of the exported JSON Schema -> Struct."""
