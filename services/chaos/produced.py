"""First part of the oracle: which records are posts, copies, neither; what happened to posts."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.chaos.books import Audit, Books, Id, RawRecord, Where
from services.chaos.recount import Post, read_event, read_post


@dataclass(slots=True)
class Produced:
    """What was produced.

    Attributes:
        accepted: (source, id) -> (partition, offset, post) of its first record.
        copies: positions of further records of these posts.
        malformed: records that are no posts.
        deleted: posts that an event deletes.
        edits: post -> position of its last edit.
    """

    accepted: dict[Id, tuple[int, int, Post]] = field(
        default_factory=dict[Id, tuple[int, int, Post]]
    )
    copies: set[Where] = field(default_factory=set[Where])
    malformed: list[RawRecord] = field(default_factory=list[RawRecord])
    deleted: set[Id] = field(default_factory=set[Id])
    edits: dict[Id, Where] = field(default_factory=dict[Id, Where])


def sort_produced(books: Books, audit: Audit) -> Produced:
    """Sort the records of `posts` and `post-events`, partition by partition, in order of offset."""
    produced = Produced()
    posts = _in_order(books, "posts")
    for record in posts:
        post = read_post(record.value)
        if post is None:
            produced.malformed.append(record)
        elif (post.source, post.id) in produced.accepted:
            produced.copies.add(("posts", record.partition, record.offset))
        else:
            place = (record.partition, record.offset, post)
            produced.accepted[post.source, post.id] = place
    events = _in_order(books, "post-events")
    for record in events:
        event = read_event(record.value)
        if event is None:
            audit.expect("every event is readable", [record.offset])
            continue
        kind, post_id = event
        # A deletion removes for good; of edits the last in the topic stands.
        if kind == "delete":
            produced.deleted.add(post_id)
        elif kind == "edit":
            produced.edits[post_id] = ("post-events", record.partition, record.offset)
    audit.figures |= {
        "records_of_posts": len(posts),
        "posts_accepted": len(produced.accepted),
        "copies": len(produced.copies),
        "malformed": len(produced.malformed),
        "records_of_post_events": len(events),
        "posts_deleted": len(produced.deleted & produced.accepted.keys()),
        "posts_edited": len(produced.edits.keys() & produced.accepted.keys()),
    }
    return produced


def _in_order(books: Books, topic: str) -> list[RawRecord]:
    return sorted(books.records.get(topic, []), key=lambda r: (r.partition, r.offset))
