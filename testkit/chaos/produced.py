"""First part of the oracle: which records are posts, copies, neither; what happened to posts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from testkit.chaos.books import Audit, Books, Id, RawRecord, Where
from testkit.chaos.recount import Post, read_event, read_json, read_post

INVALID: Final = "invalid_score"
Place = tuple[int, int, Post]
"""(partition, offset, post)"""


@dataclass(slots=True)
class Produced:
    """What was produced.

    A record that was answered with wrong scores is not counted, so that a later copy of it is no
    copy. Where a batch was scored again, because of another fault, a record may have been answered
    both wrongly and rightly; which of the two stands cannot be told from outside.

    Attributes:
        ids: (source, id) of every post.
        accepted: (source, id) -> its first record that is counted, or may be.
        copies: The positions of further records of these posts.
        malformed: The records that are no posts.
        unscored: The positions that were answered with wrong scores and never with right ones.
        unsure: (source, id) -> its records that may be counted, of posts answered both ways.
        deleted: The posts that an event deletes.
        edits: Post -> positions of the edits of which one stands, in order; most often one.
        unsure_edits: The posts of which it may be that no edit stands.
        dead: Position -> its dead records in order.
    """

    ids: set[Id] = field(default_factory=set[Id])
    accepted: dict[Id, Place] = field(default_factory=dict[Id, Place])
    copies: set[Where] = field(default_factory=set[Where])
    malformed: list[RawRecord] = field(default_factory=list[RawRecord])
    unscored: set[Where] = field(default_factory=set[Where])
    unsure: dict[Id, list[Place]] = field(default_factory=dict[Id, list[Place]])
    deleted: set[Id] = field(default_factory=set[Id])
    edits: dict[Id, list[Where]] = field(default_factory=dict[Id, list[Where]])
    unsure_edits: set[Id] = field(default_factory=set[Id])
    dead: dict[Where, list[dict[str, Any]]] = field(
        default_factory=dict[Where, list[dict[str, Any]]]
    )

    def is_answered_wrongly(self, where: Where) -> bool:
        """Tell whether a dead record says that this record's scores were wrong."""
        return any(record["reason"] == INVALID for record in self.dead.get(where, ()))


def sort_produced(books: Books, audit: Audit) -> Produced:
    """Sort the records of `posts` and `post-events`, partition by partition, in order of offset."""
    produced = Produced()
    for record in books.dead:
        found = read_json(record.value) or {}
        where = (str(found.get("topic")), int(found["partition"]), int(found["offset"]))
        if where[2] >= 0:
            produced.dead.setdefault(where, []).append(found)
    posts, events = _in_order(books, "posts"), _in_order(books, "post-events")
    _sort_posts(produced, books, posts)
    _sort_events(produced, books, events, audit)
    sure = produced.accepted.keys() - produced.unsure.keys()
    audit.figures |= {
        "records_of_posts": len(posts),
        "posts_accepted": len(produced.accepted),
        "posts_unscored": sum(where[0] == "posts" for where in produced.unscored),
        "posts_unsure": len(produced.unsure),
        "copies": len(produced.copies),
        "malformed": len(produced.malformed),
        "records_of_post_events": len(events),
        "events_unscored": sum(where[0] == "post-events" for where in produced.unscored),
        "posts_deleted": len(produced.deleted & sure),
        "posts_edited": len(produced.edits.keys() & produced.accepted.keys()),
    }
    return produced


def _sort_posts(produced: Produced, books: Books, records: list[RawRecord]) -> None:
    not_counted: set[Id] = set()
    places: dict[Id, list[Place]] = {}
    for record in records:
        post, where = read_post(record.value), ("posts", record.partition, record.offset)
        if post is None:
            produced.malformed.append(record)
            continue
        post_id = (post.source, post.id)
        produced.ids.add(post_id)
        if where in books.scored:
            places.setdefault(post_id, []).append((record.partition, record.offset, post))
        if produced.is_answered_wrongly(where):
            not_counted.add(post_id)
            if where in books.scored:
                produced.unsure[post_id] = places[post_id]
            else:
                produced.unscored.add(where)
                continue
        # A copy that came while its original was being scored is none of a counted post.
        is_called_copy = post_id in not_counted and where not in books.scored
        if post_id in produced.accepted or (is_called_copy and where in produced.dead):
            produced.copies.add(where)
        else:
            produced.accepted[post_id] = (record.partition, record.offset, post)


def _sort_events(produced: Produced, books: Books, records: list[RawRecord], audit: Audit) -> None:
    for record in records:
        event, where = read_event(record.value), ("post-events", record.partition, record.offset)
        if event is None:
            audit.expect("every event is readable", [record.offset])
            continue
        kind, post_id = event
        # A deletion removes for good; of edits the last in the topic stands.
        if kind == "delete":
            produced.deleted.add(post_id)
        elif kind == "edit" and not produced.is_answered_wrongly(where):
            produced.edits[post_id] = [where]
            produced.unsure_edits.discard(post_id)
        elif kind == "edit" and where in books.scored:
            if post_id not in produced.edits:
                produced.unsure_edits.add(post_id)
            produced.edits.setdefault(post_id, []).append(where)
        elif kind == "edit":
            produced.unscored.add(where)


def _in_order(books: Books, topic: str) -> list[RawRecord]:
    return sorted(books.records.get(topic, []), key=lambda r: (r.partition, r.offset))
