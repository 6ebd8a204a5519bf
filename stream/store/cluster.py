# redis-py leaves most types of its cluster unknown; ours begin outside this file.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""A Redis Cluster behind the one store: `redis+cluster://host:port,host:port`.

What a cluster does beside answering is ordinary unavailability: a slot that has moved or is being
moved, a master that is down, a failover. The call has failed, the map of slots is asked for anew
before the next one, and the caller tries again as it does with any store that is away.

A redirection by `ASK` is never followed. The client would send `ASKING` and the command over two
connections; and a script there would find a half of its keys, take the other half for empty, and
count it from zero.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import cluster as _library
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.errors import ConfigError

_RedisCluster: Any = _library.RedisCluster
_Pipeline: Any = _library.ClusterPipeline
_AWAY: Final = (
    redis_errors.AskError,  # MOVED is one of these
    redis_errors.TryAgainError,
    redis_errors.ClusterError,  # CLUSTERDOWN, and a redirection that was not followed
    redis_errors.SlotNotCoveredError,
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,  # a master until a moment ago
)
_NO_CLUSTER: Final = "cluster support disabled"
_HARMLESS: Final = re.compile(r"Invalid value for '|Port out of range|Invalid IPv6 URL")
"""What the library says of an address without quoting it."""
_CONNECTIONS: Final = 2**31
"""To a node at most: as many as are in use at once, as with one Redis."""


class ClusterAway(redis_errors.ConnectionError):
    """The cluster does not carry the command out now; a later try may."""


class NotACluster(Exception):
    """A Redis answers that is not in cluster mode."""


class ClusterClient(_RedisCluster):
    """The library's client of a cluster, without its own tries and redirections.

    Attributes:
        seeds: The nodes that the address names: asked again when none of the known ones answers.
    """

    # A redirection is noted and not followed: what follows it is the caller's next try.
    RedisClusterRequestTTL = 1

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seeds = dict(self.nodes_manager.startup_nodes)

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """Ask for the map of slots, if it is not known or was proved wrong."""
        if not self._initialize:
            return self
        # Nodes that were found take the places of those that were given; of a cluster that has
        # moved as a whole none is left.
        for name, node in self.seeds.items():
            self.nodes_manager.startup_nodes.setdefault(name, node)
        try:
            return await super().initialize(*args, **kwargs)
        except redis_errors.RedisClusterException as error:
            if _NO_CLUSTER in f"{error} {error.__cause__ and error.__cause__.__context__}":
                raise NotACluster(str(error)) from error
            raise ClusterAway(str(error)) from error

    def forget(self) -> None:
        """Ask for the map of slots anew before the next command; connections stay."""
        self._initialize = True

    async def aclose(self) -> None:
        """Close the connections, also when the map of slots is to be asked for anew."""
        self._initialize = False  # else the library takes it for closed
        await super().aclose()
        for node in self.seeds.values():
            await node.disconnect()

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Carry out a command on the node that has its key.

        Raises:
            ClusterAway: It is not carried out now, or nobody knows whether it was.
        """
        await self.initialize()  # before the node is chosen: else it is any
        try:
            return await super().execute_command(*args, **kwargs)
        except Exception as error:
            if not _is_away(error):
                raise
            self.forget()
            raise ClusterAway(_told(error)) from error

    def pipeline(self, transaction: bool | None = None, shard_hint: Any = None) -> Any:
        """Return a pipeline; commands of several slots, so no transaction (`together` is one)."""
        del shard_hint
        if transaction:
            raise ValueError("no transaction over several slots")
        return _ClusterPipe(self)

    async def masters(self) -> list[Any]:
        """Return the masters, in any order."""
        await self.initialize()
        found: list[Any] = list(self.get_primaries())
        random.shuffle(found)
        return found


class _ClusterPipe(_Pipeline):
    """The library's pipeline: what is not carried out now stands in its place as `ClusterAway`."""

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = False) -> Any:
        """Carry out the commands, those of each node in their order.

        Raises:
            ClusterAway: A node does not answer.
        """
        del allow_redirections
        client = self.cluster_client
        try:
            found: list[Any] = await super().execute(raise_on_error=False, allow_redirections=False)
        except Exception as error:
            if not _is_away(error):
                raise
            client.forget()
            raise ClusterAway(_told(error)) from error
        for place, answer in enumerate(found):
            if isinstance(answer, Exception) and _is_away(answer):
                client.forget()
                found[place] = ClusterAway(_told(answer))
        if raise_on_error:
            for answer in found:
                if isinstance(answer, Exception):
                    raise answer
        return found


