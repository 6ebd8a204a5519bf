"""How long posts waited to be scored: from being written to `posts` until their first scoring."""

from __future__ import annotations

from statistics import median

from testkit.chaos.books import Books

_MS = 1_000


def wait_figures(books: Books) -> dict[str, float]:
    """Return the longest and the median wait in seconds; nothing where no record has a time.

    The time of a record is its writer's: of a post the source's when it handed it over, of a
    scoring the worker's when it had the scores. What waits in `posts` while a server is away is
    in it.
    """
    waits = [
        (books.scored_ms[where] - record.written_ms) / _MS
        for record in books.records.get("posts", [])
        if record.written_ms
        and (where := ("posts", record.partition, record.offset)) in books.scored_ms
    ]
    if not waits:
        return {}
    return {"longest_wait_s": round(max(waits), 2), "median_wait_s": round(median(waits), 2)}
