"""What is said to a responder in tests, and records of it."""

from datetime import timedelta
from typing import Any

from core.codec import encode
from core.forecast_schemas import ForecastEvent
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.schemas import ScoredPost
from services.kafka_client.messages import Record
from services.responder.following import FollowedEvents
from services.responder.intake import AnswerRated, LikesSeen, TakeOffSaid, TextGone, TextSeen
from services.responder.learning import LikeCurves
from testkit.builders import NOON, make_event, make_post

NOON_S = NOON.timestamp()
SETTINGS = ResponderSettings(memory_s=1_000)


def world(settings: ResponderSettings = SETTINGS) -> FollowedEvents:
    metrics = Metrics()
    return FollowedEvents(settings, LikeCurves(metrics), metrics)


def text(post_id: str, at_s: float = 0, text: str = "", root: str = "") -> TextSeen:
    said = text or f"say{post_id}"
    return TextSeen(
        f"s|{post_id}", "s", said, NOON_S + at_s, NOON_S + at_s, f"s|{root}" if root else ""
    )


def likes(post_id: str, number: int | None, at_s: float = 0) -> LikesSeen:
    return LikesSeen(f"s|{post_id}", NOON_S + at_s, number)


def rated(
    post_id: str, label: int | None, at_s: float = 0, root: str = "p", **more: Any
) -> AnswerRated:
    return AnswerRated(
        f"s|{post_id}", NOON_S + at_s, NOON_S + at_s, f"s|{root}" if root else "", label, **more
    )


def gone(post_id: str) -> TextGone:
    return TextGone(f"s|{post_id}")


def fires(
    post_id: str, at_s: float = 0, query: str = "q", is_firing: bool = True, **more: Any
) -> TakeOffSaid:
    return TakeOffSaid(
        f"s|{post_id}", "s", post_id, f"{query}-{post_id}", NOON_S + at_s, is_firing, **more
    )


def record(value: Any, offset: int = 0) -> Record:
    return Record(0, offset, b"k", value if isinstance(value, bytes) else encode(value))


def post_of(post_id: str, at_s: float, said: str, root: str | None = None, **more: Any) -> Any:
    at = NOON + timedelta(seconds=at_s)
    return make_post(
        id=post_id, author=f"author of {post_id}", text=said, reply_to=root, claimed_at=at,
        ingested_at=at, **more,
    )  # fmt: skip


def event_of(kind: str, post_id: str, at_s: float, **more: Any) -> Any:
    at = NOON + timedelta(seconds=at_s)
    return make_event(
        kind, post_id=post_id, author=f"author of {post_id}", claimed_at=at, ingested_at=at, **more
    )


def take_off(post_id: str, at_s: float, state: Any = "firing", **more: Any) -> ForecastEvent:
    return ForecastEvent(
        event_id=f"e-{post_id}", kind="taking_off", state=state, query="all", post_id=post_id,
        source="synthetic", author=f"author of {post_id}", posted_at=NOON, target="likes", seen=30,
        decided_at=NOON + timedelta(seconds=at_s), surprise=0.0001, **more,
    )  # fmt: skip


def scored(post_id: str, at_s: float, sentiment: list[int], **more: Any) -> ScoredPost:
    at = NOON + timedelta(seconds=at_s)
    fields: dict[str, Any] = {
        "id": post_id, "source": "synthetic", "author": f"author of {post_id}", "event_at": at,
        "ingested_at": at, "model_version": "m", "rated": True, "queries": ["all"],
        "scores": {"sentiment": sentiment}, "stratum": "synthetic|en|t", "reply_to": "p",
    }  # fmt: skip
    return ScoredPost(**(fields | more))
