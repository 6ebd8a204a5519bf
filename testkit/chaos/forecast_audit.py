"""What the forecaster keeps and has said, against what was scored and what happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from testkit.chaos.books import Audit, Books, ForecastBooks, Id
from testkit.chaos.recount import number_of_ms, read_event, read_json

_TOPICS: Final = ("scored-posts", "post-events")
_ENDED: Final = ("settled", "gone", "lost")
_SECOND: Final = timedelta(seconds=1) // timedelta(milliseconds=1)


class ForecastAudit:
    """Checks the forecaster's books, partition by partition.

    A post is tracked once however often it was scored, and every tracked post has been forecast, at
    least once. A scored post that was not must have come when its horizon was over already, by the
    latest time of those scored before it, or when it was ingested. What became of a tracked post is
    counted once.
    """

    def __init__(self, books: Books, kept: ForecastBooks, audit: Audit) -> None:
        self._books = books
        self._kept = kept
        self._audit = audit
        self._forecast = _forecast_ids(kept)
        self._horizon_ms = kept.horizon_s * _SECOND

    def check(self) -> None:
        """Compare all of it and note figures and faults."""
        kept, audit = self._kept, self._audit
        audit.expect("the forecaster has read both topics to their ends", self._unread())
        audit.expect("every post tracked has ended or waits, and none is lost", self._unbalanced())
        audit.expect("every post tracked was forecast, and is tracked once", self._miscounted())
        audit.expect("every scored post was forecast, unless it was over", self._unforecast())
        audit.expect("every forecast is of a post that was scored", self._invented())
        audit.expect("no more posts are gone than were deleted", self._never_deleted())
        for name in ("tracked", *_ENDED):
            audit.figures[f"forecasts_{name}"] = sum(t.get(name, 0) for t in kept.totals.values())
        audit.figures["forecasts_pending"] = sum(kept.pending.values())
        audit.figures["forecasts_published"] = len(kept.published)

    def _unread(self) -> Iterator[str]:
        for number, totals in self._kept.totals.items():
            for topic in _TOPICS:
                read, end = totals.get(topic, -1) + 1, self._kept.ends.get((topic, number), 0)
                if read != end:
                    yield f"{topic} {number}: {read:,} of {end:,}"

    def _unbalanced(self) -> Iterator[str]:
        for number, totals in self._kept.totals.items():
            tracked = totals.get("tracked", 0)
            ended = {name: totals.get(name, 0) for name in _ENDED}
            pending = self._kept.pending.get(number, 0)
            if ended["lost"] or tracked != sum(ended.values()) + pending:
                yield f"partition {number}: {tracked:,} tracked, {ended}, {pending:,} wait"

    def _miscounted(self) -> Iterator[str]:
        for number, totals in self._kept.totals.items():
            tracked, forecast = totals.get("tracked", 0), len(self._forecast.get(number, ()))
            if tracked != forecast:
                yield f"partition {number}: {tracked:,} tracked, {forecast:,} forecast"

    def _scored(self) -> Iterator[tuple[int, Id, int, int]]:
        """Yield partition, post, event time and the later of it and ingest (ms), in order."""
        for (topic, partition, _), values in self._books.scored.items():
            for found in map(read_json, values if topic == "posts" else ()):
                at_ms = number_of_ms(found["event_at"])
                latest_ms = max(at_ms, number_of_ms(found["ingested_at"]))
                yield partition, (found["source"], found["id"]), at_ms, latest_ms

    def _unforecast(self) -> Iterator[str]:
        clocks: dict[int, int] = {}
        missing: set[Id] = set()
        for number, post_id, at_ms, latest_ms in self._scored():
            clocks[number] = max(clocks.get(number, 0), latest_ms)
            if post_id in self._forecast.get(number, ()):
                continue
            missing.add(post_id)
            left_ms = at_ms + self._horizon_ms - clocks[number]
            if left_ms > 0:
                yield f"{post_id[1]} of partition {number} had {left_ms / _SECOND:.1f} s to go"
        self._audit.figures["posts_not_forecast"] = len(missing)

    def _invented(self) -> Iterator[str]:
        scored = {(number, post_id) for number, post_id, _, _ in self._scored()}
        for number, ids in self._forecast.items():
            for post_id in ids:
                if (number, post_id) not in scored:
                    yield f"{post_id[1]} of partition {number}"

    def _never_deleted(self) -> Iterator[str]:
        deleted: dict[int, set[Id]] = {}
        for record in self._books.records.get("post-events", ()):
            event = read_event(record.value)
            if event is not None and event[0] == "delete":
                deleted.setdefault(record.partition, set()).add(event[1])
        for number, totals in self._kept.totals.items():
            most = len(deleted.get(number, set()) & self._forecast.get(number, set()))
            if totals.get("gone", 0) > most:
                yield f"partition {number}: {totals['gone']:,} gone, {most:,} deleted"


def _forecast_ids(kept: ForecastBooks) -> dict[int, set[Id]]:
    """Return partition -> posts of which a forecast was published before their outcome."""
    found: dict[int, set[Id]] = {}
    for record in kept.published:
        said = read_json(record.value)
        if not said.get("settled", False):
            found.setdefault(record.partition, set()).add((said["source"], said["id"]))
    return found
