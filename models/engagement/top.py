"""The posts of a query that are expected to go furthest, with what people are shown of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from core.forecast_schemas import Expected

LAYOUT: Final = 1
_SPARE: Final = 2
"""So many times the posts that are shown are kept, so that others follow those that are over."""


class TopPost(msgspec.Struct, frozen=True, array_like=True):
    """A pending post and what is expected of it by now.

    Attributes:
        key: The twelve bytes of the post.
        post_id, source, author: Of the post.
        posted_at_s: Its time, in seconds since 1970.
        reach: Likes, replies and reposts that are expected in all at the horizon (sum of medians).
        likes, replies, reposts: Expected counts, see `core.forecast_schemas.Forecast`.
        normal: The median of the author's last posts, in likes; None where unknown.
        seen: (3,) counts by then; None is unknown.
        surprise: The least of its surprises by then; None where none is known.
    """

    key: bytes
    post_id: str
    source: str
    author: str
    posted_at_s: int
    reach: Annotated[float, msgspec.Meta(ge=0)]
    likes: Expected
    replies: Expected
    reposts: Expected
    normal: float | None
    seen: tuple[int | None, int | None, int | None]
    surprise: float | None


class _TopRecord(msgspec.Struct, frozen=True, array_like=True):
    layout: Annotated[int, msgspec.Meta(ge=LAYOUT, le=LAYOUT)]
    posts: list[TopPost]


class TopPosts:
    """The top posts of one query; bounded.

    Args:
        size: How many are shown.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._posts: dict[bytes, TopPost] = {}
        self._least: float | None = None  # the least reach of them, once it was asked for
        self.is_changed = False

    def __contains__(self, key: bytes) -> bool:
        return key in self._posts

    def takes(self, key: bytes, reach: float) -> bool:
        """Tell whether a post of this reach has a place."""
        if key in self._posts or len(self._posts) < _SPARE * self._size:
            return True
        if self._least is None:
            self._least = min(post.reach for post in self._posts.values())
        return reach > self._least

    def offer(self, post: TopPost) -> bytes | None:
        """Take a post, or what is new of it; return the key of the one that loses its place."""
        self._posts[post.key] = post
        self._least = None
        self.is_changed = True
        if len(self._posts) <= _SPARE * self._size:
            return None
        last = max(self._ranked(), key=_rank)
        del self._posts[last.key]
        return last.key

    def remove(self, key: bytes) -> None:
        """Take a post out, if it is there."""
        if self._posts.pop(key, None) is not None:
            self._least = None
            self.is_changed = True

    def shown(self) -> list[TopPost]:
        """Return the posts that are shown, the furthest first."""
        return sorted(self._ranked(), key=_rank)[: self._size]

    def all_keys(self) -> list[bytes]:
        """Return the keys of all that are kept."""
        return list(self._posts)

    def _ranked(self) -> Iterator[TopPost]:
        return iter(self._posts.values())

    def to_blob(self) -> bytes | None:
        """Return it as bytes, the furthest first; None where there is none."""
        if not self._posts:
            return None
        return msgspec.msgpack.encode(_TopRecord(LAYOUT, sorted(self._ranked(), key=_rank)))

    @classmethod
    def from_blob(cls, blob: bytes, size: int) -> TopPosts:
        """Return what was kept.

        Raises:
            ValueError: It is of another layout, or holds what was never written.
        """
        found = cls(size)
        for post in top_posts(blob)[: _SPARE * size]:
            found._posts[post.key] = post
        return found


def top_posts(blob: bytes) -> list[TopPost]:
    """Return the posts of a record that was kept, the furthest first.

    Raises:
        ValueError: It is of another layout, or holds what was never written.
    """
    return msgspec.msgpack.decode(blob, type=_TopRecord).posts  # its errors are ValueErrors


def _rank(post: TopPost) -> tuple[float, bytes]:
    return -post.reach, post.key
