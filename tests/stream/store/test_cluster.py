"""What a cluster does beside answering: masters die, slots move, replicas lag; nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio.connection import Connection
from redis.crc import key_slot

from core.errors import ConfigError, CursorConflict, StoreUnavailable
from core.settings import RedisSettings
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.increments import ApplyBatch
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from testkit import local as testing
from testkit.redis_cluster import ClusterNode, RedisClusterServers, redis_cluster
from testkit.sleeping import asleep
from testkit.waiting import wait_until
from tests.stream.store.servers import raw_client
from tests.stream.store.worlds import HORIZONS

pytestmark = pytest.mark.integration

START = 1_772_366_400
P = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(autouse=True)
def emptied(cluster: RedisClusterServers) -> None:
    with raw_client(cluster.url) as client:
        client.flushdb()


@pytest_asyncio.fixture
async def store(cluster: RedisClusterServers) -> AsyncIterator[RedisStore]:
    made = RedisStore(RedisSettings(url=cluster.url, timeout_s=5), HORIZONS)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def careful(cluster: RedisClusterServers) -> AsyncIterator[RedisStore]:
    """A store that wants a replica to have what it applies, and gives it all the time it needs."""
    settings = RedisSettings(url=cluster.url, timeout_s=60, wait_replicas=1, wait_timeout_s=50)
    made = RedisStore(settings, HORIZONS)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def impatient(cluster: RedisClusterServers) -> AsyncIterator[RedisStore]:
    """One that gives up soon: for a replica that certainly sleeps."""
    settings = RedisSettings(url=cluster.url, timeout_s=5, wait_replicas=1, wait_timeout_s=0.2)
    made = RedisStore(settings, HORIZONS)
    yield made
    await made.close()


def _batch(expected: int, minute: int = 0) -> ApplyBatch:
    start = START + 60 * minute
    batch = ApplyBatch(POSTS, expected, expected + 1, start * 1000)
    batch.panes = {start: [("all", [1, 1, 5], {"s|en|none": [1, 1, 5, 0]}, ["ana"])]}
    batch.seen = {(start // 3600, 3): [str(expected)]}
    batch.totals["counted"] = 1
    return batch


async def _patiently(attempt: Any) -> Any:
    """Try until the store is back, as a worker does; its next try is the wait."""
    for _ in range(1_000):
        try:
            return await attempt()
        except StoreUnavailable:
            continue
    raise AssertionError("the store is away for good")


async def _posts(store: RedisStore) -> int:
    panes = await _patiently(lambda: store.pane([P], START))
    return panes["all"].counters[0] if panes else 0


async def test_every_key_has_a_tag_and_lies_where_its_tag_lies(
    cluster: RedisClusterServers, careful: RedisStore
) -> None:
    for partition in range(8):
        await careful.apply(partition, _batch(-1))
        await careful.repairs.look_again([partition], [START])
    await careful.identity.claim("g-one")
    epoch = await careful.begin_closing()
    await careful.alerts.save(epoch, "", "one", what=_save())
    await careful.responses.keep({"a": 1})
    with raw_client(cluster.url) as client:
        found = {key: client.cluster_keyslot(key) for key in client.scan_iter()}
    assert len(found) > 8 * 6
    for key, slot in found.items():
        tag = key[: key.index(b"}") + 1]
        assert tag.startswith(b"{"), key
        assert tag[1:-1] in {b"closer", b"responder"} or 0 <= int(tag[1:-1]) < 8
        assert slot == key_slot(tag) == key_slot(keys.absent(key.decode()).encode())
        assert not key.endswith(b":absent")


def _save() -> Any:
    from stream.store.alert_state import JudgeSave

    return JudgeSave(states={"all": b"x"}, known=b"y")


async def test_a_killed_master_is_waited_for_and_everybody_finds_the_new_one(
    cluster: RedisClusterServers, store: RedisStore
) -> None:
    await store.apply(P, _batch(-1))
    reader = RedisStore(RedisSettings(url=cluster.url, timeout_s=5), HORIZONS)
    assert await _posts(reader) == 1  # it knows the old one, and asks in pipelines alone
    master = cluster.master_of(keys.cursor(P))
    replica = cluster.replica_of(master)
    wait_until(lambda: replica.ask("EXISTS", keys.cursor(P)) != "0", "replication")
    master.kill()
    with pytest.raises(StoreUnavailable):
        await store.apply(P, _batch(0))
    wait_until(lambda: replica.is_master, "a failover")
    await _patiently(lambda: store.apply(P, _batch(0)))
    assert await _posts(store) == await _posts(reader) == 2
    assert await _patiently(store.partitions) == [P]
    assert (await _patiently(store.health)).keys > 0
    await reader.close()
    cluster.bring_back(master)


async def test_a_replica_that_lacks_the_last_applies_brings_cursor_and_panes_back_together(
    cluster: RedisClusterServers, store: RedisStore
) -> None:
    await store.apply(P, _batch(-1))
    master = cluster.master_of(keys.cursor(P))
    replica = cluster.replica_of(master)
    wait_until(lambda: replica.ask("WAIT", 0, 0) and _has(replica, 0), "replication")
    with asleep([replica]):
        master.ask("CLIENT", "KILL", "TYPE", "replica")
        await store.apply(P, _batch(0))
        await store.apply(P, _batch(1))
        master.kill()
    wait_until(lambda: replica.is_master, "a failover")
    with pytest.raises(CursorConflict) as conflict:
        await _patiently(lambda: store.apply(P, _batch(2)))
    assert conflict.value.stored == 0, "the last two applies were never lost: nothing is shown"
    assert await _posts(store) == 1
    for expected in (0, 1, 2):  # what a worker does that goes back to the cursor
        await _patiently(lambda e=expected: store.apply(P, _batch(e)))
    assert await _posts(store) == 4
    cluster.bring_back(master)


def _has(node: ClusterNode, cursor: int) -> bool:
    with node_client(node) as client:
        client.execute_command("READONLY")
        return client.hget(keys.cursor(P), POSTS) == str(cursor).encode()


@contextmanager
def node_client(node: ClusterNode) -> Iterator[Any]:
    with raw_client(node.url) as client:
        yield client


async def test_an_apply_that_too_few_replicas_have_is_refused_until_they_have_it(
    cluster: RedisClusterServers, careful: RedisStore, impatient: RedisStore
) -> None:
    await careful.apply(P, _batch(-1))
    replica = cluster.replica_of(cluster.master_of(keys.cursor(P)))
    with asleep([replica]):
        for _ in range(2):  # the second finds it done, and is refused as well
            with pytest.raises(StoreUnavailable, match=r"0 of 1 replicas.*redis\.wait_replicas"):
                await impatient.apply(P, _batch(0))
    # The node may have been taken for dead meanwhile, or its master.
    with pytest.raises(CursorConflict) as conflict:
        await _patiently(lambda: careful.apply(P, _batch(0)))
    assert conflict.value.stored == 0 + 1
    assert await _posts(careful) == 2
    cluster.wait_whole()


async def test_a_slot_that_is_being_moved_refuses_scripts_whole_and_then_serves_elsewhere(
    cluster: RedisClusterServers, store: RedisStore
) -> None:
    for expected in range(-1, 3):
        await store.apply(P, _batch(expected))
    source = cluster.master_of(keys.cursor(P))
    target = next(n for n in cluster.nodes if n.is_master and n is not source)
    slot = source.ask("CLUSTER", "KEYSLOT", keys.cursor(P))
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
    names = source.ask_list("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
    assert len(names) > 4
    before = _dumps(source, names)
    for name in [None, *names]:
        if name is not None:
            answer = source.ask("MIGRATE", "127.0.0.1", target.port, name, 0, 5_000)
            assert answer == "OK"
        with pytest.raises(StoreUnavailable, match=r"is being moved|TTL|TRYAGAIN"):
            await store.apply(P, _batch(3))
        with pytest.raises(StoreUnavailable):
            await store.seen(P, [("0", 3, [START // 3600])], first=4)
        with pytest.raises(StoreUnavailable):
            await store.repairs.reset_partition(P, {POSTS: 4})
    assert _dumps(target, names) == before, "something was written to a half of the slot"
    for node in (target, source):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.node_id)
    await _patiently(lambda: store.apply(P, _batch(3)))
    assert await _posts(store) == 5
    assert await _patiently(store.partitions) == [P]


def _dumps(node: ClusterNode, names: list[str]) -> dict[str, object]:
    with raw_client(node.url) as client:
        found: dict[str, object] = {}
        for name in names:
            client.execute_command("ASKING")
            found[name] = client.dump(name)
        return found


async def test_a_connection_that_is_closed_while_it_is_used_is_a_store_that_is_away(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.apply(P, _batch(-1))
    check_health = Connection.check_health

    async def close(self: Connection, *_: object) -> None:
        """What the library does to the connections of a node that has left the map of slots."""
        await self.disconnect(nowait=True)

    monkeypatch.setattr(Connection, "check_health", close)
    with pytest.raises(StoreUnavailable, match="closed while it was in use"):  # a script
        await store.apply(P, _batch(0))
    with pytest.raises(StoreUnavailable):  # a pipeline
        await store.pane([P], START)
    monkeypatch.setattr(Connection, "check_health", check_health)
    await store.apply(P, _batch(0))
    assert await _posts(store) == 2


@pytest.mark.parametrize("cluster_id", ["g-one", ""])
async def test_one_redis_behind_the_address_of_a_cluster_is_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, cluster_id: str
) -> None:
    with testing.redis_server(tmp_path_factory.mktemp("one")) as server:
        assert isinstance(server, RedisServer)
        store = RedisStore(RedisSettings(url=f"redis+cluster://127.0.0.1:{server.port}"), HORIZONS)
        with pytest.raises(ConfigError, match=r"redis\.url.*no node of a Redis Cluster.*redis://"):
            await store.identity.claim(cluster_id)
        await store.close()
