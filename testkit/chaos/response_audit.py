"""What the responder has told and keeps, against what took off, was said and was deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from testkit.chaos.books import Audit, Books, Id, RawRecord, ResponseBooks
from testkit.chaos.recount import read_event, read_json, read_post

_STATES: Final = ("current", "over", "withdrawn")
_TEXT: Final = "t:"


class ResponseAudit:
    """Checks the responder's books.

    Every post that took off is answered, and nothing else. Every reply says what it is, and people
    have said what is called theirs, to the post that is named. Once all deletions are read nothing
    shows a deleted post, or what was said to it, and what is kept is what was told last, also where
    a fault made the store lose what it had: the responder notices, and tells all anew.
    """

    def __init__(self, books: Books, kept: ResponseBooks, audit: Audit) -> None:
        self._kept = kept
        self._audit = audit
        self._root_of: dict[Id, str] = {}
        for record in books.records.get("posts", ()):
            post = read_post(record.value)
            if post is not None:
                root = read_json(record.value).get("reply_to") or ""
                self._root_of.setdefault((post.source, post.id), root)
        events = (read_event(record.value) for record in books.records.get("post-events", ()))
        self._deleted = {one[1] for one in events if one is not None and one[0] == "delete"}
        self._told: dict[Id, tuple[dict[str, Any], bytes]] = {}
        self._malformed: list[str] = []
        self._kinds = dict.fromkeys(("real", "quoted", "generated"), 0)
        for record in kept.told:
            self._take(record)

    def _take(self, record: RawRecord) -> None:
        said = read_json(record.value)
        fault = _fault(said, record.key)
        if fault:
            self._malformed.append(f"record {record.offset}: {fault}")
            return
        for reply in said.get("replies", ()):
            self._kinds[reply["kind"]] += 1
        self._told[said["source"], said["post_id"]] = said, record.value

    def check(self) -> None:
        """Compare all of it and note figures and faults."""
        audit = self._audit
        audit.expect("every response is one, and each of its replies says what it is",
                     self._malformed)  # fmt: skip
        audit.expect("every post that takes off is answered, and nothing else", self._answered())
        audit.expect("a response is withdrawn if its post was deleted, and only then",
                     self._withdrawn())  # fmt: skip
        audit.expect("people have said what is shown as theirs", self._invented())
        audit.expect("no last response shows a deleted post", self._shown_deleted())
        audit.expect("nothing is kept of a deleted post, or of what was said to it", self._left())
        audit.expect("what is kept is what was told last, with its texts", self._not_kept())
        states = [said["state"] for said, _ in self._told.values()]
        audit.figures["responses_told"] = len(self._kept.told)
        audit.figures["responses_events"] = len(self._told)
        audit.figures["responses_withdrawn"] = states.count("withdrawn")
        for kind, number in self._kinds.items():
            audit.figures[f"responses_shown.{kind}"] = number

    def _answered(self) -> Iterator[str]:
        said = [read_json(record.value) for record in self._kept.events]
        took_off = {(one["source"], one["post_id"]) for one in said}
        for source, post_id in sorted(took_off ^ self._told.keys()):
            is_known = (source, post_id) in took_off
            yield f"{post_id} {'has no response' if is_known else 'never took off'}"

    def _withdrawn(self) -> Iterator[str]:
        for post, (said, _) in self._told.items():
            is_withdrawn = said["state"] == "withdrawn"
            if is_withdrawn != (post in self._deleted):
                yield f"{post[1]} is {said['state']}"
            elif is_withdrawn and (said.get("replies") or said.get("no_forecast")):
                yield f"{post[1]} is withdrawn and says more"

    def _by_people(self) -> Iterator[tuple[Id, str, Id]]:
        """Yield the event, the reply's root as it is told, and the reply, of last responses."""
        for post, (said, _) in self._told.items():
            for reply in said.get("replies", ()):
                if reply["kind"] != "generated":
                    root = reply.get("event_post") or post[1]
                    yield post, root, (post[0], reply["reply_id"])

    def _invented(self) -> Iterator[str]:
        for post, root, reply in self._by_people():
            if self._root_of.get(reply) != root:
                yield f"{reply[1]}, shown for {post[1]}, answers {self._root_of.get(reply)!r}"

    def _shown_deleted(self) -> Iterator[str]:
        for post, root, reply in self._by_people():
            if reply in self._deleted or (post[0], root) in self._deleted:
                yield f"{reply[1]}, shown for {post[1]}"

    def _left(self) -> Iterator[str]:
        for event, fields in self._kept.kept.items():
            for name in filter(lambda name: name.startswith(_TEXT), fields):
                post = _id_of(name.removeprefix(_TEXT))
                said_to = (post[0], self._root_of.get(post, ""))
                if {_id_of(event), post} & self._deleted:
                    yield f"the text of {post[1]} for {event}"
                elif said_to in self._deleted and post != _id_of(event):
                    yield f"the text of {post[1]}, which answered {said_to[1]}, for {event}"
        for post in self._kept.where:
            if _id_of(post) in self._deleted:
                yield f"where {post} is shown"

    def _not_kept(self) -> Iterator[str]:
        for post, (_, value) in self._told.items():
            if self._kept.kept.get("|".join(post), {}).get("response") != value:
                yield f"{post[1]} is kept otherwise"
        for post, _, reply in self._by_people():
            if f"{_TEXT}{'|'.join(reply)}" not in self._kept.kept.get("|".join(post), {}):
                yield f"{reply[1]}, shown for {post[1]}, has no text"


def _id_of(name: str) -> Id:
    source, _, post_id = name.partition("|")
    return source, post_id


def _fault(said: Any, key: bytes) -> str:
    """Return why a record is no response, "" if it is one."""
    if not isinstance(said, dict) or said.get("v") != 1 or said.get("state") not in _STATES:
        return "no response"
    if not said.get("post_id") or not said.get("source") or key.decode() != said["post_id"]:
        return "of no post, or under the key of another"
    return next(filter(None, map(_reply_fault, said.get("replies", ()))), "")


def _reply_fault(reply: Any) -> str:
    """Return why a reply does not say what it is, "" if it does."""
    has_text, has_id = bool(reply.get("text")), bool(reply.get("reply_id"))
    is_of_past = "event_post" in reply and 0 <= reply.get("similarity", -1) <= 1
    match reply.get("kind"):
        case "generated":
            right = has_text and not has_id and "event_post" not in reply
        case "quoted":
            right = has_id and not has_text and is_of_past
        case "real":
            right = has_id and not has_text and "event_post" not in reply
        case _:
            right = False
    return "" if right else f"a reply that is none of its kind: {sorted(reply)}"
