"""What a console reads in tests: a stream in memory, of what a test puts in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from core.clock import epoch_ms
from core.codec import encode
from core.errors import BrokerUnavailable, StoreUnavailable
from core.schemas import Alert, DeadPost, Interval, Term
from core.settings import Settings
from services.alerting.showing import ExampleText, PastAlert, PastAlerts
from services.console.data import PanesFound, QualityFound
from services.console.window_posts import WindowPosts
from services.dead_letters import (
    DeadLetters,
    Replayed,
    ReplayRefused,
    dead_letters,
    send_again,
)
from services.kafka_client.messages import Record
from services.pipeline_view import PipelineView
from services.windows_view import PaneBounds, PaneView
from stream.queries.catalog import QueryCatalog, parse_catalog
from stream.topics import POSTS
from stream.windows.layout import COUNTERS
from stream.windows.records import PaneSum
from testkit.builders import NOON, make_post
from testkit.kafka import FakeProducer, MemoryBroker

API: Final = "/api/v1"
BASE: Final = "http://127.0.0.1:8080"
PANE_S: Final = 60
START_S: Final = epoch_ms(NOON) // 1000
LATER: Final = NOON + timedelta(hours=2)
"""When people look: nothing of what they look at is ahead of the clock."""
QUERY: Final = "trains"
CATALOG: Final = """\
[queries.trains]
title = "Trains"
expression = 'late AND (train OR trains)'

