"""What is left undone while store or broker is away is done when they are back, and not twice."""

from typing import Any

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.errors import BrokerUnavailable, StoreUnavailable
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import Response, ShownReply
from models.socialalign.live import LiveCrowd, SourceCrowds
from services.kafka_client.messages import Record
from services.responder.at_work import ResponderAtWork, ResponderParts, deletions_upto
from services.responder.crowd_asking import CrowdAsking
from services.responder.crowd_told import crowd_of
from services.responder.generating import Generation
from services.responder.publishing import ResponsePublisher
from services.responder.reading import ReadSoFar
from stream.store.response_texts import StoredResponse
from stream.topics import EVENTS, POST_EVENTS, POSTS, SCORED_POSTS
from testkit.builders import NOON
from testkit.responses import MemoryTexts, MemoryTopic
from testkit.scorers.crowd import FakeCrowd
from testkit.scorers.responder import FakeResponder
from tests.services.responder.said import NOON_S, event_of, post_of, scored, take_off

TOPICS = {
    "ScoredPost": SCORED_POSTS,
    "Post": POSTS,
    "PostEvent": POST_EVENTS,
    "ForecastEvent": EVENTS,
}


class World:
    """A responder at work, with a topic and a store in memory."""

    def __init__(
        self, known: Any = None, past: Any = (), since_ms: int = 0,
        settings: ResponderSettings | None = None,
    ) -> None:  # fmt: skip
        self.topic, self.texts, self.metrics = MemoryTopic(), MemoryTexts(), Metrics()
        self.clock, settings = ManualClock(NOON), settings or ResponderSettings(kind="fake")
        store: Any = self.texts
        self.model, self.crowd = FakeResponder(), FakeCrowd()
        self.generation = Generation(self.model, settings, self.clock, self.metrics)
        parts = ResponderParts(
            settings, store,
            ResponsePublisher(self.topic, store, settings, self.clock, self.metrics),
            self.generation, CrowdAsking(self.crowd, settings, self.clock, self.metrics),
            self.clock, self.metrics,
        )  # fmt: skip
        self.work = ResponderAtWork(parts, known or {}, list(past), since_ms)

    async def hear(self, *said: Any, behind_s: float = 0, at_ms: int = 0) -> None:
        """Read what is said, a record each, and tell what is new."""
        records: dict[str, list[Record]] = {}
        for one in said:
            records.setdefault(TOPICS[type(one).__name__], []).append(
                Record(0, 0, b"", encode(one), (), at_ms)
            )
        written = {POSTS: round((NOON_S - behind_s) * 1000)} if behind_s else {}
        read = ReadSoFar(True, False, True, records, written, {0: 7})
        self.work.take(read)
        await self.work.tell(read)

    def left_out(self, what: str, reason: str) -> float:
        labels = {"what": what, "reason": reason}
        name = "groundswell_response_left_out_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def last(self) -> Response:
        return self.topic.told[-1]


def replies(number: int = 3) -> list[Any]:
    return [post_of(f"r{n}", n, f"word{n}", root="p") for n in range(number)]


async def test_a_deletion_is_carried_out_once_the_store_is_back() -> None:
    world = World()
    await world.hear(post_of("p", 0, "about a bridge"), *replies(), take_off("p", 9))
    assert "word1" in world.texts.words()
    world.texts.is_away = True
    with pytest.raises(StoreUnavailable):
        await world.hear(event_of("delete", "r1", 10))
    world.texts.is_away = False
    await world.hear()
    assert "word1" not in world.texts.words()
    real = {one.reply_id for one in world.last.replies if one.kind == "real"}
    assert real == {"r0", "r2"}


async def test_what_was_not_acknowledged_or_kept_is_told_again() -> None:
    world = World()
    world.topic.is_away = True
    with pytest.raises(BrokerUnavailable):
        await world.hear(post_of("p", 0, "about a bridge"), *replies(), take_off("p", 9))
    assert world.texts.words() == ""
    world.topic.is_away = False
    await world.hear()
    told = len(world.topic.told)
    assert told == 1
    await world.hear()
    assert len(world.topic.told) == told


async def test_changes_wait_for_their_time_and_likes_alone_are_no_news() -> None:
    world = World()
    await world.hear(post_of("p", 0, "about a bridge"), *replies(), take_off("p", 9))
    await world.generation.settle()
    await world.hear()
    told, last = len(world.topic.told), world.last.replies[2].reply_id
    await world.hear(event_of("counts", last, 20, likes=50))
    assert len(world.topic.told) == told
    world.clock.advance(10)
    await world.hear()
    assert world.last.replies[0].reply_id == last
    world.clock.advance(10)
    await world.hear(event_of("counts", last, 21, likes=51))
    assert len(world.topic.told) == told + 1


