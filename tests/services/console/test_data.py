"""What is read of the store: the windows that are asked for, and of thousands of others nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis

from core.clock import ManualClock
from core.settings import QuerySettings, RedisSettings, Settings
from services.bootstrap import make_store
from services.console.data import PanesFound
from services.console.stream_data import StreamData
from services.local.redis_server import RedisServer
from services.windows_view import PaneView, all_panes
from stream.queries import CatalogError, QueryCatalog, watcher
from stream.store import keys, pane_reader
from stream.store.increments import ApplyBatch
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.records import Published
from testkit.builders import NOON
from testkit.console import PANE_S, START_S

pytestmark = pytest.mark.integration

DATABASE = 6
QUERIES = [f"q{n:03}" for n in range(200)]
PANES = 5
PARTITIONS = (0, 1)
END_S = START_S + PANES * PANE_S


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    found = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(found) as client:
        client.flushdb()
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[RedisStore]:
    """Give a store of 200 queries in five panes of two partitions, four of which have closed."""
    made = make_store(Settings(redis=RedisSettings(url=url)))
    for partition in PARTITIONS:
        for number in range(PANES):
            at = START_S + number * PANE_S
            rows: list[Any] = [
                (query, [n + 1, 1, 500_000, 250_000], {"s|en|none": [n + 1, 1, 2, 3]}, ["a", "b"])
                for n, query in enumerate(QUERIES)
            ]
            batch = ApplyBatch(POSTS, number - 1, number, (at + PANE_S) * 1000, {at: rows})
            await made.apply(partition, batch)
    await made.close_through(list(PARTITIONS), END_S - PANE_S)
    epoch = await made.begin_closing()
    await made.set_revisions(epoch, {START_S: {"q007": Published(2, "d", True)}})
    yield made
    await made.close()


@pytest.fixture
async def data(url: str, store: RedisStore) -> AsyncIterator[StreamData]:
    made = StreamData(Settings(redis=RedisSettings(url=url)), ManualClock(NOON))
    yield made
    await made.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Take note of each share of a pane that is decoded."""
    seen: list[bytes] = []
    decode = pane_reader.counters_of

    def noting(packed: bytes) -> list[int]:
        seen.append(packed)
        return decode(packed)

    monkeypatch.setattr(pane_reader, "counters_of", noting)
    return seen


async def whole(store: RedisStore) -> dict[str, dict[int, PaneView]]:
    """Return every pane as a reader of all of them sees it."""
    found: dict[str, dict[int, PaneView]] = {}
    async for pane in all_panes(store, PANE_S):
        found.setdefault(pane.query, {})[pane.start_s] = pane
    return found


async def test_for_one_query_the_panes_of_that_query_alone_are_decoded(
    data: StreamData, store: RedisStore, decoded: list[bytes]
) -> None:
    expected = await whole(store)
    assert len(decoded) == len(QUERIES) * PANES * len(PARTITIONS)
    decoded.clear()
    assert (await data.panes("q007", START_S, END_S)).panes == expected["q007"]
    assert len(decoded) == PANES * len(PARTITIONS)
    assert expected["q007"][START_S].revision == 2


async def test_a_page_of_queries_costs_its_own_queries(
    data: StreamData, store: RedisStore, decoded: list[bytes]
) -> None:
    expected = await whole(store)
    decoded.clear()
    asked = QUERIES[50:60]
    found = await data.panes_of(asked, 3)
    assert len(decoded) == len(asked) * 3 * len(PARTITIONS)
    for query in asked:
        assert found[query].panes == {
            at: pane for at, pane in expected[query].items() if at >= END_S - 3 * PANE_S
        }
    assert await data.panes_of([], 3) == {}


async def test_the_order_of_queries_costs_one_pane_of_each(
    data: StreamData, decoded: list[bytes]
) -> None:
    bounds, posts = await data.busiest()
    assert bounds.last_closed_s == END_S - 2 * PANE_S
    assert posts == {query: 2 * (n + 1) for n, query in enumerate(QUERIES)}
    assert len(decoded) == len(QUERIES) * len(PARTITIONS)


async def test_a_query_that_is_not_there_has_no_panes(data: StreamData) -> None:
    assert await data.panes("never", START_S, END_S) == PanesFound()


async def test_what_cannot_be_read_is_missing_of_its_query_alone(
    data: StreamData, url: str
) -> None:
    with redis.Redis.from_url(url) as client:
        client.hset(keys.pane(0, START_S), "q007", b"rubbish")
        client.set(keys.authors(1, START_S + PANE_S, "q008"), b"no registers")
        client.delete(keys.strata(1, END_S - PANE_S))
        client.set(keys.strata(1, END_S - PANE_S), b"of another type")
    broken = {"q007": {START_S}, "q008": {START_S + PANE_S}, "q009": set[int]()}
    for query, starts in broken.items():
        found = await data.panes(query, START_S, END_S)
        assert found.missing == starts | {END_S - PANE_S}
        assert set(found.panes) == set(range(START_S, END_S, PANE_S)) - found.missing


async def test_which_partitions_there_are_is_asked_for_once_for_all_who_look(
    data: StreamData, url: str
) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_resetstat()
        for query in QUERIES[:5]:
            await data.panes(query, START_S, END_S)
            await data.bounds()
        asked = client.info("commandstats")["cmdstat_exists"]["calls"]
    assert asked == 2 * keys.MAX_PARTITIONS


async def test_the_file_of_queries_is_read_again_when_it_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, parsed, clock = tmp_path / "queries.toml", list[bytes](), ManualClock(NOON)
    parse = watcher.parse_catalog

    def noting(content: bytes, at: Path) -> QueryCatalog:
        parsed.append(content)
        return parse(content, at)

    monkeypatch.setattr(watcher, "parse_catalog", noting)
    path.write_text('[queries.trains]\nexpression = "train"\n')
    made = StreamData(Settings(queries=QuerySettings(path=str(path))), clock)

    async def names() -> list[str]:
        clock.advance(60)
        return [one.name for one in (await made.catalog()).queries]

    try:
        assert await names() == await names() == ["trains"]
        assert len(parsed) == 1
        path.write_text("[queries.trains\n")
        for _ in range(2):
            with pytest.raises(CatalogError, match="queries"):
                await names()
        path.write_text('[queries.floods]\nexpression = "flood"\n')
        assert await names() == ["floods"]
    finally:
        await made.close()
