"""Personas: what an author's own posts say of how they write, as of a time.

An author is a keyed hash, never a name. A persona is made of the author's last posts before the
event: decayed means of what the post encoder says of them, the posts that have to do with the
event, and a few words for a generator. Participation in collective action and what else is a
matter of groups is refused. Texts leave after their retention, heads after the lifetime; a deleted
or edited post, and an author who opts out, leave every persona at once. What does not fit is
dropped and counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Final

import msgspec

from models.socialalign.persona_history import (
    Occasion,
    RememberedPost,
    check_post,
    head_means,
    relevant,
)
from models.socialalign.persona_limits import PersonaLimits
from models.socialalign.persona_text import describe

RELEVANT: Final = 5


@dataclass(frozen=True, slots=True)
class Persona:
    """An author as of a time.

    Attributes:
        posts: The posts that it is made of, by number.
        means: Head to the decayed means of its classes; without the heads of which none is known.
        history: The author's posts that have to do with the event, the closest first.
        text: It in a few words, for a generator; empty where nothing is known.
        is_whole: Nothing that it should be made of was dropped by then for want of room, or has
            expired since.
    """

    posts: int
    means: dict[str, tuple[float, ...]]
    history: tuple[RememberedPost, ...]
    text: str
    is_whole: bool


class _Author(msgspec.Struct, array_like=True):
    """The posts of an author by id, and the time of the latest that was dropped for room."""

    posts: dict[str, RememberedPost]
    dropped_at: float | None


class _AllPersonas(msgspec.Struct, array_like=True):
    authors: dict[str, _Author]
    deleted: list[tuple[str, str, float]]
    swept_at: float | None
    evicted_at: float | None


class Personas:
    """The authors that are remembered. Not thread-safe.

    Args:
        limits: How much is kept, and for how long.
        opted_out: Tells whether an author wants no persona, or is gone. It is asked at each read
            and write.

    Attributes:
        dropped: Reason (`authors`, `posts`, `expired`, `deleted`, `opted_out`, `repeated`) to the
            posts that are not, or no longer, remembered for it; `letters` to texts that were cut,
            `tombstones` to deletions that are no longer remembered.
    """

    def __init__(self, limits: PersonaLimits, opted_out: Callable[[str], bool]) -> None:
        self._limits, self._opted_out = limits, opted_out
        self._authors: OrderedDict[str, _Author] = OrderedDict()
        self._deleted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._swept_at: float | None = None
        self._evicted_at: float | None = None
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._authors)

    def add(self, author: str, post: RememberedPost) -> None:
        """Take in a post, in any order of times.

        Raises:
            ValueError: It cannot be of a persona; nothing of it was kept.
        """
        check_post(post)
        if self._opted_out(author):
            self.forget(author)
            self.dropped["opted_out"] += 1
            return
        if (author, post.post_id) in self._deleted:
            self.dropped["deleted"] += 1
            return
        kept = self._kept_of(post)
        if kept is None:
            self.dropped["expired"] += 1
            return
        known = self._authors.pop(author, None) or _Author({}, self._evicted_at)
        self._authors[author] = known
        if post.post_id in known.posts:
            self.dropped["repeated"] += 1
            return
        known.posts[post.post_id] = kept
        self._make_room(known)

    def _kept_of(self, post: RememberedPost) -> RememberedPost | None:
        """Return what may be kept of a post by now; None for nothing."""
        limits, age = self._limits, 0.0
        if self._swept_at is not None:
            age = self._swept_at - post.posted_at
        if age >= limits.lifetime_s:
            return None
        text = "" if age >= limits.text_s else post.text
        self.dropped["letters"] += len(text) > limits.most_letters
        return msgspec.structs.replace(post, text=text[: limits.most_letters])

    def _make_room(self, author: _Author) -> None:
        while len(author.posts) > self._limits.most_posts:
            oldest = min(author.posts.values(), key=_when)
            del author.posts[oldest.post_id]
            author.dropped_at = _later(author.dropped_at, oldest.posted_at)
            self.dropped["posts"] += 1
        while len(self._authors) > self._limits.most_authors:
            _name, evicted = self._authors.popitem(last=False)
            for post in evicted.posts.values():
                self._evicted_at = _later(self._evicted_at, post.posted_at)
            self._evicted_at = _latest(self._evicted_at, evicted.dropped_at)
            self.dropped["authors"] += len(evicted.posts)

    def delete(self, author: str, post_id: str, at: float) -> None:
        """Forget a post that was deleted or edited; it stays forgotten if it comes only later.

        Args:
            author: Who wrote it.
            post_id: Its id.
            at: When that was, in seconds since 1970.
        """
        known = self._authors.get(author)
        if known is not None and known.posts.pop(post_id, None) is not None:
            self.dropped["deleted"] += 1
            if not known.posts and known.dropped_at is None:
                del self._authors[author]
        if self._opted_out(author):
            return
        # Its author stands beside it, so that a tombstone leaves with its author.
        self._deleted[author, post_id] = at
        self._deleted.move_to_end((author, post_id))
        while len(self._deleted) > self._limits.most_authors:
            self._deleted.popitem(last=False)
            self.dropped["tombstones"] += 1

    def forget(self, author: str) -> None:
        """Forget an author who opted out or was deleted: every post, and that there were any."""
        known = self._authors.pop(author, None)
        if known is not None:
            self.dropped["opted_out"] += len(known.posts)
        for name in [name for name in self._deleted if name[0] == author]:
            del self._deleted[name]

    def sweep(self, now: float) -> None:
        """Let go what is too old by now (seconds since 1970), and who opted out since.

        Raises:
            ValueError: That is no time.
        """
        if not isfinite(now):
            raise ValueError(f"now {now}: expected seconds since 1970")
        self._swept_at = _later(self._swept_at, now)
        for author in list(self._authors):
            if self._opted_out(author):
                self.forget(author)
                continue
            known = self._authors[author]
            aged = [(post_id, self._kept_of(post)) for post_id, post in known.posts.items()]
            self.dropped["expired"] += sum(post is None for _post_id, post in aged)
            known.posts = {post_id: post for post_id, post in aged if post is not None}
            if not known.posts and not self._matters(known.dropped_at):
                del self._authors[author]
        for name in [name for name, at in self._deleted.items() if not self._matters(at)]:
            del self._deleted[name]

    def _matters(self, at: float | None) -> bool:
        """Tell whether a post of a time could still be in a persona."""
        limits, now = self._limits, self._swept_at
        return at is not None and (now is None or at > now - limits.lifetime_s)

    def as_of(self, author: str, occasion: Occasion) -> Persona | None:
        """Return an author as of an event, from earlier posts alone; None of whom there are none.

        Posts in the event's own thread are not history.
        """
        known = self._authors.get(author)
        if known is None or self._opted_out(author):
            return None
        limits, at = self._limits, occasion.at
        earlier = [
            post
            for post in known.posts.values()
            if at - limits.lifetime_s < post.posted_at < at and post.thread != occasion.thread
        ]
        used = sorted(earlier, key=_when)[-limits.used_posts :]
        if not used:
            return None
        told = [
            post if at - post.posted_at < limits.text_s else msgspec.structs.replace(post, text="")
            for post in used
        ]
        means = head_means(told, limits.half_life_s)
        history = tuple(relevant(told, occasion, RELEVANT))
        is_whole = self._is_whole(known, at, used)
        return Persona(len(used), means, history, describe(means, told), is_whole)

    def _is_whole(self, author: _Author, at: float, used: list[RememberedPost]) -> bool:
        limits, dropped = self._limits, author.dropped_at
        if self._swept_at is not None and at < self._swept_at:
            return False
        if dropped is None or dropped <= at - limits.lifetime_s:
            return True
        return len(used) == limits.used_posts and dropped < used[0].posted_at

    def to_bytes(self) -> bytes:
        """Return all that is remembered, the same bytes whatever the order that it came in."""
        authors = {
            name: _Author(dict(sorted(known.posts.items())), known.dropped_at)
            for name, known in sorted(self._authors.items())
            if not self._opted_out(name)
        }
        deleted = sorted(
            (author, post_id, at)
            for (author, post_id), at in self._deleted.items()
            if not self._opted_out(author)
        )
        return msgspec.msgpack.encode(
            _AllPersonas(authors, deleted, self._swept_at, self._evicted_at), order="deterministic"
        )

    def restore(self, state: bytes) -> None:
        """Take the place of what was remembered, from `to_bytes`.

        Raises:
            ValueError: They are not such bytes; what was remembered is as before.
        """
        try:
            found = msgspec.msgpack.decode(state, type=_AllPersonas)
        except msgspec.MsgspecError as error:
            raise ValueError(f"these are no personas: {error}") from error
        for known in found.authors.values():
            for post_id, post in known.posts.items():
                check_post(post)
                if post.post_id != post_id:
                    raise ValueError("a post is remembered under another's id")
        times = [found.swept_at, found.evicted_at, *(at for _author, _id, at in found.deleted)]
        times += [known.dropped_at for known in found.authors.values()]
        if not all(at is None or isfinite(at) for at in times):
            raise ValueError("a time of what was dropped is none")
        recent = sorted(
            found.authors.items(),
            key=lambda one: (max((p.posted_at for p in one[1].posts.values()), default=0), one[0]),
        )
        self._authors = OrderedDict(one for one in recent if not self._opted_out(one[0]))
        self._deleted = OrderedDict(
            ((author, post_id), at)
            for author, post_id, at in sorted(found.deleted, key=lambda one: one[2])
            if not self._opted_out(author)
        )
        self._swept_at, self._evicted_at = found.swept_at, found.evicted_at


def _when(post: RememberedPost) -> tuple[float, str]:
    return post.posted_at, post.post_id


def _later(one: float | None, other: float) -> float:
    return other if one is None else max(one, other)


def _latest(one: float | None, other: float | None) -> float | None:
    return one if other is None else _later(one, other)