def connect_cluster(url: str, **options: Any) -> ClusterClient:
    """Return a client of the cluster of which `url` names nodes; it connects on first use.

    Args:
        url: `redis+cluster://` or `rediss+cluster://` (TLS), one or more `host:port` with commas
            between them, options as a query; a database only if it is 0.
        options: Of the connections; what the address says goes before.

    Raises:
        ConfigError: The address names no node, or something of it is none.
    """
    scheme, hosts, rest = _parts(url)
    nodes: list[Any] = []
    found: dict[str, Any] = {}
    for host in hosts:
        try:
            found = dict(cast("dict[str, Any]", parse_url(f"{scheme}://{host}{rest}")))
        except ValueError as error:
            raise wrong_address(error, "host:port,host:port") from None
        if "host" not in found:
            raise ConfigError("redis.url: a node without a host; expected host:port,host:port")
        nodes.append(cast(Any, _library.ClusterNode)(found.pop("host"), found.pop("port", 6379)))
    if found.pop("db", 0):
        raise ConfigError("redis.url: a cluster has database 0 alone")
    if found.pop("connection_class", None) is SSLConnection:
        found["ssl"] = True
    try:
        return ClusterClient(
            startup_nodes=nodes,
            retry=Retry(NoBackoff(), 0),
            max_connections=_CONNECTIONS,
            reinitialize_steps=0,  # else every fifth redirection closes what others are using
            **{**options, **found},
        )
    except TypeError as error:  # as it refuses what it does not know, or is given twice
        raise ConfigError(f"redis.url: an option that is not of a cluster: {error}") from None


def wrong_address(error: ValueError, expected: str) -> ConfigError:
    """Return what is wrong with `redis.url`, without what stands in it: that may be a secret."""
    said = str(error)
    told = said if _HARMLESS.match(said) else "a host or port is none"
    return ConfigError(f"redis.url: {told}; expected {expected}")


def _parts(url: str) -> tuple[str, Sequence[str], str]:
    """Return the scheme without `+cluster`, the nodes with the user before each, and the rest.

    Example:
        >>> _parts("rediss+cluster://me@a:1,b:2/0?ssl_ca_certs=ca.pem")
        ('rediss', ['me@a:1', 'me@b:2'], '/0?ssl_ca_certs=ca.pem')
    """
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise wrong_address(error, "host:port,host:port") from None
    user, at, hosts = split.netloc.rpartition("@")
    listed = [f"{user}{at}{host}" for host in hosts.split(",") if host]
    if not listed:
        raise ConfigError("redis.url: no node is named; expected host:port,host:port")
    query = f"?{split.query}" if split.query else ""
    return split.scheme.removesuffix("+cluster"), listed, f"{split.path}{query}"


def _is_away(error: Exception) -> bool:
    """Tell whether an error says that the cluster does not answer now.

    A node that leaves the map of slots has its connections closed by the library under those who
    are using them; these then find no stream to write to, which comes as an `AttributeError`.
    """
    return isinstance(error, _AWAY) or _was_closed(error)


def _was_closed(error: Exception) -> bool:
    return isinstance(error, AttributeError) and error.obj is None


def _told(error: Exception) -> str:
    """Return what has happened, with the slot where that is known."""
    if _was_closed(error):
        return "the connection was closed while it was in use"
    if isinstance(error, redis_errors.AskError):
        kind = "has moved" if isinstance(error, redis_errors.MovedError) else "is being moved"
        return f"slot {error.slot_id} {kind} to {error.host}:{error.port}"
    return str(error) or type(error).__name__
