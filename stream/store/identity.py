"""Whose state it is: the Kafka cluster from whose topics a store was filled.

Cursors are offsets. Those of one cluster mean nothing in another, and nothing in them tells: a
worker that is led to another stack's Redis would seek to its offsets and add to its windows.
"""

from __future__ import annotations

from typing import Any

from core.errors import ConfigError
from stream.store import keys
from stream.store.client import answers, check_kind, redis_faults

_OTHERS = (
    "redis.url: what is stored there was counted from the Kafka cluster {stored!r}, and the broker "
    "is of {own!r}, whose offsets are others. Is it the Redis of another stack: give this one its "
    "own. Was the broker made anew: begin anew in Redis too (`groundswell up --fresh`, or a new or "
    "emptied Redis). Were topics moved to the new cluster with their offsets: delete the key {key}"
)


class StoreIdentity:
    """The cluster to which what a store holds belongs: written on first use, compared after.

    A store that was filled before there was such a key, or that was emptied, takes the cluster of
    who comes first.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def claim(self, cluster_id: str) -> None:
        """Return if the state is of this cluster, or of none yet; "" is not known, and passes.

        Raises:
            ConfigError: It is of another cluster, or the address is of one Redis and a cluster
                answers, or the other way round; the message says what to do.
            StoreUnavailable: Redis does not answer.
        """
        # First: a node without the key's slot answers nothing else.
        await check_kind(self._redis)
        if not cluster_id:
            return
        if await self._stored() is None:  # also while memory is full, reading is possible
            async with redis_faults():
                await self._redis.set(keys.CLUSTER, cluster_id, nx=True)
        await self.check(cluster_id)

    async def check(self, cluster_id: str) -> None:
        """Return as `claim` does, and write nothing.

        Raises:
            ConfigError: It is of another cluster; the message says what to do.
            StoreUnavailable: Redis does not answer.
        """
        stored = await self._stored() if cluster_id else None
        if stored is not None and stored != cluster_id:
            raise ConfigError(_OTHERS.format(stored=stored, own=cluster_id, key=keys.CLUSTER))

    async def _stored(self) -> str | None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(keys.CLUSTER)
        (stored,) = await answers(pipe)
        if isinstance(stored, Exception):  # another type: somebody wrote over it
            return f"unreadable: {stored}"
        return None if stored is None else stored.decode(errors="backslashreplace")
