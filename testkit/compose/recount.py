"""Inside a container of the stack: every window counted again by the plain program of chaos.

    python -m testkit.compose.recount SOURCE POSTS

Waits until what was produced has been applied and published, reads topics and store past every
client of the system, and writes figures, faults and windows as JSON. Heartbeats are left out: they
are ours, and have a total of their own. The sources must have ended.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final
from urllib.parse import urlsplit

from core.settings import Settings
from services.cli.settings import load_settings
from services.kafka_client import read_topic
from stream.heartbeat import QUERY, SOURCE
from testkit.chaos.books import Audit, Books, RawRecord
from testkit.chaos.panes import read_panes, scored_at
from testkit.chaos.probes import RedisLine
from testkit.chaos.produced import sort_produced
from testkit.chaos.recount import COUNTER_NAMES, read_json, read_post
from testkit.chaos.sums_audit import SumsAudit

_TOPICS: Final = ("posts", "post-events")
_PATIENCE_S: Final = 600.0


def line_to(settings: Settings) -> RedisLine:
    """Return a connection to the store, with its password."""
    address = urlsplit(settings.redis.url)
    line = RedisLine(address.port or 6379, 30.0, address.hostname or "")
    line.ask("AUTH", settings.redis.password.reveal())
    return line


def records_of(settings: Settings) -> dict[str, list[RawRecord]]:
    """Return what was produced, topic by topic."""
    return {
        topic: [
            RawRecord(r.partition, r.offset, r.key or b"", r.value or b"")
            for r in read_topic(settings.kafka, topic)
        ]
        for topic in _TOPICS
    }


def unfinished(line: RedisLine, settings: Settings, records: dict[str, list[RawRecord]]) -> str:
    """Return in words what is still to be applied or published; empty when nothing is."""
    for number in range(settings.kafka.partitions):
        for topic in _TOPICS:
            end = max((r.offset for r in records[topic] if r.partition == number), default=-1)
            at = line.ask("HGET", f"{{{number}}}:cursor", topic)
            if int(at if isinstance(at, bytes) else -1) != end:
                return f"partition {number} of {topic}: at {at!r}, ends at {end}"
        if waiting := line.ask("HLEN", f"{{{number}}}:dirty"):
            return f"partition {number}: {waiting} panes wait for the closer"
    return ""


def read_books(settings: Settings) -> Books:
    """Wait for the end of counting, and return what there is without heartbeats.

    Raises:
        SystemExit: Something is not applied or published in time.
    """
    line, deadline_s = line_to(settings), time.monotonic() + _PATIENCE_S
    while why := unfinished(line, settings, records := records_of(settings)):
        if time.monotonic() > deadline_s:
            sys.exit(f"recount: not settled in {_PATIENCE_S:.0f} s: {why}")
        time.sleep(1)
    books = Books(settings.windows.pane_s, records=records)
    read_panes(line, settings.kafka.partitions, books)
    line.close()
    for record in read_topic(settings.kafka, "scored-posts"):
        if (read_json(record.value or b"") or {}).get("source") != SOURCE:
            books.scored.setdefault(scored_at(record), []).append(record.value or b"")
    books.records["posts"] = [r for r in records["posts"] if not _is_heartbeat(r)]
    books.windows = [r.value for r in read_topic(settings.kafka, "windows") if r.value]
    books.panes = {key: row for key, row in books.panes.items() if key[1] != QUERY}
    books.strata = {key: row for key, row in books.strata.items() if key[1] != QUERY}
    return books


def _is_heartbeat(record: RawRecord) -> bool:
    post = read_post(record.value)
    return post is not None and post.source == SOURCE


def main() -> None:
    """Write `{"figures": ..., "faults": ..., "counters": [name], "windows": [...]}`.

    A window is its query, its start in seconds since 1970, and the least and the most of each
    counter, which are the same where every text was scored once.
    """
    source, posts = sys.argv[1], int(sys.argv[2])
    books, audit = read_books(load_settings()), Audit()
    produced = sort_produced(books, audit)
    sums = SumsAudit(books, produced, audit)
    sums.check()
    came = sum(name == source for name, _ in produced.accepted)
    audit.figures[f"posts_of_{source}"] = came
    if came != posts:
        audit.faults.append(f"{came} of {posts} posts of {source} were counted")
    if not audit.figures["windows_published"]:
        audit.faults.append("no window was published")
    windows = [[*key, *row] for key, row in sorted(sums.windows.items())]
    json.dump({"figures": audit.figures, "faults": audit.faults,
               "counters": COUNTER_NAMES, "windows": windows}, sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
