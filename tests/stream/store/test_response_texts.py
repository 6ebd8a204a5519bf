"""Texts of people are where they are shown, and nowhere once they are deleted."""

import pytest
import redis

from core.errors import StoreWentBack
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.redis_store import RedisStore
from stream.store.response_texts import StoredResponse, post_name
from tests.stream.store.servers import with_database
from tests.stream.store.worlds import HORIZONS

pytestmark = pytest.mark.integration

WEEK_MS = 604_800_000
NOW_MS = 1_700_000_000_000
Client = redis.Redis
FOR_GOOD = {keys.RESPONSE_EVENTS.encode(), keys.RESPONSE_GENERATION.encode()}


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, 6)


def event(name: str, *posts: str, response: bytes = b"{}") -> StoredResponse:
    return StoredResponse(f"s|{name}", response, {f"s|{post}": f"text of {post}" for post in posts})


async def put(store: RedisStore, stored: StoredResponse, now_ms: int = NOW_MS, most: int = 100):
    return await store.responses.put(stored, now_ms=now_ms, keep_ms=WEEK_MS, most=most)


async def gone(store: RedisStore, *posts: str) -> int:
    names = [f"s|{post}" for post in posts]
    return await store.responses.gone(names, now_ms=NOW_MS, keep_ms=WEEK_MS)


def words(client: Client) -> str:
    """Return all that Redis holds."""
    found = []
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"hash":
            found += [key, *client.hvals(key)]
        elif kind == b"string":
            found += [key, client.get(key)]
        elif kind == b"set":
            found += [key, *client.smembers(key)]
        else:
            found += [key, *client.zrange(key, 0, -1)]
    return b" ".join(found).decode()


async def test_what_is_put_is_found_newest_first_and_expires(
    store: RedisStore, client: Client
) -> None:
    assert await put(store, event("p", "p", "a")) == (0, 0)
    assert await put(store, event("q", "q", response=b"later"), NOW_MS + 1) == (0, 0)
    assert await store.responses.events() == [
        event("q", "q", response=b"later"),
        event("p", "p", "a"),
    ]
    assert await store.responses.events(1) == [event("q", "q", response=b"later")]
    assert await store.responses.event("s|p") == event("p", "p", "a")
    assert await store.responses.event("s|none") is None
    lives = {key: client.pttl(key) for key in client.scan_iter() if key not in FOR_GOOD}
    assert len(lives) == 5
    assert all(0 < life <= WEEK_MS for life in lives.values())


async def test_what_is_shown_no_more_is_kept_no_more(store: RedisStore, client: Client) -> None:
    await put(store, event("p", "p", "a", "b"))
    await put(store, event("p", "p", "b"))
    assert await store.responses.event("s|p") == event("p", "p", "b")
    assert "text of a" not in words(client)
    assert not client.exists(keys.response_where("s|a"))


async def test_a_deleted_post_is_gone_from_every_event_at_once(
    store: RedisStore, client: Client
) -> None:
    await put(store, event("p", "p", "a", "b"))
    await put(store, event("q", "q", "a"))  # quoted there
    assert await gone(store, "a") == 2
    assert "text of a" not in words(client)
    assert await store.responses.event("s|p") == event("p", "p", "b")
    assert await store.responses.event("s|q") == event("q", "q")


async def test_a_deletion_that_comes_before_the_text_stays_one(
    store: RedisStore, client: Client
) -> None:
    assert await gone(store, "a", "q") == 0
    assert await put(store, event("p", "p", "a")) == (1, 0)
    assert await put(store, event("q", "q", "b")) == (2, 0)
    assert "text of a" not in words(client)
    assert "text of b" not in words(client)
    assert (await store.responses.event("s|p")).texts == {"s|p": "text of p"}


async def test_a_deleted_event_takes_what_was_said_to_it_also_where_it_is_quoted(
    store: RedisStore, client: Client
) -> None:
    await put(store, event("p", "p", "a", "b"))
    await put(store, event("q", "q", "a", "own"))  # quotes a
    await put(store, event("b", "b", "c"))  # the reply b takes off itself
    assert await gone(store, "p") >= 3
    found = {one.event: one for one in await store.responses.events()}
    assert found == {"s|q": event("q", "q", "own"), "s|b": event("b", "b", "c")}
    assert "text of p" not in words(client)
    assert "text of a" not in words(client)


async def test_what_a_deleted_event_quotes_stays_where_it_was_said(
    store: RedisStore, client: Client
) -> None:
    replies = (
        b'{"replies": [{"kind": "real", "reply_id": "b"}, {"kind": "quoted", "reply_id": "a"}]}'
    )
    await put(store, event("p", "p", "a"))
    await put(store, event("q", "q", "b", "a", response=replies))
    await put(store, event("r", "r", "a", "b"))
    await gone(store, "q")
    assert await store.responses.event("s|p") == event("p", "p", "a")
    assert await store.responses.event("s|r") == event("r", "r", "a")
    assert "text of b" not in words(client)
    assert client.smembers(keys.response_where("s|a")) == {b"s|p", b"s|r"}
    assert await gone(store, "a") == 2
    assert "text of a" not in words(client)


