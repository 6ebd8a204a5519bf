"""Everything the oracle is given: bytes of the topics, panes of the store, the source's ledger."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec

from services.kafka_client import read_topic
from testkit.chaos.books import Books, DeadRecord, RawRecord
from testkit.chaos.probes import RedisLine, Reply
from testkit.chaos.stack import ChaosStack

_ints = msgspec.msgpack.Decoder(list[int])
_strata = msgspec.msgpack.Decoder(dict[str, list[int]])


def read_books(stack: ChaosStack) -> Books:
    """Read what the run has left behind.

    Raises:
        BrokerUnavailable, NoAnswer: The broker or the store does not answer.
    """
    books = Books(
        pane_s=stack.settings.windows.pane_s,
        ledger=_lines(stack.ledger),
        wrong_answers=_lines(stack.wrong_answers),
    )
    for topic in ("posts", "post-events"):
        books.records[topic] = [
            RawRecord(r.partition, r.offset, r.key or b"", r.value or b"")
            for r in read_topic(stack.settings.kafka, topic)
        ]
    for record in read_topic(stack.settings.kafka, "scored-posts"):
        headers = dict(record.headers)
        where = (
            headers["source-topic"].decode(),
            int(headers["source-partition"]),
            int(headers["source-offset"]),
        )
        books.scored.setdefault(where, []).append(record.value or b"")
    books.dead = [
        DeadRecord(r.key or b"", r.value or b"")
        for r in read_topic(stack.settings.kafka, "dead-posts")
    ]
    books.windows = [r.value for r in read_topic(stack.settings.kafka, "windows") if r.value]
    _read_store(stack, books)
    return books


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _read_store(stack: ChaosStack, books: Books) -> None:
    line = RedisLine(stack.redis.port, timeout_s=30.0)
    try:
        for partition in range(stack.settings.kafka.partitions):
            prefix = f"{{{partition}}}:"
            books.totals[partition] = {
                name: int(value) for name, value in _pairs(line.ask("HGETALL", f"{prefix}cursor"))
            }
            starts = cast("list[bytes]", line.ask("ZRANGE", f"{prefix}starts", 0, -1))
            for start in map(int, starts):
                for query, packed in _pairs(line.ask("HGETALL", f"{prefix}pane:{start}")):
                    books.panes[partition, query, start] = _ints.decode(packed)
                for query, packed in _pairs(line.ask("HGETALL", f"{prefix}strata:{start}")):
                    for name, counts in _strata.decode(packed).items():
                        books.strata[partition, query, start, name] = counts
    finally:
        line.close()


def _pairs(reply: Reply) -> list[tuple[str, bytes]]:
    flat = cast("list[bytes]", reply)
    return [(name.decode(), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]
