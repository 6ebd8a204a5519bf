"""What all clients of Kafka have in common: options, errors, partitions, leaving nothing open."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from weakref import WeakSet

from kafka import KafkaProducer
from kafka import errors as kafka_errors
from kafka.net import KafkaNetSocket
from kafka.partitioner import murmur2

from core import reasons
from core.errors import BrokerUnavailable, ConfigError, DecodeError, FatalError
from core.settings import KafkaSettings
from stream.cluster import check_cluster

# The client reports every failed connection of a broker that is away as an error of its own;
# we say it once, in our words, and retry.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

CONNECT_TIMEOUT_MS: Final = 10_000
RECONNECT_BACKOFF_MAX_MS: Final = 2_000
_POSITIVE_INT: Final = 0x7FFFFFFF

_REFUSED_FOR_GOOD: Final = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.InvalidTopicError,
)
_TOO_LARGE: Final = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)


@contextmanager
def our_errors(doing: str) -> Iterator[None]:
    """Turn an error of the client into one of ours; `doing` starts the message."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise our_error(error, doing) from error
    except OSError as error:
        raise BrokerUnavailable(f"{doing}: {error}") from error


def our_error(error: BaseException, doing: str) -> Exception:
    """Return an error of the client as one of ours; `doing` starts the message."""
    # Errors of the client say their own name first.
    name = type(error).__name__
    found = f"{doing}: {name}: {str(error).removeprefix(f'{name}: ')[:300]}"
    if isinstance(error, _TOO_LARGE):
        return DecodeError(reasons.TOO_LARGE, found)
    if isinstance(error, _REFUSED_FOR_GOOD):
        return FatalError(found)
    if isinstance(error, kafka_errors.KafkaConfigurationError):
        return ConfigError(found)
    return BrokerUnavailable(found)


class _ClosingSelector(selectors.DefaultSelector):
    """Closes what its client leaves open.

    kafka-python 3 closes no connection that has something to send in that moment, and forgets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: WeakSet[Any] = WeakSet()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector.register`; remembers the socket."""
        if not isinstance(fileobj, int):
            self._seen.add(fileobj)
        return super().register(fileobj, events, data)

    def close(self) -> None:
        """Called by the client when it is closed; nothing of it is used any more."""
        super().close()
        for left in list(self._seen):
            left.close()


_library_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(
    self: KafkaNetSocket, net: Any, sock: Any, sockaddr: Any, timeout_at: Any = None
) -> Any:
    """Close the socket of a connection that does not come about; kafka-python 3 just drops it."""
    try:
        return await _library_connect(self, net, sock, sockaddr, timeout_at=timeout_at)
    except BaseException:  # its tasks are cancelled by GeneratorExit
        sock.close()
        raise


KafkaNetSocket.sock_connect = _connect_or_close


def make_client(kind: type[Any], *topics: str, cluster_id: str = "", **options: Any) -> Any:
    """Return a client of the library; its thread and sockets end if it cannot be made.

    Left to itself kafka-python keeps them for as long as the process lives, each time.

    Raises:
        ConfigError: The broker is of another cluster than `cluster_id`, if that is known.
    """
    opened: list[Any] = []

    def open_network(**found: Any) -> Any:
        opened.append(kind.DEFAULT_CONFIG["kafka_client"](**found))
        return opened[-1]

    try:
        client = kind(*topics, **options, kafka_client=open_network)
    except BaseException:
        for network in opened:
            network.close()
        raise
    try:
        check_cluster(cluster_of(client), cluster_id)
    except ConfigError:
        client.close()
        raise
    return client


def cluster_of(client: Any) -> str:
    """Return the id of the cluster that a client is connected to, "" if it was not told."""
    is_producer = isinstance(client, KafkaProducer)
    found: Any = client
    return (found._metadata if is_producer else found._manager.cluster).cluster_id or ""


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return what every client needs: addresses, time-outs, TLS and SASL."""
    options: dict[str, Any] = {
        "bootstrap_servers": [s.strip() for s in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
        "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
        "reconnect_backoff_max_ms": RECONNECT_BACKOFF_MAX_MS,
        "selector": _ClosingSelector,
        "cluster_id": settings.cluster_id,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.reveal(),
        }
    if settings.ssl_ca_file:
        options["ssl_cafile"] = settings.ssl_ca_file
    return options


@lru_cache(maxsize=65_536)
def _positive_hash(key: bytes) -> int:
    # murmur2 in Python costs several microseconds; the busy authors come again and again
    return murmur2(key) & _POSITIVE_INT


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Java's default partitioner chooses it.

    Example:
        >>> partition_of(b"kafka", 4), partition_of(b"groundswell", 4)
        (0, 2)
    """
    return _positive_hash(key) % partitions