async def test_no_more_events_are_kept_than_may_be(store: RedisStore, client: Client) -> None:
    for number in range(5):
        await put(store, event(f"p{number}", f"p{number}", "a"), NOW_MS + number, most=3)
    assert [one.event for one in await store.responses.events()] == ["s|p4", "s|p3", "s|p2"]
    assert client.smembers(keys.response_where("s|a")) == {b"s|p4", b"s|p3", b"s|p2"}
    await put(store, event("new", "new"), NOW_MS + WEEK_MS + 4)
    assert [one.event for one in await store.responses.events()] == ["s|new"]


async def test_everything_can_be_forgotten(store: RedisStore, client: Client) -> None:
    await put(store, event("p", "p", "a"))
    await put(store, event("q", "q", "a"))
    assert await store.responses.forget_all() == 2
    assert list(client.scan_iter()) == [keys.RESPONSE_GENERATION.encode()]


async def test_what_the_responder_knows_is_kept_and_a_strangers_key_is_none(
    store: RedisStore, client: Client
) -> None:
    await store.responses.keep({"deletions:0": 12, "likes:s": b"[1]"})
    assert await store.responses.known() == {"deletions:0": b"12", "likes:s": b"[1]"}
    client.delete(keys.RESPONDER)
    client.set(keys.RESPONDER, "rubbish")
    assert await store.responses.known() == {}
    client.delete(keys.response_texts("s|p"))
    client.set(keys.response_texts("s|p"), "rubbish")
    client.zadd(keys.RESPONSE_EVENTS, {"s|p": 1})
    assert await store.responses.events() == []
    assert await store.responses.event("s|p") is None


async def test_strangers_values_are_no_obstacle(store: RedisStore, client: Client) -> None:
    await put(store, event("p", "p", "a"))
    names = list(client.scan_iter())
    for name in [*names, keys.RESPONDER.encode(), keys.GONE.encode()]:
        client.delete(name)
        client.set(name, "rubbish")
    await store.responses.heal()
    assert await store.responses.known() == {}
    await store.responses.begin()
    await put(store, event("p", "p", "a"))
    await put(store, event("q", "a", "q"))
    assert {one.event for one in await store.responses.events()} == {"s|q", "s|p"}
    client.delete(keys.response_where("s|a"), keys.response_texts("s|p"))
    client.set(keys.response_where("s|a"), "rubbish")
    client.set(keys.response_texts("s|p"), "rubbish")
    assert await gone(store, "a", "p") == 1
    assert "text of a" not in words(client)
    assert await gone(store, "q") == 1


async def test_any_text_is_only_a_text(store: RedisStore) -> None:
    strange = 'x"} DEL {responder}:gone\r\n$5\r\n\x00\x1b[2J t:s|a 今天 \ud800'
    stored = StoredResponse("s|p", b"{}", {"s|a|b t:": strange})
    await put(store, stored)
    found = await store.responses.event("s|p")
    assert found.texts == {"s|a|b t:": strange.encode("utf-8", "replace").decode()}
    assert post_name("s", "a|b t:") == "s|a|b t:"


@pytest.mark.parametrize("has", ["1", None, "rubbish", "nan", "-3", "1e300"])
async def test_a_store_that_went_back_is_written_to_only_after_it_was_read_anew(
    store: RedisStore, client: Client, has: str | None
) -> None:
    await store.responses.begin()
    await put(store, event("p", "p", "a"))
    await gone(store, "a")
    client.delete(keys.RESPONSE_GENERATION, keys.GONE)  # the removal is lost
    if has is not None:
        client.set(keys.RESPONSE_GENERATION, has)
    for _ in range(3):  # however often: a refused write counts for none
        with pytest.raises(StoreWentBack):
            await put(store, event("q", "q"))
        with pytest.raises(StoreWentBack):
            await gone(store, "p")
        with pytest.raises(StoreWentBack):
            await store.responses.keep({})
        with pytest.raises(StoreWentBack):
            await store.responses.keep({"deletions:0": 9})
    assert await store.responses.events() == [event("p", "p")]
    assert await store.responses.known() == {}
    await store.responses.begin()
    await put(store, event("q", "q"), NOW_MS + 1)
    assert [one.event for one in await store.responses.events()] == ["s|q", "s|p"]


async def test_writes_of_another_responder_are_no_loss(url: str, store: RedisStore) -> None:
    await store.responses.begin()
    other = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        await other.responses.begin()
        await put(other, event("q", "q"))
        await put(store, event("p", "p"))
        await other.responses.keep({"deletions:0": 1})
    finally:
        await other.close()
