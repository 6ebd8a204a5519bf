"""The records of predicted responses; see `core.schemas`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.crowd_schemas import CrowdTurned, Share
from core.post_schemas import Count, PostId, SourceName, Time


class ShownReply(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One reply of a response, which says what it is.

    Attributes:
        kind: `real` (people wrote it to this post), `quoted` (people wrote it to a similar post of
            the past) or `generated` (a model wrote it; nobody said so).
        text: what the model wrote; empty for what people wrote, whose text is looked up by
            `reply_id` and is gone as soon as its author deletes it.
        reply_id: the id of the post that people wrote; empty for what a model wrote.
        likes: its likes by now; None where unknown.
        expected: the likes it is expected to have in the end; None where unknown.
        copies: how many other replies say nearly the same.
        event_post: for a quoted one, the past post that it answered.
        similarity: for a quoted one, how similar that post is, in [0, 1].
        score: for a generated one, what the reward model gives it.
    """

    kind: Literal["real", "quoted", "generated"]
    text: Annotated[str, Meta(max_length=1_000)] = ""
    reply_id: str = ""
    likes: Count | None = None
    expected: float | None = None
    copies: int = 0
    event_post: str = ""
    similarity: Share | None = None
    score: float | None = None


class ResponseCrowd(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the crowd answers: what was expected, what is seen, what is expected of the rest.

    Labels are those of sentiment, ordered as in `core.heads.SENTIMENT`. Nothing in it is of one
    person; shares are of all answers.

    Attributes:
        topic: the query for which the post took off first, whose usual shares are expected.
        expected: shares expected before the first answer, from earlier events alone.
        expected_by: `topic`: the usual shares of the topic; `model`: the crowd model, moved by the
            post's own sentiment and emotion, which is known to beat these in the source.
        greyed: what was expected is not known to beat the average of all topics of the source.
        observed: how often each label was seen.
        left_out: answers that are not counted: not rated, or near-copies of what was said before.
        posterior: shares expected of the answers to come.
        strength: how many answers the forecast counts for by now.
        turn_evidence: how much speaks for the crowd having turned, as the natural logarithm of the
            statistic of Shiryaev and Roberts: a crowd that does not turn passes log(A) less than
            once in A answers. None without answers.
        turn_since: how many of the last answers are least as expected.
        turned: the turn that was told in `events` and is not over, its answers by now; None else.
    """

    topic: str
    expected: tuple[Share, Share, Share]
    expected_by: Literal["topic", "model"] = "topic"
    greyed: bool = False
    observed: tuple[Count, Count, Count]
    left_out: Count = 0
    posterior: tuple[Share, Share, Share]
    strength: float
    turn_evidence: float | None = None
    turn_since: Count = 0
    turned: CrowdTurned | None = None


class Response(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """How people answer a post that takes off, or may; topic `responses`, key `post_id`.

    A later record of a post replaces the earlier ones.

    Attributes:
        post_id, source: of the post that is answered.
        made_at: the event time by which it was made.
        state: `current`, `over` (the event has ended, the last word) or `withdrawn` (the post was
            deleted: nothing of the earlier records may be shown).
        seen: replies that were seen by then.
        replies: real ones first, quoted ones next, generated ones last.
        no_forecast: why nothing is quoted or generated; empty where something is.
        model_version: the model that generated; empty where nothing was.
        seed: the seed by which it was generated.
        crowd: how the crowd answers; None where that is not known.
    """

    post_id: PostId
    source: SourceName
    made_at: Time
    state: Literal["current", "over", "withdrawn"]
    seen: Count = 0
    replies: tuple[ShownReply, ...] = ()
    no_forecast: str = ""
    model_version: str = ""
    seed: int = 0
    crowd: ResponseCrowd | None = None
