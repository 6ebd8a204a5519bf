"""What a response and an event tell of a crowd."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from math import exp, isfinite
from typing import Final, Literal

from core.clock import from_epoch_ms
from core.crowd_schemas import CrowdTurned
from core.forecast_schemas import ForecastEvent
from core.heads import SENTIMENT
from core.response_schemas import ResponseCrowd
from models.socialalign.live import LiveCrowd
from models.socialalign.turns import AnswersSince

TURNED: Final = "crowd_turned"
"""The kind of event by which a turn is told."""
Ended = Literal["over", "settled", "deleted"]
_DIGITS: Final = 6
_WHY: Final = {
    "over": "the crowd answers as expected again",
    "settled": "followed no more",
    "deleted": "the post was deleted",
}


def crowd_of(crowd: LiveCrowd | None, turned: CrowdTurned | None = None) -> ResponseCrowd | None:
    """Return what is told of a crowd, None where nothing is known.

    Args:
        crowd: The crowd.
        turned: Its turn that was told and is not over.
    """
    if crowd is None:
        return None
    now, (evidence, since), said = crowd.posterior(), crowd.turn(), crowd.start.model
    return ResponseCrowd(
        topic=crowd.start.topic, expected=_rounded(now.forecast), greyed=crowd.start.is_greyed,
        expected_by="model" if said is not None and said.is_used else "topic",
        observed=(crowd.counts[0], crowd.counts[1], crowd.counts[2]),
        left_out=len(crowd.left_out), posterior=_rounded(now.shares()),
        strength=round(now.strength, _DIGITS), turned=turned,
        turn_evidence=round(evidence, _DIGITS) if isfinite(evidence) else None, turn_since=since,
    )  # fmt: skip


def turned_of(last: AnswersSince, answers: int, evidence: float) -> CrowdTurned:
    """Return what is told of a turn.

    Args:
        last: The answers since then.
        answers: All answers that are counted by then.
        evidence: How much speaks for it, as a natural logarithm.
    """
    negative, neutral, positive = last.observed
    return CrowdTurned(
        since=from_epoch_ms(round(last.since_s * 1000)), answers=answers,
        upto=from_epoch_ms(round(last.upto_s * 1000)), expected=_rounded(last.expected),
        observed=(negative, neutral, positive), evidence=round(evidence, _DIGITS),
    )  # fmt: skip


def turn_begins(
    turned: CrowdTurned, *, name: str, source: str, post_id: str, query: str, posted_s: float,
    decided_s: float, began_s: float, number: int,
) -> ForecastEvent:  # fmt: skip
    """Return the event of a turn. It names no author: the answers are not the author's.

    Args:
        turned: The turn.
        name: The post, as `post_name` writes it.
        source: Its source.
        post_id: Its id there.
        query: The query whose budget it is of.
        posted_s: When it was published, seconds since 1970, as the further times.
        decided_s: The time of the decision.
        began_s: When the post took off.
        number: How many turns of it were told before.
    """
    identity = "\0".join((TURNED, name, str(round(began_s * 1000)), str(number)))
    return ForecastEvent(
        event_id=hashlib.blake2b(identity.encode(), digest_size=12).hexdigest(), kind=TURNED,
        state="firing", query=query, post_id=post_id, source=source, author="",
        posted_at=from_epoch_ms(round(posted_s * 1000)),
        decided_at=from_epoch_ms(round(decided_s * 1000)), target="replies", seen=turned.answers,
        surprise=min(1.0, turned.answers * exp(-turned.evidence)), crowd=turned,
        sentence=turn_in_words(turned),
    )  # fmt: skip


def turn_ends(
    began: ForecastEvent, now: CrowdTurned | None, ended_as: Ended, decided_s: float
) -> ForecastEvent:
    """Return the event of a turn's end.

    Args:
        began: The event of the turn.
        now: Its answers by now; nothing of a deleted post.
        ended_as: Why it is over.
        decided_s: The time of the decision, seconds since 1970.
    """
    said = "" if now is None else f"{turn_in_words(now)}; "
    return ForecastEvent(
        event_id=began.event_id, kind=TURNED, state="resolved", query=began.query,
        post_id=began.post_id, source=began.source, author="", posted_at=began.posted_at,
        decided_at=from_epoch_ms(round(decided_s * 1000)), target="replies",
        seen=0 if now is None else now.answers, ended_as=ended_as, crowd=now,
        surprise=1.0 if now is None else min(1.0, now.answers * exp(-now.evidence)),
        sentence=f"{said}{_WHY[ended_as]}",
    )  # fmt: skip


def turn_in_words(turned: CrowdTurned) -> str:
    """Return what is told of a turn as a sentence for people."""
    answers = sum(turned.observed)
    shares = [count / max(1, answers) for count in turned.observed]
    return (
        f"the crowd has turned: of {answers} answers since {turned.since:%Y-%m-%d %H:%M:%S} UTC "
        f"{_percent(shares)}, where {_percent(turned.expected)} was expected"
    )


def _rounded(shares: Iterable[float]) -> tuple[float, float, float]:
    negative, neutral, positive = (round(float(share), _DIGITS) for share in shares)
    return negative, neutral, positive


def in_words(crowd: ResponseCrowd) -> str:
    """Return what is told of a crowd as a sentence for people."""
    answers = sum(crowd.observed)
    expected = f"expected {_percent(crowd.expected)}"
    if crowd.greyed:
        expected += " (not known to beat the average of all topics)"
    if not answers:
        seen = "no answer is rated yet"
    else:
        shares = [count / answers for count in crowd.observed]
        seen = f"of {answers} answers {_percent(shares)}; of the next {_percent(crowd.posterior)}"
    left_out = f"; {crowd.left_out} left out" if crowd.left_out else ""
    turned = "" if crowd.turned is None else f"; {turn_in_words(crowd.turned)}"
    return f"crowd: {expected}; {seen}{left_out}{turned}"


def _percent(shares: Iterable[float]) -> str:
    named = zip(SENTIMENT, shares, strict=True)
    return ", ".join(f"{label} {100 * share:.0f} %" for label, share in named)
