"""Says of every fourth post that it takes off, so that a responder has work in a run of minutes.

What takes off by the forecaster is rare by its making, and needs hours to be told. The herald only
reads `posts` and writes `events`; it begins anew after each failure and then says all again, with
the same ids, as a forecaster that was killed may.
"""

from __future__ import annotations

import random
import time
from typing import Final
from zlib import crc32

from core.codec import encode, post_decoder
from core.errors import DecodeError, TransientError
from core.forecast_schemas import ForecastEvent
from core.logs import get_logger, set_up
from core.retry import pause_s
from core.schemas import Post
from core.settings import Settings
from services.cli.settings import load_settings
from services.kafka_client import RecordProducer, TopicFollower
from services.kafka_client.messages import Record
from stream.topics import EVENTS, POSTS

_log = get_logger(__name__)

ONE_IN: Final = 4
_POLL_S: Final = 0.2
_FLUSH_S: Final = 20.0


def take_off_of(record: Record) -> ForecastEvent | None:
    """Return what is said of a record of `posts`; None of three in four, and of what is no post."""
    try:
        post: Post = post_decoder.decode(record.value or b"")
    except DecodeError:
        return None
    if post.repost_of or crc32(post.id.encode()) % ONE_IN:
        return None
    return ForecastEvent(
        event_id=f"chaos-{post.id}", kind="taking_off", state="firing", query="all",
        post_id=post.id, source=post.source, author=post.author,
        posted_at=post.claimed_at or post.ingested_at, decided_at=post.ingested_at,
        target="likes", seen=20, surprise=0.0001,
    )  # fmt: skip


def _herald(settings: Settings) -> None:
    """Follow `posts` from its beginning.

    Raises:
        TransientError: The broker is away.
    """
    follower, producer = TopicFollower(settings.kafka), RecordProducer(settings.kafka)
    try:
        follower.add(POSTS, 0)
        while True:
            sent = [
                producer.send(EVENTS, event.query.encode(), encode(event))
                for record in follower.poll(_POLL_S).get(POSTS, [])
                if (event := take_off_of(record)) is not None
            ]
            producer.flush(_FLUSH_S)
            for acknowledgement in sent:
                if acknowledgement.failed():
                    raise producer.failure(acknowledgement)
    finally:
        producer.close()
        follower.close()


def main(settings: Settings) -> None:
    """Run until the process ends."""
    set_up(settings.log, "herald")
    attempt, rng = 0, random.Random()
    while True:
        try:
            _herald(settings)
        except TransientError as error:
            _log.warning("saying all again", reason=str(error))
            time.sleep(pause_s(attempt, rng))
            attempt += 1


if __name__ == "__main__":
    main(load_settings())