async def test_behind_nothing_is_generated_and_far_behind_nothing_is_quoted() -> None:
    world = World()
    await world.hear(post_of("p", 0, "about a bridge"), take_off("p", 9), behind_s=31)
    assert (world.left_out("generated", "behind"), world.left_out("quoted", "behind")) == (1, 0)
    await world.hear(post_of("q", 0, "about a ferry"), *replies(), take_off("q", 9), behind_s=61)
    assert (world.left_out("generated", "behind"), world.left_out("quoted", "behind")) == (2, 1)
    assert world.model.asked == []
    assert world.last.no_forecast == "the responder is behind"
    await world.hear(post_of("z", 9, "a real one", root="q"), behind_s=3_600)
    world.clock.advance(10)
    await world.hear(behind_s=3_600)
    assert [one.reply_id for one in world.last.replies] == ["z"]  # ranking is never shed


async def test_what_an_earlier_one_has_shown_is_taken_up_and_what_ended_alone_is_over() -> None:
    shown = (ShownReply(kind="generated", text="made up before", score=1.0),)
    told = {
        name: Response(
            post_id=name, source="synthetic", made_at=NOON, state="current", replies=shown,
            model_version="m", seed=5, crowd=crowd_of(LiveCrowd(SourceCrowds(3).start("all"))),
        )
        for name in ("p", "old")
    }  # fmt: skip
    past = [
        StoredResponse(f"synthetic|{name}", encode(one), {f"synthetic|{name}": "a text"})
        for name, one in told.items()
    ]
    past.append(StoredResponse("synthetic|bad", b"\xff"))
    world = World(past=past)
    await world.hear(post_of("p", 0, "a text"), take_off("p", 9))
    assert [(one.post_id, one.state) for one in world.topic.told] == [("old", "over")]
    world.clock.advance(10)
    await world.hear(*replies(1))
    assert [one.kind for one in world.last.replies] == ["real", "generated"]
    assert (world.last.model_version, world.last.seed, world.model.asked) == ("m", 5, [])


async def test_events_of_long_ago_are_not_followed() -> None:
    world = World(since_ms=5_000)
    await world.hear(take_off("p", 9), at_ms=4_999)
    assert world.topic.told == []
    late = {"what": "event", "reason": "late"}
    name = "groundswell_response_left_out_total"
    assert world.metrics.registry.get_sample_value(name, late) == 1
    await world.hear(take_off("p", 9), at_ms=5_000)
    assert world.last.no_forecast == "the post is not remembered"


async def test_how_far_deletions_were_carried_out_is_kept() -> None:
    world = World()
    await world.hear()
    assert deletions_upto(world.texts.kept_fields()) == {0: 7}
    rubbish = {"deletions:x": b"1", "deletions:1": b"-4", "deletions:2": b"9" * 30, "other": b"1"}
    assert deletions_upto(rubbish) == {}


async def test_a_crowd_is_told_as_its_answers_are_rated_and_kept_for_the_next_responder() -> None:
    world = World()
    await world.hear(post_of("p", 0, "about a bridge"), *replies(), take_off("p", 9))
    assert world.last.crowd is not None
    assert (world.last.crowd.topic, world.last.crowd.observed) == ("all", (0, 0, 0))
    await world.hear(*(scored(f"r{n}", n, [900_000, 50_000, 50_000]) for n in range(3)))
    assert len(world.topic.told) == 1  # no sooner than may be
    world.clock.advance(10)
    await world.hear()
    first = world.last
    assert first.crowd is not None
    assert first.crowd.observed == (3, 0, 0)
    past = [StoredResponse("synthetic|p", encode(first), {})]
    after = World(known=world.texts.kept_fields(), past=past)
    await after.hear(
        post_of("p", 0, "about a bridge"), *replies(), take_off("p", 9),
        *(scored(f"r{n}", n, [900_000, 50_000, 50_000]) for n in range(3)),
    )  # fmt: skip
    assert after.topic.told == []
    after.clock.advance(10)
    await after.hear(scored("r3", 4, [1, 2, 3]))
    assert after.last.crowd is not None
    assert after.last.crowd.observed == (3, 0, 1)
    assert after.last.crowd.expected == first.crowd.expected
