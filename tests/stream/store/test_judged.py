"""What `judged.lua` stores, in which order, and whom it refuses."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.alert_state import MAX_STATES, AlertState, DecidedAlert, JudgeSave, StoredJudge
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore
from tests.stream.store.servers import raw_client, with_database

pytestmark = pytest.mark.integration

DATABASE = 13


@pytest_asyncio.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    url = with_database(redis_server.url, DATABASE)
    with raw_client(url) as client:
        client.flushdb()
    made = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    await made.begin_closing()
    yield made
    await made.close()


@pytest.fixture
def alerts(store: RedisStore) -> AlertState:
    return store.alerts


def _said(*numbers: int) -> list[DecidedAlert]:
    return [DecidedAlert(f"a{n}", b"opened %d" % n, b"record %d" % n) for n in numbers]


async def test_nothing_was_saved_before_the_first_save(alerts: AlertState) -> None:
    assert await alerts.load() == StoredJudge("", b"", {}, {})
    assert await alerts.unpublished() == []


async def test_a_save_keeps_states_alerts_and_what_is_known_and_forgets_what_it_is_told(
    alerts: AlertState,
) -> None:
    first = JudgeSave({"all": b"s1", "rail": b"s2", "bus": b"s3"}, (), b"known", _said(1, 2))
    assert await alerts.save(1, "", "t1", first)
    second = JudgeSave({"all": b"s4"}, ("rail", "bus", "never"), b"", _said(3))
    assert await alerts.save(1, "t1", "t2", second)
    assert await alerts.load() == StoredJudge(
        "t2", b"known", {"all": b"s4"},
        {"a1": b"opened 1", "a2": b"opened 2", "a3": b"opened 3"},
    )  # fmt: skip
    assert await alerts.unpublished() == [(1, b"record 1"), (2, b"record 2"), (3, b"record 3")]


async def test_a_save_of_nothing_moves_the_token_alone(alerts: AlertState) -> None:
    assert await alerts.save(1, "", "t1", JudgeSave())
    assert await alerts.load() == StoredJudge("t1", b"", {}, {})


async def test_a_save_whose_answer_was_lost_is_the_same_save(alerts: AlertState) -> None:
    what = JudgeSave({"all": b"s1"}, (), b"", _said(1))
    assert await alerts.save(1, "", "t1", what)
    assert await alerts.save(1, "", "t1", what)
    assert await alerts.unpublished() == [(1, b"record 1")]


async def test_a_save_on_another_than_the_last_is_refused_and_writes_nothing(
    alerts: AlertState,
) -> None:
    assert await alerts.save(1, "", "t1", JudgeSave({"all": b"s1"}))
    assert not await alerts.save(1, "t0", "t2", JudgeSave({"all": b"s2"}, (), b"k", _said(1)))
    assert not await alerts.save(1, "", "t2", JudgeSave({"all": b"s2"}, (), b"k", _said(1)))
    assert await alerts.load() == StoredJudge("t1", b"", {"all": b"s1"}, {})
    assert await alerts.unpublished() == []


async def test_a_closer_that_was_replaced_saves_nothing_not_even_what_it_had_saved(
    store: RedisStore, alerts: AlertState
) -> None:
    assert await alerts.save(1, "", "t1", JudgeSave({"all": b"s1"}))
    await store.begin_closing()
    assert not await alerts.save(1, "t1", "t2", JudgeSave({"all": b"s2"}))
    assert not await alerts.save(1, "", "t1", JudgeSave({"all": b"s1"}))
    assert await alerts.save(2, "t1", "t2", JudgeSave({"all": b"s2"}))


async def test_what_was_published_leaves_the_outbox_and_later_alerts_are_numbered_on(
    alerts: AlertState,
) -> None:
    await alerts.save(1, "", "t1", JudgeSave(decided=_said(*range(12))))
    assert [number for number, _ in await alerts.unpublished()] == list(range(1, 13))
    await alerts.published(range(1, 12))
    await alerts.save(1, "t1", "t2", JudgeSave(decided=_said(99)))
    assert await alerts.unpublished() == [(12, b"record 11"), (13, b"record 99")]


async def test_alerts_that_are_told_and_over_are_dropped_with_what_was_told(
    alerts: AlertState,
) -> None:
    await alerts.save(1, "", "t1", JudgeSave(decided=_said(1, 2, 3)))
    await alerts.mark_told({"a1": "firing", "a2": "ended", "a3": "ended"})
    await alerts.drop(["a2", "a3"])
    assert await alerts.opened() == {"a1": b"opened 1"}
    assert await alerts.told() == {"a1": "firing"}


@pytest.mark.parametrize("count", [MAX_STATES - 1, MAX_STATES, 2 * MAX_STATES + 1])
async def test_any_number_of_states_is_read_whole(alerts: AlertState, count: int) -> None:
    states = {f"q{n}": b"state %d" % n for n in range(count)}
    await alerts.save(1, "", "t1", JudgeSave(states))
    assert (await alerts.load()).states == states


@pytest.mark.parametrize("said", ["x", "-1", "1.5", str(2**63 - 1), "9" * 20, "9" * 400])
async def test_alerts_are_numbered_whatever_stands_in_the_place_of_their_count(
    alerts: AlertState, redis_server: RedisServer, said: str
) -> None:
    with raw_client(with_database(redis_server.url, DATABASE)) as client:
        client.hset("{closer}:judge", "said", said)
    assert await alerts.save(1, "", "t1", JudgeSave(decided=_said(1, 2)))
    assert await alerts.unpublished() == [(1, b"record 1"), (2, b"record 2")]
