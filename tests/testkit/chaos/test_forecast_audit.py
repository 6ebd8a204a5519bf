"""The oracle finds what was planted in a forecaster's books: a post lost, doubled or made up."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from testkit.chaos.books import Audit, Books, ForecastBooks, RawRecord
from testkit.chaos.forecast_audit import ForecastAudit

BASE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HORIZON_S = 100


def _scoring(number: int, at_s: float, ingested_s: float | None = None) -> bytes:
    at = BASE + timedelta(seconds=at_s)
    ingested = at if ingested_s is None else BASE + timedelta(seconds=ingested_s)
    fields = {
        "id": f"p{number}",
        "source": "synthetic",
        "event_at": at.isoformat(),
        "ingested_at": ingested.isoformat(),
    }
    return json.dumps(fields).encode()


def _forecast(number: int, **changes: object) -> RawRecord:
    fields: dict[str, object] = {"id": f"p{number}", "source": "synthetic"}
    return RawRecord(0, number, b"ann", json.dumps(fields | changes).encode())


def _books() -> tuple[Books, ForecastBooks]:
    """Return books of four posts: over, deleted, waiting, and one that was over when it came."""
    kept = ForecastBooks(HORIZON_S)
    books = Books(pane_s=60, forecasts=kept)
    for number, at_s in enumerate((0, 10, 110, 5)):
        books.scored["posts", 0, number] = [_scoring(number, at_s)]
    books.scored["posts", 0, 1].append(_scoring(1, 10))
    books.scored["post-events", 0, 0] = [_scoring(0, 0)]
    said = {"kind": "delete", "post_id": "p1", "source": "synthetic"}
    books.records["post-events"] = [RawRecord(0, 0, b"ann", json.dumps(said).encode())]
    # Of the first a forecast was published twice, by one that was killed and its successor.
    kept.published = [_forecast(0), _forecast(0), _forecast(1), _forecast(2)]
    kept.published.append(_forecast(0, settled=True))
    kept.totals = {
        0: {"scored-posts": 5, "post-events": 0, "tracked": 3, "settled": 1, "gone": 1},
        1: {},
    }
    kept.pending = {0: 1, 1: 0}
    kept.ends = {("scored-posts", 0): 6, ("post-events", 0): 1}
    return books, kept


def _audit(change: Callable[[Books, ForecastBooks], object] = lambda books, kept: None) -> Audit:
    books, kept = _books()
    change(books, kept)
    audit = Audit()
    ForecastAudit(books, kept, audit).check()
    return audit


def _total(name: str, number: int) -> Callable[[Books, ForecastBooks], object]:
    return lambda _, kept: kept.totals[0].__setitem__(name, number)


def test_books_of_a_forecaster_that_balance_have_no_fault():
    audit = _audit()
    assert audit.faults == []
    assert audit.figures == {
        "forecasts_tracked": 3,
        "forecasts_settled": 1,
        "forecasts_gone": 1,
        "forecasts_lost": 0,
        "forecasts_pending": 1,
        "forecasts_published": 5,
        "posts_not_forecast": 1,
    }


PLANTED: dict[str, tuple[Callable[[Books, ForecastBooks], object], str]] = {
    "scored posts that were not read": (_total("scored-posts", 4), "scored-posts 0: 5 of 6"),
    "events that were not read": (_total("post-events", -1), "post-events 0: 0 of 1"),
    "more events read than there are": (_total("post-events", 1), "post-events 0: 2 of 1"),
    "a partition that was never begun": (
        lambda b, k: k.ends.__setitem__(("scored-posts", 1), 2),
        "scored-posts 1: 0 of 2",
    ),
    "a post that no longer waits": (lambda b, k: k.pending.__setitem__(0, 0), "ended or waits"),
    "a post that is over twice": (_total("settled", 2), "ended or waits"),
    "a post that is over and gone": (
        lambda b, k: (_total("gone", 2)(b, k), k.pending.__setitem__(0, 0)),
        "no more posts are gone than were deleted",
    ),
    "a post that is lost, and said so": (
        lambda b, k: (_total("lost", 1)(b, k), k.pending.__setitem__(0, 0)),
        "none is lost",
    ),
    "a post that is tracked twice": (
        lambda b, k: (_total("tracked", 4)(b, k), k.pending.__setitem__(0, 2)),
        "4 tracked, 3 forecast",
    ),
    "a post that was forecast and is not tracked": (
        lambda b, k: (_total("tracked", 2)(b, k), k.pending.__setitem__(0, 0)),
        "2 tracked, 3 forecast",
    ),
    "a tracked post of which only the outcome was said": (
        lambda b, k: (k.published.pop(0), k.published.pop(0)),
        "3 tracked, 2 forecast",
    ),
    "a forecast of what was never scored": (
        lambda b, k: k.published.append(_forecast(9)),
        "p9 of partition 0",
    ),
    "a forecast of what an edit alone was scored of": (
        lambda b, k: b.scored.pop(("posts", 0, 0)),
        "p0 of partition 0",
    ),
    "a post that was not forecast while it had time to go": (
        lambda b, k: b.scored.__setitem__(("posts", 0, 3), [_scoring(3, 10.5)]),
        "p3 of partition 0 had 0.5 s to go",
    ),
    "a post that was forecast only in the topic of another partition": (
        lambda b, k: b.scored.__setitem__(("posts", 1, 0), [_scoring(2, 110)]),
        "p2 of partition 1 had 100.0 s to go",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_was_planted_in_a_forecasters_books_is_found(what: str):
    change, found = PLANTED[what]
    assert any(found in fault for fault in _audit(change).faults), _audit(change).faults


def test_a_post_that_was_ingested_after_its_horizon_need_not_be_forecast():
    def late(books: Books, kept: ForecastBooks) -> None:
        books.scored["posts", 1, 0] = [_scoring(7, 0, ingested_s=HORIZON_S)]
        kept.totals[1]["scored-posts"] = 0
        kept.ends["scored-posts", 1] = 1

    assert _audit(late).faults == []


def test_what_is_scored_later_excuses_no_post_that_came_before_it():
    def last(books: Books, kept: ForecastBooks) -> None:
        books.scored["posts", 0, 4] = [_scoring(8, 20)]
        books.scored["posts", 0, 5] = [_scoring(2, 900)]

    assert any("p8 of partition 0 had 10.0 s to go" in fault for fault in _audit(last).faults)
