"""Whatever is stored under a partition's keys: named, set aside, repaired; never a wrong number."""

import asyncio
import re
from collections.abc import Callable, Iterator

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import IncrementRefused, StateUnreadable
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store import keys, pane_reader
from stream.store.ids import id_hash, kept_shard
from stream.store.increments import ApplyBatch, PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from tests.stream.store.servers import raw_client, with_database
from tests.stream.store.worlds import HORIZONS, HOUR, PANE_S, START_S, World, Worlds

pytestmark = pytest.mark.integration

DATABASE = 6
pack = msgspec.msgpack.encode
Client = redis.Redis


@pytest.fixture(scope="module")
def url(redis_server: RedisServer) -> str:
    return with_database(redis_server.url, DATABASE)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with raw_client(url) as made:
        made.flushdb()
        yield made


POST = id_hash("s", "3")
KEPT = f"{{0}}:kept:{HOUR}:{kept_shard(POST)}"
SEEN_SHARD = (POST[2] << 8 | POST[3]) % keys.SEEN_SHARDS

PLACES: dict[str, tuple[str, bytes | None]] = {
    "{p}:cursor": ("{0}:cursor", b"posts"),
    "{p}:starts": ("{0}:starts", None),
    "{p}:pane:<start>": (f"{{0}}:pane:{START_S}", b"all"),
    "{p}:strata:<start>": (f"{{0}}:strata:{START_S}", b"all"),
    "{p}:authors:<start>:q": (f"{{0}}:authors:{START_S}:all", None),
    "{p}:dirty": ("{0}:dirty", None),
    "{p}:seen:<hour>:<n>": (f"{{0}}:seen:{HOUR}:{SEEN_SHARD}", None),
    "{p}:seen-hours": ("{0}:seen-hours", None),
    "{p}:kept:<hour>:<n>": (KEPT, POST),
    "{p}:kept-hours": ("{0}:kept-hours", None),
    "{p}:ahead": ("{0}:ahead", id_hash("s", "13")),
    "{p}:ahead-due": ("{0}:ahead-due", None),
    "{p}:backfill": ("{0}:backfill", None),
    "{p}:quarantine": ("{0}:quarantine", b"pane|x"),
    "{p}:aside:<key>": ("{0}:aside:cursor", None),
    "{p}:forecast": ("{0}:forecast", None),
    "{p}:forecast:<k>:<n>": ("{0}:forecast:pending:0", None),
}
"""Key kind, as the table of `stream.store.keys` names it -> a key, and a field if it is a hash of
values that are read."""

WHOLE: dict[str, Callable[[Client, str], object]] = {
    "list": lambda client, key: client.lpush(key, "x"),
    "string": lambda client, key: client.set(key, b"\x91\xcb"),
    "set": lambda client, key: client.sadd(key, "x"),
    "hash": lambda client, key: client.hset(key, "x", "y"),
    "zset": lambda client, key: client.zadd(key, {"x": 1}),
}

VALUES = {
    "empty": b"",
    "text": b"x",
    "float": pack([1.5, 2.0]),
    "a whole float": pack([2.0]),
    "not a number": pack([float("nan"), 1]),
    "infinite": pack([float("inf")]),
    "huge": pack([2**60]),
    "negative and huge": pack([-(2**60)]),
    "null": pack([None, 1]),
    "true": pack([True, 1]),
    "text in an array": pack(["12", "13"]),
    "nested": pack([[1], [2]]),
    "very nested": b"\x91" * 5_000 + b"\x01",
    "a map": pack({"posts": 1}),
    "a length that is not there": b"\xdd\xff\xff\xff\xff",
    "a length below zero": b"\xdb\x80\x00\x00\x00",
    "two values": pack([1]) + pack([2]),
    "half a value": pack([1, 2, 3])[:-1],
    "a number alone": pack(7),
    "a number in words": b"1e3",
    "beyond 64 bits": b"9" * 30,
}

RUBBISH = st.one_of(
    st.sampled_from(sorted(VALUES.values())),
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(2**54, 2**63),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=6,
    ).map(pack),
)


def test_every_kind_of_key_has_a_place_here() -> None:
    named = set(re.findall(r"^``(\{p\}:[^`]+)``", keys.__doc__ or "", re.MULTILINE))
    assert named == set(PLACES)


def _is_rubbish(kind: str, value: bytes) -> bool:
    """Leave out what might have been written: nobody can tell a wrong integer from a right one.

    A whole number in the form of a float is an integer to Lua, which has no others.
    """
    if kind == "{p}:cursor":
        return re.fullmatch(rb"-?\d{1,15}", value) is None
    if kind == "{p}:ahead":
        return value != b""
    try:
        found = msgspec.msgpack.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    if isinstance(found, list):
        return not found or not all(map(_is_whole, found))
    return not (isinstance(found, dict) and not found)


