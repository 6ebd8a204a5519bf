"""The only import of redis: the connection, its scripts, and its answers as our errors and values.

Every failure that a later try may mend (away, loading, no memory, disk full, read-only) is
`StoreUnavailable`: the caller waits and tries again, nothing is skipped. A value that cannot be
read is `StateUnreadable`, which only a repair mends.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import redis.asyncio as aioredis
from redis import exceptions as redis_errors

from core.errors import ConfigError, StateUnreadable, StoreUnavailable
from core.server_settings import CLUSTER_SCHEMES
from core.settings import RedisSettings
from stream.store.cluster import ClusterClient, NotACluster, connect_cluster, wrong_address

# Answers of Redis that pass by themselves or by an operator's hand; everything else is our mistake.
# A script's error has the answer inside its own words, with the dash of the protocol before it.
_PASSING: Final = re.compile(
    r"(?:^|[\s-])(?:OOM|MISCONF|LOADING|READONLY|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b"
)

# The client cuts the word off these before we see it.
_PASSING_KINDS: Final = (redis_errors.OutOfMemoryError, redis_errors.ReadOnlyError)

_WRONG_VALUE: Final = re.compile(r"WRONGTYPE|INVALIDOBJ|not an integer|would overflow")
_CLUSTER: Final = (
    "redis.url: a node of a Redis Cluster answers there{what}; expected one Redis that has all "
    "keys. Of a cluster name some nodes: redis+cluster://host:port,host:port (with TLS "
    "rediss+cluster://)"
)
_NO_CLUSTER: Final = (
    "redis.url: a Redis answers there that is no node of a Redis Cluster; expected one with "
    "`cluster-enabled yes`. Of one Redis begin the address with redis:// or rediss://"
)
UNREADABLE: Final = 2
"""First number of a script's answer if it could not read the partition."""


def connect(settings: RedisSettings) -> Any:
    """Return a client; redis-py's own types leave most returns unknown, ours begin here.

    Raises:
        ConfigError: The address names no node, or something of it is none.
    """
    options: dict[str, Any] = {
        "username": settings.username or None,
        "password": settings.password.reveal() or None,
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "protocol": 2,
    }
    if settings.url.startswith(CLUSTER_SCHEMES):
        return connect_cluster(settings.url, **options)
    # We retry ourselves: an apply that is tried again must be compared with the cursor.
    try:
        return cast(Any, aioredis.Redis).from_url(settings.url, retry=None, **options)
    except ValueError as error:
        raise wrong_address(error, "host:port") from None


@asynccontextmanager
async def redis_faults() -> AsyncGenerator[None]:
    """Turn what Redis and the network raise into our tree; our own mistakes pass unchanged.

    Raises:
        StoreUnavailable: A later try may mend it.
        ConfigError: A node of a Redis Cluster has not all keys, or one Redis is no cluster.
    """
    try:
        yield
    except NotACluster as error:
        raise ConfigError(_NO_CLUSTER) from error
    except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from error
    except redis_errors.AskError as error:  # MOVED is one of these
        raise ConfigError(
            _CLUSTER.format(what=f" (slot {error.slot_id} is not its own)")
        ) from error
    except redis_errors.ResponseError as error:
        if isinstance(error, _PASSING_KINDS) or _PASSING.search(str(error)):
            raise StoreUnavailable(f"Redis refuses for now: {str(error)[:200]}") from error
        raise


async def check_kind(client: Any) -> None:
    """Return if what answers is what the address says: one Redis, or a Redis Cluster.

    Raises:
        ConfigError: It is the other; also a cluster of one node that has all slots today.
        StoreUnavailable: Redis does not answer.
    """
    async with redis_faults():
        if isinstance(client, ClusterClient):
            await client.initialize()
            return
        # Not `redis_mode`: Valkey has another name for it.
        found: dict[str, Any] = await client.info("cluster")
    if found.get("cluster_enabled") == 1:
        raise ConfigError(_CLUSTER.format(what=" (cluster_enabled:1)"))


async def infos(client: Any) -> list[dict[str, Any]]:
    """Return what Redis says of itself; of a cluster each master.

    Raises:
        StoreUnavailable: Redis, or one of them, does not answer.
    """
    async with redis_faults():
        if not isinstance(client, ClusterClient):
            return [await client.info()]
        return [await client.info(target_nodes=node) for node in await client.masters()]


async def scan(client: Any, prefix: str, count: int = 1_000) -> AsyncGenerator[bytes]:
    """Yield the keys that begin so, some of them twice; of a cluster on every master.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    async with redis_faults():
        is_cluster = isinstance(client, ClusterClient)
        # A slot that is being moved has keys on two of them.
        nodes: list[Any] = await client.masters() if is_cluster else [None]
    for node in nodes:
        options = {"target_nodes": node} if is_cluster else {}
        cursor = 0
        while True:
            # The braces of a hash tag are plain letters to a pattern.
            asked = {"cursor": cursor, "match": f"{prefix}*", "count": count, **options}
            async with redis_faults():
                after, found = await client.scan(**asked)
            for key in found:
                yield key
            cursor = next(iter(after.values())) if is_cluster else after
            if not cursor:
                break


def is_wrong_value(answer: object) -> bool:
    """Tell whether an answer is Redis's refusal of a value: of another type, or no number."""
    return isinstance(answer, redis_errors.ResponseError) and bool(_WRONG_VALUE.search(str(answer)))


async def answers(pipe: Any) -> list[Any]:
    """Carry out a pipeline; what Redis refuses for its value stays in its place in the list.

    Raises:
        StoreUnavailable: Redis did not answer, or refuses for now.
    """
    async with redis_faults():
        found: list[Any] = await pipe.execute(raise_on_error=False)
        for answer in found:
            if isinstance(answer, Exception) and not is_wrong_value(answer):
                raise answer
    return found


def ask_fields(pipe: Any, key: str, names: Sequence[str] | None) -> None:
    """Ask for fields of a hash, or for all of them; `by_field` reads the answer."""
    if names is None:
        pipe.hgetall(key)
    else:
        pipe.hmget(key, list(names))


def by_field(answer: Any, names: Sequence[str] | None) -> Any:
    """Return field -> value of an answer to `ask_fields`; what Redis refused stays as it is."""
    if names is None or is_wrong_value(answer):
        return answer
    named = zip(names, answer, strict=True)
    return {name.encode(): value for name, value in named if value is not None}


def now_ms() -> int:
    """Return the present time, ms since 1970: for people, and to know what lies far beyond it."""
    return time.time_ns() // 1_000_000


def readable(partition: int, answer: Any) -> Any:
    """Return a script's answer.

    Raises:
        StateUnreadable: It says that something of the partition cannot be read.
    """
    listed = cast("list[Any]", answer) if isinstance(answer, list) else []
    if listed and listed[0] == UNREADABLE:
        key, field, found, expected = (
            part.decode(errors="backslashreplace") for part in listed[1:5]
        )
        raise StateUnreadable(partition, f"{key} {field}".strip(), found, expected)
    return cast(Any, answer)
