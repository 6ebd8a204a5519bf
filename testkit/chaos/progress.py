"""How far counting has come, read past the proxies."""

from __future__ import annotations

from dataclasses import dataclass

from services.local.scrape import fetch_pages
from stream.topics import TOPICS
from testkit.chaos.probes import NoAnswer, RedisLine, end_offsets
from testkit.chaos.stack import ChaosStack

POSTS = "posts"
EVENTS = "post-events"
SCORED = "scored-posts"
RESPONSES = "responses"
_TOLD_IN = TOPICS[RESPONSES].partitions or 1


@dataclass(frozen=True, slots=True)
class Progress:
    """One look.

    Attributes:
        ends: The number of records in each partition of `posts`.
        applied: The number of records of each that have been applied.
        unread_events: The number of records of `post-events` not yet applied.
    """

    ends: tuple[int, ...]
    applied: tuple[int, ...]
    unread_events: int

    @property
    def unread(self) -> int:
        """Records of both topics not yet applied."""
        return sum(self.ends) - sum(self.applied) + self.unread_events


class ProgressProbe:
    """Asks broker and store; `look` returns None while either is away.

    Attributes:
        has_moved: What is still to be done went on between the last two calls of `waits_for`.
    """

    def __init__(self, stack: ChaosStack) -> None:
        self._kafka_port = stack.kafka.port
        self._redis = RedisLine(stack.redis.port)
        self._partitions = stack.settings.kafka.partitions
        self._responder = stack.part("responder").server
        self._told: list[int] = []
        self._read: dict[str, object] = {}
        self.has_moved = False

    def look(self) -> Progress | None:
        """Return how far it has come."""
        count = self._partitions
        try:
            ends = end_offsets(self._kafka_port, POSTS, count)
            event_ends = end_offsets(self._kafka_port, EVENTS, count)
            cursors = self._redis.ask_all(
                [
                    ("HGET", f"{{{number}}}:cursor", topic)
                    for topic in (POSTS, EVENTS)
                    for number in range(count)
                ]
            )
        except NoAnswer:
            return None
        next_offsets = [int(c) + 1 if isinstance(c, bytes) and c.isdigit() else 0 for c in cursors]
        return Progress(
            tuple(ends), tuple(next_offsets[:count]), sum(event_ends) - sum(next_offsets[count:])
        )

    def waits_for(self) -> list[str]:
        """Return what is still to be done by those beside the workers; nothing once all is settled.

        The responder tells when it has something to say: it is settled when its page says that it
        has read all, it has read every deletion, and has told nothing since the last look.
        """
        count = self._partitions
        read = [(topic, number) for topic in (SCORED, EVENTS) for number in range(count)]
        try:
            ends = [end_offsets(self._kafka_port, topic, count) for topic in (SCORED, EVENTS)]
            dirty = self._redis.ask_all([("HLEN", f"{{{n}}}:dirty") for n in range(count)])
            taken = self._redis.ask_all([("HGET", f"{{{n}}}:forecast", t) for t, n in read])
            known = [("HGET", "{responder}:known", f"deletions:{n}") for n in range(count)]
            gone = [int(g) if isinstance(g, bytes) else 0 for g in self._redis.ask_all(known)]
            before, self._told = self._told, end_offsets(self._kafka_port, RESPONSES, _TOLD_IN)
        except NoAnswer as error:
            return [f"an answer ({error})"]
        next_offsets = [int(t) + 1 if isinstance(t, bytes) else 0 for t in taken]
        found: dict[str, tuple[bool, object]] = {
            "the closer: closed panes": (not any(dirty), dirty),
            "the forecaster: records": ([*ends[0], *ends[1]] == next_offsets, taken),
            "the responder: deletions": (gone == ends[1], gone),
            "the responder: what it tells": (self._told == before, self._told),
            "the responder: what its page says": (self._has_read_all(), self._told),
        }
        waits_for = [what for what, (is_done, _) in found.items() if not is_done]
        self.has_moved = any(found[what][1] != self._read.get(what) for what in waits_for)
        self._read = {what: reading for what, (_, reading) in found.items()}
        return waits_for

    def _has_read_all(self) -> bool:
        """Tell whether the responder's page says so; one that has just begun says nothing yet."""
        pages = fetch_pages([self._responder.ports["metrics"]]).values()
        names = ("active", "remembered_posts", "catching_up", "lag_seconds")
        for page in pages:
            active, posts, *behind = (page.total(f"groundswell_responder_{one}") for one in names)
            return bool(active and posts) and not any(behind)
        return False

    def close(self) -> None:
        """Drop the connection."""
        self._redis.close()
