"""What is kept of alerts may be anything: it is set aside, counted, and the rest is found."""

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from services.alerting.open_alerts import read_open_alerts
from services.alerting.state import JudgingState
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.alert_state import DecidedAlert, JudgeSave
from stream.store.redis_store import RedisStore
from tests.stream.store.servers import with_database

pytestmark = pytest.mark.integration

HASHES = (keys.JUDGE, keys.STATES, keys.OUTBOX, keys.OPEN, keys.TOLD)
SAVE = JudgeSave({"rail": b"state"}, (), b"known", (DecidedAlert("a", b"opened", b"record"),))


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, 5)


async def _saved(store: RedisStore) -> int:
    epoch = await store.begin_closing()
    assert await store.alerts.save(epoch, "", "one", SAVE)
    await store.alerts.mark_told({"a": "firing:3"})
    return epoch


@pytest.mark.parametrize("key", HASHES)
@pytest.mark.parametrize("by", ["list", "string"])
async def test_key_of_another_type_is_set_aside_and_the_rest_is_found(
    store: RedisStore, client: "redis.Redis[bytes]", key: str, by: str
) -> None:
    epoch = await _saved(store)
    refused: list[str] = []
    store.alerts.on_refused = refused.append
    client.delete(key)
    client.lpush(key, "x") if by == "list" else client.set(key, "x")
    found = await store.alerts.load()
    assert found.states == ({} if key == keys.STATES else {"rail": b"state"})
    assert found.opened == ({} if key == keys.OPEN else {"a": b"opened"})
    await store.alerts.told()
    await store.alerts.unpublished()
    assert refused == [key.removeprefix(keys.CLOSER)]
    assert await store.alerts.save(epoch, found.token, "two", SAVE)


@pytest.mark.parametrize("key", [keys.JUDGE, keys.STATES, keys.OUTBOX, keys.OPEN])
async def test_save_over_a_key_of_another_type_is_refused_whole(
    store: RedisStore, client: "redis.Redis[bytes]", key: str
) -> None:
    epoch = await _saved(store)
    client.delete(key)
    client.lpush(key, "x")
    before = {name: client.dump(name) for name in client.scan_iter() if name != key.encode()}
    assert not await store.alerts.save(epoch, "one", "two", SAVE)
    after = {name: client.dump(name) for name in client.scan_iter()}
    assert {name: after[name] for name in before} == before


async def test_numbers_that_are_none_do_not_hold_up_the_outbox(
    store: RedisStore, client: "redis.Redis[bytes]"
) -> None:
    epoch = await _saved(store)
    client.hset(keys.OUTBOX, mapping={"x": "y", b"\xff": b"\xff"})
    client.hset(keys.JUDGE, "said", "x")
    assert await store.alerts.unpublished() == [(1, b"record")]
    assert await store.alerts.save(epoch, "one", "two", SAVE)
    assert client.hgetall(f"{keys.CLOSER}aside:outbox:fields") == {b"x": b"y", b"\xff": b"\xff"}


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
).map(msgspec.msgpack.encode))  # fmt: skip
def test_anything_is_knowledge_or_a_value_error(stored: bytes) -> None:
    try:
        known = JudgingState.unpacked(stored)
    except ValueError:
        return
    assert known.every >= 1


@given(st.binary(max_size=60))
def test_anything_is_an_open_alert_or_named(stored: bytes) -> None:
    opened, unreadable = read_open_alerts({"a": stored})
    assert [*opened, *unreadable] == ["a"]
