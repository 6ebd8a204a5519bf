"""The oracle finds what was planted: a post missing, doubled, misplaced, a wrong dead record."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from testkit.chaos.books import Audit, Books, DeadRecord, RawRecord
from testkit.chaos.oracle import recount
from testkit.chaos.recount import COUNTER_NAMES, Post, pane_of, read_post

BASE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START = int(BASE.timestamp())
SAID = [1, 1, 400_000, 160_000, 200_000, 200_000, 600_000]
ROW = [*SAID, *([0] * (len(COUNTER_NAMES) - len(SAID)))]
"""What each post of these books adds: it is rated, and somewhat content."""


def _post(number: int, **changes: object) -> bytes:
    at = BASE + timedelta(seconds=number)
    fields: dict[str, object] = {
        "v": 1,
        "id": f"p{number}",
        "source": "synthetic",
        "author": "ann",
        "ingested_at": at.isoformat(),
        "claimed_at": at.isoformat(),
        "text": "late again",
    }
    return json.dumps(fields | changes).encode()


def _scoring(number: int, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "id": f"p{number}",
        "source": "synthetic",
        "pane_start": BASE.isoformat(),
        "queries": ["all"],
        "stratum": "synthetic|en|none",
        "rated": True,
        "scores": {"sentiment": [200_000, 200_000, 600_000]},
    }
    return json.dumps(fields | changes).encode()


def _dead(
    offset: int, reason: str, size: int, topic: str = "posts", detail: str = ""
) -> DeadRecord:
    fields = {
        "reason": reason,
        "detail": detail,
        "topic": topic,
        "partition": 0,
        "offset": offset,
        "size": size,
    }
    return DeadRecord(b"%d" % offset, json.dumps(fields).encode())


def _line(kind: str, post_id: str, number: int, detail: str = "") -> bytes:
    return json.dumps([kind, post_id, "ann", "ann", number, detail, "", ""]).encode()


def _times(number: int) -> list[int]:
    return [number * value for value in ROW]


def _books() -> Books:
    """Three posts, a copy of the second, a broken message, an edit, and one deletion."""
    values = [_post(0), _post(1), _post(2), _post(1), b"{broken"]
    books = Books(pane_s=60)
    books.records["posts"] = [RawRecord(0, at, b"ann", value) for at, value in enumerate(values)]
    books.records["post-events"] = [
        RawRecord(0, at, b"ann", json.dumps(event).encode())
        for at, event in enumerate(
            [
                {"kind": "delete", "post_id": "p2", "source": "synthetic"},
                {"kind": "edit", "post_id": "p1", "source": "synthetic", "text": "on time"},
            ]
        )
    ]
    for at in range(3):
        books.scored["posts", 0, at] = [_scoring(at)]
    books.scored["post-events", 0, 1] = [_scoring(1, pane_start=None, edit=True)]
    books.dead = [_dead(3, "duplicate", 0), _dead(4, "not_json", len(values[4]))]
    books.ledger = [
        _line("post", "p0", 1),
        _line("post", "p1", 2),
        _line("post", "p2", 3),
        _line("duplicate", "p1", 4),
        _line("malformed", "", 5, "not_json"),
        _line("event", "p2", 6, "delete"),
        _line("event", "p1", 7, "edit"),
    ]
    books.panes[0, "all", START] = _times(2)
    books.strata[0, "all", START, "synthetic|en|none"] = _times(2)[:4]
    books.totals[0] = {"counted": 3, "dead:posts": 2, "removed": 1, "events": 2, "closed": START}
    return books


def _audit(change: Callable[[Books], object] = lambda books: None) -> Audit:
    books = _books()
    change(books)
    return recount(books)


def test_books_that_balance_have_no_fault():
    audit = _audit()
    assert audit.faults == []
    assert audit.figures["posts_accepted"] == 3
    assert audit.figures["posts_in_panes"] == 2
    assert audit.figures["dead_letters"] == 2


def _add(books: Books, times: int) -> None:
    books.panes[0, "all", START] = _times(2 + times)


PLANTED: dict[str, tuple[Callable[[Books], object], str]] = {
    "a post missing": (lambda b: _add(b, -1), "every counter of every pane"),
    "a post doubled": (lambda b: _add(b, 1), "every counter of every pane"),
    "a sum that is off by one": (
        lambda b: b.panes[0, "all", START].__setitem__(2, 800_001),
        "every counter of every pane",
    ),
    "a post doubled in its stratum": (
        lambda b: b.strata.__setitem__((0, "all", START, "synthetic|en|none"), _times(3)[:4]),
        "every stratum",
    ),
    "a post in the wrong pane": (
        lambda b: b.panes.__setitem__((0, "all", START + 60), b.panes.pop((0, "all", START))),
        "no pane is in the store that is not due",
    ),
    "a post on the wrong partition": (
        lambda b: b.panes.__setitem__((1, "all", START), b.panes.pop((0, "all", START))),
        "every pane that is due",
    ),
    "a deletion that removed nothing": (
        lambda b: (_add(b, 1), b.totals[0].__setitem__("removed", 0)),
        "'removed'",
    ),
    "an edit that was never scored": (
        lambda b: b.scored.pop(("post-events", 0, 1)),
        "every accepted post and edit is scored",
    ),
    "a copy that was counted": (
        lambda b: (b.dead.pop(0), _add(b, 1)),
        "every record that is not counted",
    ),
    "a dead record for a post that was counted": (
        lambda b: b.dead.append(_dead(0, "duplicate", 0)),
        "no record that is counted",
    ),
    "a dead record with the wrong reason": (
        lambda b: b.dead.__setitem__(1, _dead(4, "not_utf8", 7)),
        "every reason is the one of the ledger",
    ),
    "a dead record that says something else the second time": (
        lambda b: b.dead.append(_dead(4, "not_utf8", 7)),
        "written again says the same",
    ),
    "a copy under another reason": (
        lambda b: b.dead.__setitem__(0, _dead(3, "dropped_late", 0)),
        "the reason of a copy",
    ),
    "a post that never reached Kafka": (
        lambda b: b.ledger.append(_line("post", "p9", 9)),
        "every post of the ledger",
    ),
    "a post that nobody said": (
        lambda b: b.ledger.pop(0),
        "every post of the topic is in the ledger",
    ),
    "an event that never reached Kafka": (
        lambda b: b.ledger.append(_line("event", "p0", 9, "delete")),
        "every event of the ledger",
    ),
    "a running total that is wrong": (
        lambda b: b.totals[0].__setitem__("counted", 4),
        "'counted' is 4, expected 3",
    ),
    "a scoring in the wrong pane": (
        lambda b: b.scored.__setitem__(
            ("posts", 0, 0), [_scoring(0, pane_start=(BASE + timedelta(minutes=1)).isoformat())]
        ),
        "in the pane of its event time",
    ),
    "a window that was published and is wrong": (
        lambda b: b.windows.append(_window(posts=3)),
        "every window published last",
    ),
    "a window that closed and was not published": (
        lambda b: b.totals[0].__setitem__("closed", START + 60),
        "every window that closed",
    ),
}


def _window(posts: int, closed_s: int = 0) -> bytes:
    fields = {
        "query": "all",
        "start": BASE.isoformat(),
        "closed_at": (BASE + timedelta(seconds=closed_s)).isoformat(),
        "revision": 0,
        "counters": dict(zip(COUNTER_NAMES, _times(posts), strict=True)),
    }
    return json.dumps(fields).encode()


@pytest.mark.parametrize("what", PLANTED)
def test_what_was_planted_is_found(what: str):
    change, found = PLANTED[what]
    assert any(found in fault for fault in _audit(change).faults)


def test_a_window_corrected_later_is_judged_by_its_last_revision():
    assert _audit(lambda b: b.windows.extend([_window(3), _window(2, closed_s=9)])).faults == []


def test_a_message_sent_again_after_a_crash_of_ingest_is_no_fault():
    def send_again(books: Books) -> None:
        books.records["posts"].append(RawRecord(0, 5, b"ann", b"{broken"))
        books.records["posts"].append(RawRecord(0, 6, b"ann", _post(2)))
        books.dead += [_dead(5, "not_json", 7), _dead(6, "duplicate", 0)]
        books.ledger += books.ledger[2:5]
        books.totals[0]["dead:posts"] = 4

    assert _audit(send_again).faults == []


def test_a_torn_line_of_the_ledger_is_counted_and_passed_over():
    audit = _audit(lambda b: b.ledger.__setitem__(1, b'["post","p' + b.ledger[1]))
    assert audit.faults == []
    assert audit.figures["ledger_lines_torn"] == 1


def test_posts_scored_again_with_other_scores_are_allowed_either():
    other = _scoring(0, scores={"sentiment": [200_000, 300_000, 500_000]})

    def score_again(books: Books, second: int) -> None:
        books.scored["posts", 0, 0].append(other)
        said = [1, 1, 300_000, 90_000, 200_000, 300_000, 500_000]
        row = [*said, *([0] * (len(ROW) - len(said)))]
        if second:
            books.panes[0, "all", START] = [a + b for a, b in zip(ROW, row, strict=True)]

    assert _audit(lambda b: score_again(b, 0)).faults == []
    assert _audit(lambda b: score_again(b, 1)).faults == []
    assert _audit(lambda b: (score_again(b, 1), _add(b, 1))).faults != []


WRONG = sha256(b"late again").hexdigest()
"""What the stand-in writes down of a post of these books; all have one text."""


def _invalid(offset: int, topic: str = "posts") -> DeadRecord:
    detail = "emotion: NaN, expected numbers in [0, 1]"
    return _dead(offset, "invalid_score", 9, topic, detail)


def _spoil(books: Books) -> None:
    """Let the first post have been answered with NaN."""
    books.wrong_answers.append(json.dumps(["nan", WRONG]).encode())
    books.dead.append(_invalid(0))
    del books.scored["posts", 0, 0]
    _add(books, -1)
    books.strata[0, "all", START, "synthetic|en|none"] = _times(1)[:4]
    books.totals[0] |= {"counted": 2, "dead:posts": 3}


def _spoilt_audit(change: Callable[[Books], object] = lambda books: None) -> Audit:
    def both(books: Books) -> None:
        _spoil(books)
        change(books)

    return _audit(both)


def test_a_post_that_was_answered_wrongly_is_a_letter_and_no_fault():
    audit = _spoilt_audit()
    assert audit.faults == []
    assert audit.figures["posts_accepted"] == 2
    assert audit.figures["posts_unscored"] == 1
    assert audit.figures["dead.invalid_score"] == 1
    assert audit.figures["rows_answered_wrongly.nan"] == 1
    assert audit.figures["letters_invalid_score.nan"] == 1


SPOILT: dict[str, tuple[Callable[[Books], object], str]] = {
    "a dead record of a row that was answered rightly": (
        lambda b: b.wrong_answers.clear(),
        "was answered wrongly",
    ),
    "a dead record that names another kind": (
        lambda b: b.wrong_answers.__setitem__(0, json.dumps(["inf", WRONG]).encode()),
        "was answered wrongly",
    ),
    "two dead records of one wrong answer": (
        lambda b: b.dead.append(_invalid(0)),
        "was answered wrongly",
    ),
    "a wrong row that was counted": (lambda b: _add(b, 0), "every counter of every pane"),
    "a wrong row without a dead record": (
        lambda b: b.dead.pop(),
        "every accepted post and edit is scored",
    ),
    "a wrong row in the running total": (
        lambda b: b.totals[0].__setitem__("counted", 3),
        "'counted' is 3, expected 2",
    ),
    "a record in neither running total": (
        lambda b: b.totals[0].__setitem__("dead:posts", 2),
        "2 dead, expected 5 together",
    ),
    "a right row that was scored with nonsense": (
        lambda b: b.scored.__setitem__(
            ("posts", 0, 1), [_scoring(1, scores={"sentiment": [-3_000_000, 0, 0]})]
        ),
        "every scoring is of probabilities",
    ),
    "an event in neither running total": (
        lambda b: b.totals[0].__setitem__("events", 1),
        "'events' is 1, expected 2",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_was_planted_beside_a_wrong_answer_is_found(what: str):
    change, found = SPOILT[what]
    assert any(found in fault for fault in _spoilt_audit(change).faults)


def test_a_copy_of_a_post_that_was_answered_wrongly_counts_in_its_place():
    def copy(books: Books) -> None:
        books.records["posts"].append(RawRecord(0, 5, b"ann", _post(0)))
        books.scored["posts", 0, 5] = [_scoring(0)]
        _add(books, 0)
        books.strata[0, "all", START, "synthetic|en|none"] = _times(2)[:4]
        books.totals[0]["counted"] = 3

    assert _spoilt_audit(copy).faults == []


def test_a_copy_that_came_while_its_original_was_answered_wrongly_may_be_called_one():
    def copy(books: Books) -> None:
        books.records["posts"].append(RawRecord(0, 5, b"ann", _post(0)))
        books.dead.append(_dead(5, "duplicate", 0))
        books.totals[0]["dead:posts"] = 4

    assert _spoilt_audit(copy).faults == []


@pytest.mark.parametrize("is_counted", [True, False])
def test_of_a_post_answered_both_ways_either_stands_and_not_twice(is_counted: bool):
    def both(books: Books, times: int) -> None:
        books.scored["posts", 0, 0] = [_scoring(0)]
        books.totals[0] |= {"counted": 2 + times, "dead:posts": 3 - times}
        _add(books, times - 1)

    assert _spoilt_audit(lambda b: both(b, int(is_counted))).faults == []
    assert any("every counter" in f for f in _spoilt_audit(lambda b: both(b, 2)).faults)


def _spoil_edit(books: Books) -> None:
    books.records["post-events"][1] = RawRecord(
        0,
        1,
        b"ann",
        json.dumps(
            {"kind": "edit", "post_id": "p1", "source": "synthetic", "text": "late again"}
        ).encode(),
    )
    books.wrong_answers.append(json.dumps(["nan", WRONG]).encode())
    books.dead.append(_invalid(1, "post-events"))
    books.totals[0] |= {"events": 1, "dead:post-events": 1}


def test_an_edit_that_was_answered_wrongly_leaves_its_post_as_it_was():
    other = _scoring(1, pane_start=None, edit=True, scores={"sentiment": [0, 0, 1_000_000]})

    def never_right(books: Books) -> None:
        _spoil_edit(books)
        del books.scored["post-events", 0, 1]

    def both_ways(books: Books) -> None:
        _spoil_edit(books)
        books.scored["post-events", 0, 1] = [other]

    assert _audit(never_right).faults == []
    assert _audit(both_ways).faults == []
    assert _audit(lambda b: (never_right(b), _add(b, 1))).faults != []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[1]",
        b'{"id": "\x07"}',
        _post(1, v=99),
        _post(1, text=42),
        _post(1, id=""),
        _post(1, author="x" * 300),
        _post(1, claimed_at="yesterday"),
        _post(1, ingested_at="2026-01-01T00:00:00"),
        _post(1)[:-1] + b',"extra":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    ],
)
def test_what_is_no_post_is_seen_to_be_none(value: bytes):
    assert read_post(value) is None


def test_event_times_are_clamped_to_a_day_before_and_a_minute_after_ingest():
    day, minute = timedelta(days=1), timedelta(minutes=1)
    for claimed, event in (
        (None, BASE),
        (BASE - day, BASE - day),
        (BASE - 2 * day, BASE - day),
        (BASE + minute, BASE + minute),
        (BASE + day, BASE + minute),
    ):
        post = Post("synthetic", "p", BASE, claimed)
        assert pane_of(post, 10) == int(event.timestamp()) // 10 * 10


def test_the_longest_wait_is_from_the_record_to_its_first_scoring():
    books = _books()
    books.records["posts"] = [
        RawRecord(one.partition, one.offset, one.key, one.value, 1_000 * (1 + one.offset))
        for one in books.records["posts"]
    ]
    books.scored_ms = {("posts", 0, at): 1_500 + 3_000 * at for at in range(3)}
    figures = recount(books).figures
    assert figures["longest_wait_s"] == 4.5
    assert figures["median_wait_s"] == 2.5
    assert "longest_wait_s" not in _audit().figures
