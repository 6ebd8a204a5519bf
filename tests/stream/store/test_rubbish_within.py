"""Rubbish that looks right at a first glance, odd names, and two faults at once."""

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import pytest
import redis

from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store.ids import id_hash, kept_shard
from stream.store.redis_store import RedisStore
from stream.windows.records import Published
from tests.stream.store.servers import raw_client, with_database
from tests.stream.store.test_rubbish import lives_through
from tests.stream.store.worlds import HORIZONS, HOUR, START_S, Worlds

pytestmark = pytest.mark.integration

DATABASE = 6
Client = redis.Redis
pack = msgspec.msgpack.encode
POST = id_hash("s", "3")
KEPT = f"{{0}}:kept:{HOUR}:{kept_shard(POST)}"
PANE, STRATA = f"{{0}}:pane:{START_S}", f"{{0}}:strata:{START_S}"
STRATUM, ONES = "s|en|none", [1] * 8
NOTED = '{"at":1,"posts":1,"events":1,"found":"x","expected":"y"}'


@pytest.fixture(scope="module")
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, DATABASE)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with raw_client(url) as made:
        made.flushdb()
        yield made


CONTRIBUTIONS: dict[str, object] = {
    "a start in letters": [str(START_S), STRATUM, ONES, ["all"]],
    "a start that is no second": [float(START_S) + 0.5, STRATUM, ONES, ["all"]],
    "a start beyond 2^53": [2**62, STRATUM, ONES, ["all"]],
    "a start beyond every integer": [1e300, STRATUM, ONES, ["all"]],
    "a start that is not there": [None, STRATUM, ONES, ["all"]],
    "counters in letters": [START_S, STRATUM, ["1"] * 8, ["all"]],
    "counters by name": [START_S, STRATUM, {"posts": 1}, ["all"]],
    "counters by number": [START_S, STRATUM, {1: 1}, ["all"]],
    "too few counters": [START_S, STRATUM, [1, 1, 1], ["all"]],
    "a hole in the counters": [START_S, STRATUM, [1, None, 1, 1, 1], ["all"]],
    "queries by name": [START_S, STRATUM, ONES, {"a": "all"}],
    "no queries": [START_S, STRATUM, ONES, []],
    "a query that is a number": [START_S, STRATUM, ONES, [7]],
    "a stratum of one word": [START_S, "s", ONES, ["all"]],
    "a stratum of four words": [START_S, "s|en|none|x", ONES, ["all"]],
    "a fifth field": [START_S, STRATUM, ONES, ["all"], 5],
    "a map": {1: START_S, 2: STRATUM, 3: ONES, 4: ["all"]},
}


@pytest.mark.parametrize("name", sorted(CONTRIBUTIONS))
def test_contribution_with_a_wrong_part_is_set_aside_and_repaired(url: str, name: str) -> None:
    blob = pack(CONTRIBUTIONS[name])
    asyncio.run(lives_through(url, lambda client: client.hset(KEPT, POST, blob), KEPT))


def _instead(client: Client, *keys: str) -> None:
    """Put a list in the place of each key."""
    client.delete(*keys)
    for key in keys:
        client.lpush(key, "x")


def _dirty_among_strangers(client: Client) -> None:
    _instead(client, "{0}:dirty")
    client.zadd("{0}:starts", {"x": 5, "nan": 6})


def _dirty_without_a_time(client: Client) -> None:
    _instead(client, "{0}:dirty")
    client.hset("{0}:cursor", "closed", "x")


def _due_without_a_time(client: Client) -> None:
    _instead(client, "{0}:ahead-due")
    client.hset("{0}:cursor", "watermark", "x")


def _hours_among_strangers(client: Client) -> None:
    _instead(client, "{0}:seen-hours")
    client.mset({f"{{0}}:seen:{'9' * digits}:1": "x" for digits in (17, 400, 5_000)})