def _is_whole(one: object) -> bool:
    is_number = isinstance(one, int | float) and not isinstance(one, bool)
    return is_number and abs(one) < 2**53 and one % 1 == 0  # type: ignore[operator,arg-type]


async def _try(coroutine: object) -> StateUnreadable | None:
    try:
        await coroutine  # type: ignore[misc]
    except StateUnreadable as fault:
        return fault
    return None


async def lives_through(url: str, overwrite: Callable[[Client], object], said: str) -> None:
    """Overwrite something of partition 0, go on counting, repair, and compare with the program."""
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        with raw_client(url) as client:
            client.flushdb()
            worlds = await Worlds.made(store)
            assert await worlds.stored() == worlds.plain()
            overwrite(client)
            await _never_wrong(worlds)
            await _go_on(store, worlds, said)
            await _never_wrong(worlds)
            await _repair(store, worlds)
            assert await worlds.stored() == worlds.plain()
            read = await store.read_panes([0, 1], [START_S, START_S + PANE_S])
            assert read.missing == []
            assert await store.quarantine([0, 1]) == []
            await _takes_back(worlds)
    finally:
        await store.close()


async def _go_on(store: RedisStore, worlds: Worlds, said: str) -> None:
    """Count on in both: the partition that cannot be read says so and waits, the other goes on."""
    first, second = worlds.parts
    await second.post()
    await second.delete(7)
    state = await _try(store.partition_state(0))
    asked = [("1", SEEN_SHARD, [HOUR])]
    fault = await _try(store.seen(0, asked)) or state
    if fault is None:
        await first.post()  # the thirteenth is met by what is ahead of it, if it is
        await first.delete(3, 7)
        await first.edit(9)
    else:
        assert fault.partition == 0
        assert said in str(fault)
    with pytest.raises((StateUnreadable, IncrementRefused)):
        await store.apply(0, ApplyBatch(POSTS, 0.5, 1))  # type: ignore[arg-type]
    await store.close_through([0, 1], START_S + 3 * PANE_S)
    missing = (await store.read_panes([0, 1], [START_S, START_S + PANE_S])).missing
    await store.set_aside(one for one in missing if one.raw is not None)


async def _repair(store: RedisStore, worlds: Worlds) -> None:
    found = await worlds.repair(0)
    assert [one for one in found.left if "wait until" not in one] == []
    state: PartitionState = await store.partition_state(0)
    first = worlds.parts[0]
    if state.cursors[POSTS] < len(first.posts) - 1:
        await _count_again(first)
        assert (await worlds.repair(0)).left == []


async def _count_again(part: World) -> None:
    """Do what the worker does with an empty partition: everything once more, from the topics."""
    for batch in part.applied:
        await part.store.apply(part.partition, batch)


async def _never_wrong(worlds: Worlds) -> None:
    """Every window that is shown is right; what is not shown is said.

    What was asked of a post whose contribution is set aside waits for the repair, as it waits for a
    post that is still to come.
    """
    kinds = {one.kind for one in await worlds.store.quarantine([0, 1])}
    plain, stored = worlds.plain(), await worlds.stored()
    read = await worlds.store.read_panes([0, 1], [START_S, START_S + PANE_S])
    withheld = {(one.start_s, one.query) for one in read.missing}
    for (query, start), counters in plain.items():
        if (query, start) in stored:
            assert stored[query, start] == counters or kinds & {"kept", "ahead"}
        else:
            assert withheld & {(start, query), (start, "*"), (None, "*")}


async def _takes_back(worlds: Worlds) -> None:
    """After all that every post can still be deleted, once."""
    for part in worlds.parts:
        numbers = [int(number) for number in part.standing]
        await part.delete(*numbers)
        await part.delete(*numbers)
    assert await worlds.stored() == {}


@pytest.mark.parametrize("kind", sorted(PLACES))
@pytest.mark.parametrize("wrong", sorted(WHOLE))
def test_key_of_any_other_type_is_named_and_repaired(url: str, kind: str, wrong: str) -> None:
    key, _ = PLACES[kind]
    right = {
        "{p}:starts": "zset", "{p}:seen-hours": "zset", "{p}:kept-hours": "zset",
        "{p}:ahead-due": "zset", "{p}:seen:<hour>:<n>": "set", "{p}:authors:<start>:q": "",
    }.get(kind, "hash")  # fmt: skip
    if wrong == right:
        return

    def overwrite(client: Client) -> None:
        client.delete(key)
        WHOLE[wrong](client, key)

    asyncio.run(lives_through(url, overwrite, key))


