"""Looks at broker and store over plain sockets, past every proxy and every client of the system."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Final

from services.local.ports import LOOPBACK

PROBE_TIMEOUT_S: Final = 2.0
_LIST_OFFSETS_KEY: Final = 2
_LATEST: Final = -1

Reply = bytes | int | None | list["Reply"]


class NoAnswer(Exception):
    """The server is away, refuses, or says what was not expected."""


class RedisLine:
    """One connection to Redis, speaking RESP 2; made anew after every failure.

    Raises:
        NoAnswer: Every call raises it while Redis is away.
    """

    def __init__(self, port: int, timeout_s: float = PROBE_TIMEOUT_S, host: str = LOOPBACK) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._buffer = b""

    def ask(self, *words: str | int) -> Reply:
        """Send one command and return its reply."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Sequence[Sequence[str | int]]) -> list[Reply]:
        """Send commands in one go and return their replies."""
        request = b"".join(_encoded(words) for words in commands)
        try:
            if self._socket is None:
                self._socket = socket.create_connection((self._host, self._port), self._timeout_s)
                self._buffer = b""
            self._socket.sendall(request)
            return [self._reply() for _ in commands]
        except (OSError, ValueError, NoAnswer) as error:
            self.close()
            raise NoAnswer(f"Redis: {error}") from error

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _reply(self) -> Reply:
        line = self._until(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise NoAnswer(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"*":
            return [self._reply() for _ in range(size)]
        if kind != b"$":
            raise NoAnswer(f"unknown reply {line[:20]!r}")
        while len(self._buffer) < size + 2:
            self._receive()
        value, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return value

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(end)
        return line

    def _receive(self) -> None:
        chunk = self._socket.recv(262_144) if self._socket is not None else b""
        if not chunk:
            raise NoAnswer("the connection was closed")
        self._buffer += chunk


def _encoded(words: Sequence[str | int]) -> bytes:
    parts = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)])


def end_offsets(port: int, topic: str, partitions: int) -> list[int]:
    """Return the offset after the last record of each partition, by one ListOffsets request (v1).

    Raises:
        NoAnswer: There is no broker, no topic, or no leader yet.
    """
    name = topic.encode()
    asked = b"".join(struct.pack(">iq", number, _LATEST) for number in range(partitions))
    body = (
        struct.pack(">hhih", _LIST_OFFSETS_KEY, 1, 1, -1)
        + struct.pack(">iih", -1, 1, len(name))
        + name
        + struct.pack(">i", partitions)
        + asked
    )
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as line:
            line.sendall(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", _exactly(line, 4))
            reply = _exactly(line, size)
    except (OSError, struct.error) as error:
        raise NoAnswer(f"Kafka: {error}") from error
    return _offsets(reply, 4 + 4 + 2 + len(name), partitions)


def _offsets(reply: bytes, start: int, partitions: int) -> list[int]:
    """Read the partitions of a reply: correlation id, one topic, then (number, error, time, at)."""
    try:
        (count,) = struct.unpack_from(">i", reply, start)
        found: dict[int, int] = {}
        for row in range(count):
            number, error, _time, offset = struct.unpack_from(">ihqq", reply, start + 4 + 22 * row)
            if error:
                raise NoAnswer(f"Kafka: error {error} for partition {number}")
            found[number] = offset
        return [found[number] for number in range(partitions)]
    except (struct.error, KeyError) as error:
        raise NoAnswer(f"Kafka: unreadable answer: {error!r}") from error


def _exactly(line: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = line.recv(size - len(received))
        if not chunk:
            raise NoAnswer("Kafka: the connection was closed")
        received += chunk
    return received