PAIRS: dict[str, Callable[[Client], object]] = {
    "an index of a list, and members that are no times": _dirty_among_strangers,
    "an index of a list, and no time to make it by": _dirty_without_a_time,
    "what is due of a list, and no time to make it by": _due_without_a_time,
    "what is due of a list, as that of which it tells": lambda client: _instead(
        client, "{0}:ahead-due", "{0}:ahead"
    ),
    "an index of a list, and keys whose numbers are no times": _hours_among_strangers,
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_two_faults_at_once_stop_nobody_else(url: str, name: str) -> None:
    asyncio.run(lives_through(url, PAIRS[name], "{0}"))


@pytest.mark.parametrize("key", ["seen-hours", "kept-hours", "starts"])
def test_member_that_lua_takes_for_a_number_is_passed_over(url: str, key: str) -> None:
    members = {"nan": 1, "-nan": 2, "inf": 3, "0x10": 4, "": 5, "9" * 400: 6}
    asyncio.run(lives_through(url, lambda client: client.zadd(f"{{0}}:{key}", members), key))


@pytest.mark.parametrize("query", [b"\xff\xfe", b"*", b"", b"a|b", b"a\nb", "naïve".encode()])
@pytest.mark.parametrize("key", [PANE, STRATA])
def test_share_of_a_query_of_any_name_is_set_aside_and_repaired(
    url: str, key: str, query: bytes
) -> None:
    asyncio.run(lives_through(url, lambda client: client.hset(key, query, b"x"), key))


@pytest.mark.parametrize(
    "name",
    ["rebuild|x|9", "rebuild|posts|x", "seen|x|y", "seen|5", "kept|x|y", "ahead|y", "unknown|1"],
)
def test_entry_whose_name_nobody_writes_is_told_and_the_partition_counted_again(
    url: str, name: str
) -> None:
    overwrite = {name: NOTED}
    asyncio.run(
        lives_through(url, lambda client: client.hset("{0}:quarantine", mapping=overwrite), "x")
    )


@pytest.mark.parametrize("topic", ["posts", "post-events"])
def test_offset_below_all_offsets_is_named(url: str, topic: str) -> None:
    overwrite = {topic: "-7"}
    asyncio.run(
        lives_through(url, lambda client: client.hset("{0}:cursor", mapping=overwrite), topic)
    )


@pytest.mark.parametrize(
    "stored",
    ["-5:abc:sent", f"{10**25}:abc:sent", "1_0:abc:sent", " 1:abc:sent", "\uff11:abc:sent",
     "1:abc:perhaps", "1::sent", "1:abc", "1:abc:sent\n"],
)  # fmt: skip
async def test_revision_that_nobody_writes_is_missing(
    url: str, client: Client, stored: str
) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        right = Published(7, "c0ffee", acknowledged=True)
        client.hset(f"{{closer}}:rev:{START_S}", mapping={"all": stored, "rail": right.packed()})
        found, (missing,) = await store.read_revisions([START_S])
        assert found == {START_S: {"rail": right}}
        assert (missing.query, missing.start_s) == ("all", START_S)
    finally:
        await store.close()


async def test_repair_of_a_partition_that_is_not_there_says_so(url: str, client: Client) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        before = {key: client.dump(key) for key in client.scan_iter()}
        found = await worlds.repair(7)
        assert found.left == [
            "partition 7 has nothing in the store: expected one that has, which are 0, 1"
        ]
        assert found.done == []
        assert {key: client.dump(key) for key in client.scan_iter()} == before
    finally:
        await store.close()


@pytest.mark.parametrize("query", [b"\xff\xfe", b"*", b"", b"all"])
async def test_revision_of_a_query_of_any_name_is_repaired_once_and_for_all(
    url: str, client: Client, query: bytes
) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        right = Published(7, "c0ffee", acknowledged=True)
        key = f"{{closer}}:rev:{START_S}"
        client.hset(key, mapping={b"rail": right.packed(), query: b"\xff"})
        assert len((await worlds.repair()).done) == 1
        assert await store.read_revisions([START_S]) == ({START_S: {"rail": right}}, [])
        assert (await worlds.repair()).done == []
    finally:
        await store.close()


@pytest.mark.parametrize("start", ["99999999999999", "9" * 19, "-99999999999999"])
async def test_pane_that_starts_beyond_all_dates_is_none(
    url: str, client: Client, start: str
) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        before = await store.pane_starts([0, 1]), await store.dirty([0, 1])
        client.hset("{0}:dirty", start, "x")
        client.zadd("{0}:starts", {start: float(start)})
        client.hset(f"{{0}}:pane:{start}", "all", pack(ONES))
        assert (await store.pane_starts([0, 1]), await store.dirty([0, 1])) == before
        assert await worlds.stored() == worlds.plain()
    finally:
        await store.close()


async def test_count_of_authors_that_nobody_counted_is_set_aside_and_repaired(
    url: str, client: Client
) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        right = (await store.pane([0, 1], START_S))["all"].authors
        cached = b"HYLL\x01\x00\x00\x00" + b"\xff" * 7 + b"\x7f" + b"\x00" * 30
        client.set(f"{{0}}:authors:{START_S}:all", cached)
        read = await store.read_panes([0, 1], [START_S])
        assert [one.query for one in read.missing] == ["all"]
        assert await store.set_aside(read.missing) == 1
        assert (await worlds.repair(0)).left == []
        assert (await store.pane([0, 1], START_S))["all"].authors == right
    finally:
        await store.close()
