"""On a real broker a turn is told once and ended once, whoever of several responders does it."""

from collections.abc import Iterator
from typing import Any

import pytest

from core.codec import forecast_event_decoder
from core.forecast_schemas import ForecastEvent
from services.kafka_client import read_topic
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from stream.topics import EVENTS
from tests.services.responder.said import event_of
from tests.services.responder.test_crowd_turns import answers, begins
from tests.services.responder.test_process import World, running

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[World]:
    """A broker of its own: topics have fixed names."""
    with KafkaServer(tmp_path_factory.mktemp("turns") / "kafka") as kafka:
        made = World(kafka, redis_server.url.removesuffix("/0") + "/10")
        yield made
        made.client.close()


def turns(world: World) -> list[ForecastEvent]:
    """Return what was told of turns, the first one first."""
    records = read_topic(world.settings.kafka, EVENTS)
    events = [forecast_event_decoder.decode(one.value or b"") for one in records]
    return [one for one in events if one.kind == "crowd_turned"]


async def test_a_turn_is_told_once_and_ended_once_by_responders_that_take_over(
    world: World,
) -> None:
    said: list[Any] = [*begins("p"), *answers("p")]
    world.say(*said)
    async with running(world) as first:
        await first.until(lambda: bool(turns(world)))
        (told,) = turns(world)
        assert (told.state, told.post_id) == ("firing", f"{world.mark}p")
        assert told.crowd is not None
        assert told.crowd.observed == (16, 0, 0)
    world.clock.advance(10)
    async with running(world) as second:  # it reads what the first one told, and all answers anew
        await second.caught_up()
        world.say(*answers("p", 0, 3, first_s=40), event_of("delete", "p-a0", 45))
        world.clock.advance(10)
        await second.until(lambda: world.told("p")[-1].crowd.observed[1] == 17)
        assert world.told("p")[-1].crowd.turned.observed[0] >= 16
    assert len(turns(world)) == 1
    world.say(event_of("delete", "p", 50))
    world.clock.advance(10)
    async with running(world) as third:
        await third.until(lambda: len(turns(world)) > 1)
        await third.caught_up()
        await third.until(lambda: world.told("p")[-1].state == "withdrawn")
    (begun, ended) = turns(world)
    assert (begun.event_id, "deleted") == (ended.event_id, ended.ended_as)
