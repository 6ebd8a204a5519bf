"""Everything the oracle is given: bytes of the topics, panes of the store, the source's ledger."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from services.kafka_client import read_topic
from testkit.chaos.books import Books, DeadRecord, ForecastBooks, RawRecord, ResponseBooks
from testkit.chaos.panes import pairs_of, read_panes, scored_at
from testkit.chaos.probes import RedisLine
from testkit.chaos.stack import ChaosStack


def read_books(stack: ChaosStack) -> Books:
    """Read what the run has left behind.

    Raises:
        BrokerUnavailable, NoAnswer: The broker or the store does not answer.
    """
    books = Books(
        pane_s=stack.settings.windows.pane_s,
        ledger=_lines(stack.ledger),
        wrong_answers=[line for path in stack.wrong_answers for line in _lines(path)],
    )
    for topic in ("posts", "post-events"):
        books.records[topic] = _raw(stack, topic)
    forecasts = books.forecasts = ForecastBooks(stack.settings.forecasts.horizon_s)
    forecasts.published = _raw(stack, "forecasts")
    for event in books.records["post-events"]:
        forecasts.ends["post-events", event.partition] = event.offset + 1
    for record in read_topic(stack.settings.kafka, "scored-posts"):
        where = scored_at(record)
        books.scored.setdefault(where, []).append(record.value or b"")
        books.scored_ms.setdefault(where, record.timestamp_ms)
        forecasts.ends["scored-posts", record.partition] = record.offset + 1
    books.dead = [
        DeadRecord(r.key or b"", r.value or b"")
        for r in read_topic(stack.settings.kafka, "dead-posts")
    ]
    books.windows = [r.value for r in read_topic(stack.settings.kafka, "windows") if r.value]
    _read_store(stack, books)
    _read_forecasts(stack, forecasts)
    books.responses = _read_responses(stack)
    return books


def _raw(stack: ChaosStack, topic: str) -> list[RawRecord]:
    return [
        RawRecord(r.partition, r.offset, r.key or b"", r.value or b"", r.timestamp_ms)
        for r in read_topic(stack.settings.kafka, topic)
    ]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _read_store(stack: ChaosStack, books: Books) -> None:
    line = RedisLine(stack.redis.port, timeout_s=30.0)
    try:
        read_panes(line, stack.settings.kafka.partitions, books)
    finally:
        line.close()


def _read_forecasts(stack: ChaosStack, forecasts: ForecastBooks) -> None:
    line = RedisLine(stack.redis.port, timeout_s=30.0)
    try:
        for partition in range(stack.settings.kafka.partitions):
            kept = f"{{{partition}}}:forecast"
            fields = dict(pairs_of(line.ask("HGETALL", kept)))
            fields.pop("token", None)  # the only one that is no number
            forecasts.totals[partition] = {name: int(value) for name, value in fields.items()}
            shards = cast("list[bytes]", line.ask("KEYS", f"{kept}:pending:*"))
            sizes = line.ask_all([("HLEN", shard.decode()) for shard in shards])
            forecasts.pending[partition] = sum(cast("list[int]", sizes))
    finally:
        line.close()


def _read_responses(stack: ChaosStack) -> ResponseBooks:
    responses = ResponseBooks(_raw(stack, "events"), _raw(stack, "responses"))
    line, texts, where = RedisLine(stack.redis.port, timeout_s=30.0), _key("texts"), _key("where")
    try:
        for key in cast("list[bytes]", line.ask("KEYS", f"{texts}*")):
            name = key.decode()
            responses.kept[name.removeprefix(texts)] = dict(pairs_of(line.ask("HGETALL", name)))
        for key in cast("list[bytes]", line.ask("KEYS", f"{where}*")):
            name = key.decode()
            responses.where[name.removeprefix(where)] = cast("int", line.ask("SCARD", name))
    finally:
        line.close()
    return responses


def _key(what: str) -> str:
    return f"{{responder}}:{what}:"
