"""The panes of a store and the place of a scoring, read without any client of the system."""

from __future__ import annotations

from typing import cast

import msgspec

from services.kafka_client.messages import Record
from testkit.chaos.books import Books, Where
from testkit.chaos.probes import RedisLine, Reply

_ints = msgspec.msgpack.Decoder(list[int])
_strata = msgspec.msgpack.Decoder(dict[str, list[int]])


def read_panes(line: RedisLine, partitions: int, books: Books) -> None:
    """Read counters and running totals of every partition into the books.

    Raises:
        NoAnswer: The store does not answer.
    """
    for partition in range(partitions):
        prefix = f"{{{partition}}}:"
        books.totals[partition] = {
            name: int(value) for name, value in pairs_of(line.ask("HGETALL", f"{prefix}cursor"))
        }
        starts = cast("list[bytes]", line.ask("ZRANGE", f"{prefix}starts", 0, -1))
        for start in map(int, starts):
            for query, packed in pairs_of(line.ask("HGETALL", f"{prefix}pane:{start}")):
                books.panes[partition, query, start] = _ints.decode(packed)
            for query, packed in pairs_of(line.ask("HGETALL", f"{prefix}strata:{start}")):
                for name, counts in _strata.decode(packed).items():
                    books.strata[partition, query, start, name] = counts


def scored_at(record: Record) -> Where:
    """Return the position of the record that a record of `scored-posts` scores."""
    headers = dict(record.headers)
    return (
        headers["source-topic"].decode(),
        int(headers["source-partition"]),
        int(headers["source-offset"]),
    )


def pairs_of(reply: Reply) -> list[tuple[str, bytes]]:
    """Return field and value of a hash, as `HGETALL` lists them."""
    flat = cast("list[bytes]", reply)
    return [(name.decode(), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]
