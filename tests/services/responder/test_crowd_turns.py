"""A turn is told once and ended once, within its budget, also by whoever takes over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.errors import BrokerUnavailable
from core.forecast_schemas import ForecastEvent
from core.responder_settings import ResponderSettings
from core.response_schemas import ResponseCrowd
from services.responder.crowd_told import in_words
from testkit.builders import NOON
from tests.services.responder.said import event_of, post_of, scored, take_off
from tests.services.responder.test_at_work import World

SETTINGS = ResponderSettings(kind="fake", generated=0, quoted=0)
NEUTRAL, NEGATIVE = [50_000, 900_000, 50_000], [900_000, 50_000, 50_000]
CALM, TURNED = 18, 16


def answers(post: str, calm: int = CALM, turned: int = TURNED, first_s: float = 1) -> list[Any]:
    """The answers of a crowd that is neutral first, then negative; a second apart."""
    labels = [NEUTRAL] * calm + [NEGATIVE] * turned
    return [
        scored(f"{post}-a{n}", first_s + n, label, reply_to=post) for n, label in enumerate(labels)
    ]


def begins(*posts: str) -> list[Any]:
    return [one for post in posts for one in (post_of(post, 0, "about a bridge"),
                                              take_off(post, 0))]  # fmt: skip


async def next_look(world: World, *said: Any, after_s: float = 10) -> list[ForecastEvent]:
    """Hear what is said, and return the events that were told because of it."""
    world.clock.advance(after_s)
    before = len(world.topic.events)
    await world.hear(*said)
    return world.topic.events[before:]


def metric(world: World, name: str, **labels: str) -> float:
    return world.metrics.registry.get_sample_value(f"groundswell_crowd_{name}", labels) or 0.0


async def turned_world(settings: ResponderSettings = SETTINGS) -> World:
    world = World(settings=settings)
    assert await next_look(world, *begins("p")) == []
    await next_look(world, *answers("p"))
    return world


async def test_a_turn_is_told_once_with_what_was_expected_and_what_was_seen_since_when() -> None:
    world = await turned_world()
    (told,) = world.topic.events
    assert (told.kind, told.state, told.query, told.post_id) == (
        "crowd_turned",
        "firing",
        "all",
        "p",
    )
    assert (told.author, told.posted_at, told.target, told.seen) == ("", NOON, "replies", 34)
    assert told.crowd is not None
    assert told.crowd.since == NOON + timedelta(seconds=1 + CALM)
    assert told.crowd.upto == NOON + timedelta(seconds=CALM + TURNED)
    assert told.crowd.observed == (TURNED, 0, 0)
    assert told.crowd.expected[1] > 0.8  # by the answers before the turn
    assert told.surprise < 34 * 0.0001
    assert told.sentence == (
        "the crowd has turned: of 16 answers since 2026-03-01 12:00:19 UTC negative 100 %, "
        f"neutral 0 %, positive 0 %, where negative {100 * told.crowd.expected[0]:.0f} %, neutral "
        f"{100 * told.crowd.expected[1]:.0f} %, positive {100 * told.crowd.expected[2]:.0f} % was "
        "expected"
    )
    shown = world.last.crowd
    assert shown is not None
    assert shown.turned == told.crowd
    assert told.sentence in in_words(shown)
    assert metric(world, "turns_total", state="firing") == 1
    assert metric(world, "turns_firing", query="all") == 1
    assert metric(world, "turn_budget_used", query="all") == 1
    assert await next_look(world, scored("p-more", 40, NEGATIVE)) == []
    assert world.last.crowd is not None
    assert world.last.crowd.turned is not None
    assert world.last.crowd.turned.observed == (TURNED + 1, 0, 0)


async def test_no_turn_is_told_of_a_crowd_that_answers_as_expected() -> None:
    world = World(settings=SETTINGS)
    await next_look(world, *begins("p"))
    for n in range(5):
        said = [scored(f"a{n}-{k}", 1 + n, [NEUTRAL, NEGATIVE][k % 2]) for k in range(10)]
        assert await next_look(world, *said) == []
    assert world.last.crowd is not None
    assert world.last.crowd.turned is None


async def test_it_is_over_once_when_the_crowd_is_as_expected_again_and_may_turn_anew() -> None:
    world = await turned_world()
    (first,) = world.topic.events
    told: list[ForecastEvent] = []
    for n in range(30):
        said = [scored(f"b{n}-{k}", 40 + 5 * n + k, NEGATIVE) for k in range(5)]
        told += await next_look(world, *said)
    (over,) = told
    assert (over.event_id, over.state, over.ended_as) == (first.event_id, "resolved", "over")
    assert over.sentence.endswith("; the crowd answers as expected again")
    assert metric(world, "turns_firing", query="all") == 0
    again = await next_look(world, *answers("q", 0, 30, first_s=300))
    assert again == []  # another post's
    positive = [scored(f"c{n}", 400 + n, [1, 1, 999_998]) for n in range(30)]
    (second,) = await next_look(world, *positive)
    assert second.state == "firing"
    assert second.event_id != first.event_id
    assert second.crowd is not None
    assert second.crowd.since >= NOON + timedelta(seconds=400)


async def test_a_turn_between_two_looks_is_told_and_ended_at_once() -> None:
    world = World(settings=SETTINGS)
    await next_look(world, *begins("p"))
    said = answers("p", turned=TURNED + 150)
    begun, over = await next_look(world, *said)
    assert (begun.state, over.state, over.ended_as) == ("firing", "resolved", "over")
    assert begun.event_id == over.event_id
    assert await next_look(world, scored("late", 300, NEGATIVE)) == []


@pytest.mark.parametrize("at", ["before", "between", "after"])
async def test_whoever_takes_over_tells_nothing_twice_and_loses_nothing(at: str) -> None:
    world = World(settings=SETTINGS)
    await next_look(world, *begins("p"))
    if at == "after":
        await next_look(world, *answers("p"))
    elif at == "between":  # it was written, and not acknowledged before the kill
        world.topic.is_deaf = True
        with pytest.raises(BrokerUnavailable):
            await next_look(world, *answers("p"))
    after = World(known=world.texts.kept_fields(), settings=SETTINGS)
    told = list(world.topic.events)
    again = await next_look(after, *begins("p"), *answers("p"), *told)
    assert len(told) == (at != "before")
    assert len(told + again) == 1
    ends = await next_look(after, take_off("p", 60, "resolved", ended_as="over"))
    assert [(one.event_id, one.ended_as) for one in ends] == [
        ((told + again)[0].event_id, "settled")
    ]
    last = World(known=after.texts.kept_fields(), settings=SETTINGS)
    assert await next_look(last, *begins("p"), *answers("p"), *told, *again, *ends,
                           take_off("p", 60, "resolved", ended_as="over")) == []  # fmt: skip


async def test_told_twice_by_two_that_are_active_it_has_one_id() -> None:
    first, second = await turned_world(), await turned_world()
    (one,), (other,) = first.topic.events, second.topic.events
    assert one.event_id == other.event_id
    assert await next_look(first, other, scored("more", 40, NEGATIVE)) == []
    (end,) = await next_look(first, event_of("delete", "p", 41))
    assert end.state == "resolved"
    assert await next_look(first, one, end) == []


async def test_a_turn_whose_post_is_not_followed_any_more_is_ended_by_who_takes_over() -> None:
    world = await turned_world()
    told = list(world.topic.events)
    for said, ended in (([], "settled"), ([event_of("delete", "p", 50)], "deleted")):
        after = World(known=world.texts.kept_fields(), settings=SETTINGS)
        (end,) = await next_look(after, *told, *said)
        assert (end.event_id, end.state, end.ended_as) == (told[0].event_id, "resolved", ended)
        assert await next_look(after, end) == []


async def test_a_turn_from_before_what_is_read_anew_is_known_all_the_same() -> None:
    world = await turned_world()
    after = World(known=world.texts.kept_fields(), settings=SETTINGS, since_ms=5_000)
    (end,) = await next_look(after, *world.topic.events)  # their records are of 1970
    assert end.ended_as == "settled"
    assert after.left_out("event", "late") == 0


async def test_a_deleted_posts_turn_ends_and_nothing_is_said_of_its_crowd() -> None:
    world = await turned_world()
    (end,) = await next_look(world, event_of("delete", "p", 50), after_s=0)
    assert (end.state, end.ended_as, end.crowd, end.seen) == ("resolved", "deleted", None, 0)
    assert end.sentence == "the post was deleted"
    assert world.last.state == "withdrawn"
    assert world.last.crowd is None


async def test_deleted_answers_are_not_counted_and_may_end_a_turn() -> None:
    world = await turned_world()
    assert await next_look(world, event_of("delete", f"p-a{CALM}", 50)) == []
    assert world.last.crowd is not None
    assert world.last.crowd.turned is not None
    assert world.last.crowd.turned.observed == (TURNED - 1, 0, 0)
    gone = [event_of("delete", f"p-a{CALM + n}", 51) for n in range(1, 14)]
    (end,) = await next_look(world, *gone)
    assert (end.ended_as, end.seen) == ("over", CALM + TURNED - 14)
    assert end.crowd is not None
    assert end.crowd.observed == (TURNED - 14, 0, 0)
    everyone = [event_of("delete", f"p-a{n}", 60) for n in range(CALM + TURNED)]
    assert await next_look(world, *everyone) == []


async def test_if_all_answers_of_a_turn_are_deleted_it_is_over() -> None:
    world = await turned_world()
    everyone = [event_of("delete", f"p-a{n}", 60) for n in range(CALM + TURNED)]
    (end,) = await next_look(world, *everyone)
    assert (end.ended_as, end.crowd) == ("over", None)
    assert end.sentence == "the crowd answers as expected again"


async def test_beyond_the_budget_nothing_is_told_until_it_is_there_again() -> None:
    settings = msgspec.structs.replace(SETTINGS, turns_per_hour=1, memory_s=20_000)
    world = await turned_world(settings)
    assert await next_look(world, *begins("q"), *answers("q")) == []
    assert await next_look(world, scored("q-more", 40, NEGATIVE, reply_to="q")) == []
    assert metric(world, "turns_held_back_total", query="all") == 1  # a turn, not a look
    after = World(known=world.texts.kept_fields(), settings=settings)
    said = [*begins("p", "q"), *answers("p"), *answers("q"), *world.topic.events,
            scored("q-more", 40, NEGATIVE, reply_to="q")]  # fmt: skip
    # An hour later the turn is old: it is told if further answers say that it stands.
    assert await next_look(after, *said, post_of("x", 3_700, "later"), after_s=3_700) == []
    assert metric(after, "turns_held_back_total", query="all") == 0
    (told,) = await next_look(after, scored("q-new", 3_701, NEGATIVE, reply_to="q"))
    assert (told.post_id, told.state) == ("q", "firing")


async def test_no_turn_is_told_where_none_may_be() -> None:
    world = await turned_world(msgspec.structs.replace(SETTINGS, turns_per_hour=0))
    assert world.topic.events == []
    assert metric(world, "turns_held_back_total", query="all") == 1


async def test_what_is_stored_of_turns_held_back_and_cannot_be_read_stops_nothing() -> None:
    world = World(known={"crowds-held": b'{"p": "x"}'}, settings=SETTINGS)
    await next_look(world, *begins("p"))
    assert len(await next_look(world, *answers("p"))) == 1


async def test_a_turn_that_is_not_acknowledged_is_told_again_before_the_response() -> None:
    world = World(settings=SETTINGS)
    await next_look(world, *begins("p"))
    told = len(world.topic.told)
    world.topic.is_away = True
    with pytest.raises(BrokerUnavailable):
        await next_look(world, *answers("p"))
    assert len(world.topic.told) == told
    world.topic.is_away = False
    (event,) = await next_look(world)
    assert event.state == "firing"
    assert world.last.crowd is not None
    assert world.last.crowd.turned == event.crowd


def test_a_crowd_that_has_not_turned_says_nothing_of_it() -> None:
    crowd = ResponseCrowd(topic="q", expected=(0.3, 0.5, 0.2), observed=(6, 2, 2),
                          posterior=(0.5, 0.3, 0.2), strength=8, turn_evidence=12.0)  # fmt: skip
    assert "turned" not in in_words(crowd)
