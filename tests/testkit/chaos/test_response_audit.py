"""The oracle finds what was planted in a responder's books: made up, unmarked, or not forgotten."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from testkit.chaos.books import Audit, Books, RawRecord, ResponseBooks
from testkit.chaos.response_audit import ResponseAudit

AT = "2026-03-01T12:00:00Z"
REAL = {"kind": "real", "reply_id": "a1", "likes": 3}
QUOTED = {"kind": "quoted", "reply_id": "b1", "event_post": "b", "similarity": 0.5}
GENERATED = {"kind": "generated", "text": "well, well", "score": 0.1}
Change = Callable[[Books, ResponseBooks], object]


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def _post(number: int, post_id: str, reply_to: str | None = None) -> RawRecord:
    fields: dict[str, Any] = {"v": 1, "id": post_id, "source": "synthetic", "author": "ann"}
    fields |= {"ingested_at": AT, "text": f"says {post_id}"}
    return RawRecord(0, number, b"ann", _json(**fields, reply_to=reply_to))


def _deletion(post_id: str) -> RawRecord:
    return RawRecord(0, 9, b"ann", _json(kind="delete", post_id=post_id, source="synthetic"))


def _took_off(post_id: str) -> RawRecord:
    return RawRecord(0, 0, b"all", _json(v=1, source="synthetic", post_id=post_id))


def _response(post_id: str, *replies: dict[str, Any], **more: Any) -> RawRecord:
    fields = {"v": 1, "source": "synthetic", "post_id": post_id, "made_at": AT}
    fields |= {"state": "current", "replies": list(replies)}
    return RawRecord(0, 0, post_id.encode(), _json(**{**fields, **more}))


def _books() -> tuple[Books, ResponseBooks]:
    """Return books of three events: one with replies of all kinds, a past one, a deleted one."""
    books, kept = Books(pane_s=60), ResponseBooks()
    said = [("a", None), ("a1", "a"), ("b", None), ("b1", "b"), ("c", None), ("c1", "c")]
    books.records["posts"] = [_post(at, *one) for at, one in enumerate(said)]
    books.records["post-events"] = [_deletion("c")]
    kept.events = [_took_off(name) for name in "abca"]
    last = {
        "a": _response("a", REAL, QUOTED, GENERATED),
        "b": _response("b", REAL | {"reply_id": "b1"}),
        "c": _response("c", state="withdrawn"),
    }
    kept.told = [_response("a"), _response("c", REAL | {"reply_id": "c1"}), *last.values()]
    texts = {"a": ("a", "a1", "b1"), "b": ("b", "b1"), "c": ()}
    for name, record in last.items():
        fields = {f"t:synthetic|{post}": b"says" for post in texts[name]}
        kept.kept[f"synthetic|{name}"] = {"response": record.value, **fields}
    kept.where = {"synthetic|a1": 1, "synthetic|b1": 2}
    return books, kept


def _audit(change: Change = lambda books, kept: None) -> Audit:
    books, kept = _books()
    change(books, kept)
    audit = Audit()
    ResponseAudit(books, kept, audit).check()
    return audit


def test_books_of_a_responder_that_balance_have_no_fault() -> None:
    audit = _audit()
    assert audit.faults == []
    assert audit.figures == {
        "responses_told": 5,
        "responses_events": 3,
        "responses_withdrawn": 1,
        "responses_shown.real": 3,
        "responses_shown.quoted": 1,
        "responses_shown.generated": 1,
    }


def _tells(*records: RawRecord, keeps: bool = True) -> Change:
    """Return what tells further responses, which Redis keeps too."""

    def change(_: Books, kept: ResponseBooks) -> None:
        for record in records:
            kept.told.append(record)
            if keeps:
                name = f"synthetic|{record.key.decode()}"
                kept.kept.setdefault(name, {})["response"] = record.value

    return change


def _deletes(post_id: str) -> Change:
    return lambda books, _: books.records["post-events"].append(_deletion(post_id))


def _keeps(event: str, post_id: str) -> Change:
    return lambda _, kept: kept.kept[f"synthetic|{event}"].update({f"t:synthetic|{post_id}": b"x"})


NO_KIND = "each of its replies says what it is"
PLANTED: dict[str, tuple[Change, str]] = {
    "what is no JSON": (_tells(RawRecord(0, 7, b"a", b"{"), keeps=False), "record 7: no response"),
    "a state that there is not": (_tells(_response("a", state="gone"), keeps=False), NO_KIND),
    "a key of another post": (
        lambda _, kept: kept.told.append(RawRecord(0, 7, b"b", _response("a").value)),
        "under the key of another",
    ),
    "a reply without a kind": (_tells(_response("a", {"reply_id": "a1"}), keeps=False), NO_KIND),
    "a generated reply under somebody's id": (
        _tells(_response("a", GENERATED | {"reply_id": "a1"}), keeps=False), NO_KIND,
    ),
    "a generated reply that calls itself real": (
        _tells(_response("a", GENERATED | {"kind": "real"}), keeps=False), NO_KIND,
    ),
    "a real reply whose text is on the topic": (
        _tells(_response("a", REAL | {"text": "says a1"}), keeps=False), NO_KIND,
    ),
    "a quoted reply that calls itself real": (
        _tells(_response("a", QUOTED | {"kind": "real"}), keeps=False), NO_KIND,
    ),
    "a quoted reply of no event": (
        _tells(_response("a", REAL | {"kind": "quoted"}), keeps=False), NO_KIND,
    ),
    "an event without a response": (
        lambda _, kept: kept.events.append(_took_off("b1")), "b1 has no response",
    ),
    "a response to what never took off": (_tells(_response("b1")), "b1 never took off"),
    "a deleted post that is current": (_deletes("b"), "b is current"),
    "a post that is withdrawn for nothing": (
        _tells(_response("b", state="withdrawn")), "b is withdrawn",
    ),
    "a withdrawn post with replies": (
        _tells(_response("c", REAL | {"reply_id": "c1"}, state="withdrawn")),
        "c is withdrawn and says more",
    ),
    "a reply that nobody wrote": (
        _tells(_response("a", REAL | {"reply_id": "z"})), "z, shown for a, answers None",
    ),
    "a reply to another post": (
        _tells(_response("a", REAL | {"reply_id": "b1"})), "b1, shown for a, answers 'b'",
    ),
    "a quote of a reply to another post": (
        _tells(_response("a", QUOTED | {"reply_id": "a1"})), "a1, shown for a, answers 'a'",
    ),
    "a deleted reply that is shown": (_deletes("a1"), "shows a deleted post: 1 wrong"),
    "a quote of what was said to a deleted post": (
        _tells(_response("a", QUOTED | {"reply_id": "c1", "event_post": "c"})),
        "c1, shown for a",
    ),
    "a text of a deleted reply": (
        lambda books, kept: (_deletes("a1")(books, kept), _tells(_response("a"))(books, kept)),
        "the text of a1 for synthetic|a",
    ),
    "a text of a deleted event": (_keeps("c", "c"), "the text of c for synthetic|c"),
    "a text of a reply that a withdrawn event left": (
        _keeps("c", "c1"), "the text of c1 for synthetic|c",
    ),
    "a quoted text that a withdrawn event left": (
        _keeps("a", "c1"), "the text of c1, which answered c, for synthetic|a",
    ),
    "a way to a deleted text": (
        lambda _, kept: kept.where.update({"synthetic|c": 1}), "where synthetic|c is shown",
    ),
    "a response that is told and not kept": (
        _tells(_response("b"), keeps=False), "b is kept otherwise",
    ),
    "an event that is not kept": (
        lambda _, kept: kept.kept.pop("synthetic|a"), "a is kept otherwise",
    ),
    "a shown reply without its text": (
        lambda _, kept: kept.kept["synthetic|a"].pop("t:synthetic|b1"),
        "b1, shown for a, has no text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_what_was_planted_in_a_responders_books_is_found(what: str) -> None:
    change, found = PLANTED[what]
    assert any(found in fault for fault in _audit(change).faults), _audit(change).faults