VALUED = sorted(kind for kind, (_, field) in PLACES.items() if field is not None)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(VALUED), RUBBISH)
@example("{p}:pane:<start>", b"\x90")
def test_value_of_any_kind_is_named_and_repaired(url: str, kind: str, value: bytes) -> None:
    if not _is_rubbish(kind, value):
        return
    key, field = PLACES[kind]
    asyncio.run(lives_through(url, lambda client: client.hset(key, field, value), key))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(VALUES))
def test_known_rubbish_in_every_place_is_repaired(url: str, name: str) -> None:
    value = VALUES[name]
    for kind in ("{p}:pane:<start>", "{p}:strata:<start>", "{p}:kept:<hour>:<n>"):
        if _is_rubbish(kind, value):
            key, field = PLACES[kind]
            asyncio.run(lives_through(url, lambda c, k=key, f=field: c.hset(k, f, value), key))


@pytest.mark.parametrize("key", ["starts", "dirty", "seen-hours", "kept-hours", "ahead-due"])
def test_members_that_are_no_times_are_passed_over(url: str, key: str) -> None:
    def overwrite(client: Client) -> None:
        if key == "dirty":
            client.hset("{0}:dirty", mapping={b"\xff": b"\xff", "x": "", "1e3": "y"})
        else:
            client.zadd(f"{{0}}:{key}", {b"\xff": 0, "x": 1, "12.5": 12})

    asyncio.run(lives_through(url, overwrite, key))


@pytest.mark.parametrize("field", ["watermark", "closed", "forgotten"])
def test_time_far_ahead_in_a_cursor_is_no_time(url: str, field: str) -> None:
    year_9999 = 253_370_764_800 * (1_000 if field == "watermark" else 1)
    overwrite = {field: year_9999}
    asyncio.run(
        lives_through(url, lambda client: client.hset("{0}:cursor", mapping=overwrite), field)
    )


async def test_batch_with_what_is_no_integer_is_refused_by_name(url: str, client: Client) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        before = {key: client.dump(key) for key in client.scan_iter()}
        for counters, strata in (
            ([1, 2.0], {}), ([1, float("nan")], {}), ([2**53 + 1], {}), ([True], {}),
            ([1], {"s|en|none": [1, 1, 1.5, 0]}),
        ):  # fmt: skip
            batch = ApplyBatch(POSTS, 11, 12, panes={START_S: [("rail", counters, strata, ["a"])]})
            with pytest.raises(IncrementRefused, match=f"pane {START_S} of rail"):
                await store.apply(0, batch)
        with pytest.raises(IncrementRefused, match="watermark"):
            await store.apply(0, ApplyBatch(POSTS, 11, 12, watermark_ms=1.5))  # type: ignore[arg-type]
        with pytest.raises(IncrementRefused, match="total"):
            await store.apply(0, ApplyBatch(POSTS, 11, 12, totals={"counted": 2**60}))
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        assert await worlds.stored() == worlds.plain()
    finally:
        await store.close()


async def test_script_refuses_what_got_past_the_check_before_it(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApplyBatch, "_check", lambda _: None)
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        await Worlds.made(store)
        before = {key: client.dump(key) for key in client.scan_iter()}
        increments = [("all", [1], {}, ["a"]), ("rail", [1, 0.5], {}, ["a"])]
        with pytest.raises(IncrementRefused, match=f"pane {START_S} of rail, counter 2 is 0.5"):
            await store.apply(0, ApplyBatch(POSTS, 11, 12, panes={START_S: increments}))
        assert {key: client.dump(key) for key in client.scan_iter()} == before
    finally:
        await store.close()


async def test_sum_never_leaves_the_integers_in_silence(url: str, client: Client) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        await Worlds.made(store)
        client.hset(f"{{0}}:pane:{START_S}", "all", pack([2**53 - 1]))
        applied = await store.apply(
            0, ApplyBatch(POSTS, 11, 12, panes={START_S: [("all", [2], {}, ["a"])]})
        )
        assert applied.aside == (f"pane|{START_S}|all",)
        (entry,) = await store.quarantine([0])
        assert (entry.kind, entry.place) == ("pane", (str(START_S), "all"))
        assert (entry.posts, entry.events) == (11, 2)
    finally:
        await store.close()


async def test_share_that_is_repaired_while_it_is_read_is_not_shown_without_its_rest(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(RedisSettings(url=url), HORIZONS)
    try:
        worlds = await Worlds.made(store)
        client.hset(f"{{0}}:pane:{START_S}", "all", b"x")
        await worlds.parts[0].post()
        right = pane_reader._add_authors

        async def repair_in_between(*arguments: object) -> None:
            await right(*arguments)  # type: ignore[arg-type]
            monkeypatch.setattr(pane_reader, "_add_authors", right)
            assert (await worlds.repair(0)).left == []

        monkeypatch.setattr(pane_reader, "_add_authors", repair_in_between)
        assert ("all", START_S) not in await worlds.stored()
        assert await worlds.stored() == worlds.plain()
    finally:
        await store.close()