[queries.weather]
expression = 'storm'
"""
TEXT: Final = "THE WORDS OF A POST"


def past_alert(number: int = 1, **changes: Any) -> PastAlert:
    """Return the shift `a<number>`, which fired `number` minutes before noon."""
    fired = NOON - timedelta(minutes=number)
    fields: dict[str, Any] = {
        "alert_id": f"a{number}", "query": QUERY, "kind": "opinion", "state": "firing",
        "direction": "down", "severity": 5, "started": fired - timedelta(minutes=4),
        "fired": fired, "decided_at": fired, "evidence": 14.2, "threshold": 11.0,
        "before": Interval(0.2, 0.1, 0.3), "after": Interval(-0.1, -0.2, 0.0),
        "change": Interval(-0.3, -0.4, -0.2), "posts": 90, "mix": -0.05, "opinion": -0.25,
        "terms": [Term("late", 5.0, 1, 40)], "sentence": "Opinion about trains fell.",
    }  # fmt: skip
    return PastAlert(Alert(**(fields | changes)), 5, epoch_ms(fired))


def counters_of(**values: int) -> list[int]:
    """Return the counters of a pane by name, the others zero."""
    return [values.get(name, 0) for name in COUNTERS]


def pane(start_s: int, query: str = QUERY, *, closed: bool = True, **values: int) -> PaneView:
    """Return a pane with these counters; of two rated posts if none are given."""
    given = values or {
        "posts": 2, "rated": 2, "sentiment_sum": 500_000, "sentiment_square": 250_000
    }  # fmt: skip
    content = PaneSum(counters_of(**given), {}, 1)
    return PaneView(query, start_s, start_s + PANE_S, closed, 0, content)


def dead_record(place: int = 3, value: bytes = b"", **changes: Any) -> Record:
    """Return the record of `dead-posts` at an offset, of a post that was no good."""
    raw = value or encode(make_post(place))
    fields: dict[str, Any] = {
        "reason": "wrong_type", "detail": "expected text at $.lang", "topic": POSTS, "partition": 1,
        "offset": 40 + place, "size": len(raw), "dead_at": NOON, "payload": raw,
    }  # fmt: skip
    letter = DeadPost(**(fields | changes))
    return Record(0, place, f"posts|1|{40 + place}".encode(), encode(letter))


IDLE: Final = PipelineView(NOON, (), (), {}, {}, None)


@dataclass
class MemoryData:
    """What `services.console.data.ConsoleData` promises, of what a test puts in.

    Attributes:
        kept: The panes.
        past: The alerts that are kept.
        shown: The posts that show any of them.
        away_now: What does not answer, of `store` and `broker`.
        catalog_text: The catalog of queries.
        looks: How often panes were asked for.
        windows_asked: Query, start and end (s) of the windows whose posts were asked for.
        stream: How far the stream is.
        dead: The records of `dead-posts`.
        settings: Of who sends a dead letter again.
        broker: Where those that were sent again are.
    """

    kept: list[PaneView] = field(default_factory=list[PaneView])
    past: list[PastAlert] = field(default_factory=list[PastAlert])
    shown: list[ExampleText] = field(default_factory=list[ExampleText])
    away_now: tuple[str, ...] = ()
    catalog_text: str = CATALOG
    looks: int = 0
    windows_asked: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    stream: PipelineView = IDLE
    dead: list[Record] = field(default_factory=list[Record])
    settings: Settings = field(default_factory=Settings)
    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def _ask(self, part: str) -> None:
        if part in self.away_now:
            kind = StoreUnavailable if part == "store" else BrokerUnavailable
            raise kind(f"the {part} at a secret place does not answer")

    async def catalog(self) -> QueryCatalog:
        """Return the catalog."""
        return parse_catalog(self.catalog_text.encode(), Path("queries.toml"))

    async def bounds(self) -> PaneBounds:
        """Return the bounds of the panes that are kept."""
        self._ask("store")
        starts = [one.start_s for one in self.kept] or [-1]
        closed = [one.end_s for one in self.kept if one.closed] or [-1]
        last = [one.start_s for one in self.kept if one.closed] or [-1]
        return PaneBounds(min(starts), max(starts), max(closed), last_closed_s=max(last))

    async def panes(self, query: str, start_s: int, end_s: int) -> PanesFound:
        """Return the panes in a range."""
        self._ask("store")
        self.looks += 1
        inside = [one for one in self.kept if start_s <= one.start_s < end_s]
        return PanesFound({one.start_s: one for one in inside if one.query == query})

    async def panes_of(self, queries: Sequence[str], last: int) -> dict[str, PanesFound]:
        """Return the last panes of some queries."""
        last_s = (await self.bounds()).last_s
        found = {query: PanesFound() for query in queries}
        for one in self.kept:
            if one.query in found and one.start_s > last_s - last * PANE_S:
                found[one.query].panes[one.start_s] = one
        return found

    async def busiest(self) -> tuple[PaneBounds, dict[str, int]]:
        """Return the posts of each query in the last pane that is closed."""
        bounds = await self.bounds()
        last = [one for one in self.kept if one.start_s == bounds.last_closed_s]
        return bounds, {one.query: one.content.counters[0] for one in last}

    async def alerts(self) -> PastAlerts:
        """Return the alerts."""
        self._ask("broker")
        return PastAlerts(list(self.past), [])

    async def examples(self, past: PastAlert) -> list[ExampleText]:
        """Return the posts that show an alert."""
        self._ask("broker")
        return list(self.shown)

    async def window_posts(self, query: str, start_s: int, end_s: int) -> WindowPosts:
        """Return the posts that show anything, and note of which window they were asked."""
        self._ask("broker")
        self.windows_asked.append((query, start_s, end_s))
        return WindowPosts(tuple(self.shown), 9)

    async def quality(self) -> QualityFound:
        """Return that nothing is known."""
        self._ask("store")
        return QualityFound()

    async def pipeline(self) -> PipelineView:
        """Return how far the stream is."""
        self._ask("broker")
        return self.stream

    async def dead_letters(self) -> DeadLetters:
        """Return the dead letters."""
        self._ask("broker")
        return dead_letters(self.dead)

    async def replay(self, place: int, repaired: bytes | None) -> Replayed:
        """Send a dead letter again, to a broker in memory."""
        self._ask("broker")
        for one in self.dead:
            if one.offset == place:
                return send_again(self.settings, one, repaired, FakeProducer(self.broker))
        raise ReplayRefused(f"dead-posts has no record {place}, or not any more", is_unknown=True)

    async def away(self) -> list[str]:
        """Return what does not answer."""
        return list(self.away_now)
