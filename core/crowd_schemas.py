"""What is said of a crowd that has turned, in `events` and in `responses`; see `core.schemas`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from core.post_schemas import Count, Time

Share = Annotated[float, Meta(ge=0, le=1)]


class CrowdTurned(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answers that are no longer those that were expected.

    Labels are those of sentiment, ordered as in `core.heads.SENTIMENT`. Nothing in it is of one
    person; shares are of all answers.

    Attributes:
        since: when the first of these answers was written.
        upto: when the last of them was.
        expected: shares expected of them, by the forecast and the answers before them.
        observed: how often each label is among them.
        answers: all answers that were counted by then, those before the turn too.
        evidence: how much speaks for a turn; see `turn_evidence` of a response's crowd.
    """

    since: Time
    upto: Time
    expected: tuple[Share, Share, Share]
    observed: tuple[Count, Count, Count]
    answers: Count
    evidence: float
