"""What ranking costs: a minute with so many replies and twice as many counts, in processor time.

Records are decoded, replies ranked and responses made as the responder does it, every ten seconds
of the minute, for events that share the replies unevenly; without Kafka and Redis, whose clients
cost what they cost any reader.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from benchmarks.harness import Measured, Options, run_benchmark, say, spread
from benchmarks.posts import texts
from core.clock import ManualClock
from core.codec import encode
from core.forecast_schemas import ForecastEvent
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from evaluation.drawing import bars
from services.kafka_client.messages import Record
from services.responder.following import FollowedEvents
from services.responder.intake import ReplyIntake
from services.responder.learning import LikeCurves
from testkit.builders import NOON, make_event, make_post

REPLIES: Final = 10_000
EVENTS: Final = 20
COUNTS_EACH: Final = 2
MINUTE_S: Final = 60
EVERY_S: Final = 10


def said(size: int, seed: int) -> Iterator[tuple[float, str, bytes]]:
    """Yield the seconds within the minute, the topic and the record of all that is said."""
    chance = random.Random(seed)
    words = texts(size, seed)
    found: list[tuple[float, str, bytes]] = []
    for number in range(size):
        at_s, root = number * MINUTE_S / size, f"root{int(chance.random() ** 2 * EVENTS)}"
        at = NOON + timedelta(seconds=at_s)
        post = make_post(
            id=f"r{number}", text=next(words), reply_to=root, claimed_at=at, ingested_at=at
        )
        found.append((at_s, "posts", encode(post)))
        for _ in range(COUNTS_EACH):
            later_s = at_s + chance.random() * (MINUTE_S - at_s)
            later = NOON + timedelta(seconds=later_s)
            event = make_event(
                "counts", post_id=post.id, likes=int(chance.paretovariate(0.8)) % 5_000,
                claimed_at=later, ingested_at=later,
            )  # fmt: skip
            found.append((later_s, "post-events", encode(event)))
    yield from sorted(found)


def minute(records: list[tuple[float, str, bytes]]) -> tuple[float, int]:
    """Return the processor seconds of a minute, and how many responses were news."""
    metrics, clock = Metrics(), ManualClock(NOON + timedelta(hours=1))
    settings = ResponderSettings(every_s=EVERY_S)
    events = FollowedEvents(settings, LikeCurves(metrics), metrics)
    intake, news = ReplyIntake(clock, metrics), 0
    for number in range(EVENTS):
        fired: Any = intake.take_off(Record(0, number, b"", encode(_fired(f"root{number}"))))
        events.take(fired)
    began_s, next_s = time.process_time(), float(EVERY_S)
    for offset, (at_s, topic, value) in enumerate(records):
        read = intake.post if topic == "posts" else intake.event
        one: Any = read(Record(0, offset, b"", value))
        events.take(one)
        if at_s >= next_s or offset + 1 == len(records):
            next_s += EVERY_S
            for event in events.followed():
                if event.has_changed:
                    response, _ = event.response(settings.shown, intake.clock_s)
                    news += event.is_news(response)
                    event.told, event.has_changed = response, False
    return time.process_time() - began_s, news


def _fired(post: str) -> ForecastEvent:
    return ForecastEvent(
        event_id=post, kind="taking_off", state="firing", query="all", post_id=post,
        source="synthetic", author="a", posted_at=NOON, decided_at=NOON, target="likes", seen=30,
        surprise=0.0001,
    )  # fmt: skip


def measure(options: Options) -> Measured:
    """Rank the replies of a minute, `rounds` times."""
    size = options.size(REPLIES)
    shares: list[float] = []
    for round_ in range(options.rounds):
        spent_s, news = minute(list(said(size, options.seed + round_)))
        shares.append(spent_s / MINUTE_S)
        say(f"round {round_ + 1}: {shares[-1]:.2%} of a core, {news} responses")
    figures = {
        **spread("core_share", shares, digits=4),
        **spread("cpu_us_per_reply", [share * MINUTE_S / size * 1e6 for share in shares]),
    }
    shown = [("ranking", figures["core_share"], figures["core_share_least"],
              figures["core_share_most"])]  # fmt: skip
    picture = bars(f"{size:,} replies in a minute", "share of a core", shown)
    return Measured(figures, {"replies": size, "events": EVENTS, "counts": COUNTS_EACH}, picture)


if __name__ == "__main__":
    run_benchmark(measure)
