"""The last posts: any of them may take off, or be a reply to what does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from services.responder.intake import TextSeen
from services.responder.learning import ReplyLikes

_OVERHEAD: Final = 300
"""Bytes that a remembered post takes beside its text and ids."""


class RecentPosts:
    """Remembers posts, the oldest are forgotten first. Not thread-safe.

    Args:
        most_posts: The number of posts at most.
        most_bytes: The bytes of them at most.

    Attributes:
        bytes: What the posts take, about.
        evicted: Limit (`posts`, `bytes`) -> posts that it made forget.
    """

    def __init__(self, most_posts: int, most_bytes: int) -> None:
        self._most_posts = most_posts
        self._most_bytes = most_bytes
        self._posts: dict[str, TextSeen] = {}
        self._replies: dict[str, dict[str, None]] = {}
        self._likes: dict[str, ReplyLikes] = {}
        self.bytes = 0
        self.evicted: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._posts)

    def get(self, name: str) -> TextSeen | None:
        """Return a post, None if it is not remembered."""
        return self._posts.get(name)

    def add(self, post: TextSeen) -> None:
        """Remember a post that is not known yet."""
        self._posts[post.name] = post
        self.bytes += _size(post)
        if post.root:
            self._replies.setdefault(post.root, {})[post.name] = None
        while len(self._posts) > self._most_posts:
            self._evict("posts")
        while self.bytes > self._most_bytes and self._posts:
            self._evict("bytes")

    def remove(self, name: str) -> bool:
        """Forget a post; tell whether it was known."""
        post = self._posts.pop(name, None)
        self._likes.pop(name, None)
        if post is None:
            return False
        self.bytes -= _size(post)
        if post.root:
            others = self._replies[post.root]
            del others[name]
            if not others:
                del self._replies[post.root]
        return True

    def edit(self, name: str, text: str) -> TextSeen | None:
        """Return a remembered post with its new text, None if it is not remembered."""
        post = self._posts.get(name)
        if post is None:
            return None
        self.bytes += 2 * (len(text) - len(post.text))
        self._posts[name] = replace(post, text=text)
        return self._posts[name]

    def likes_of(self, name: str) -> ReplyLikes | None:
        """Return the likes of a remembered reply, none yet at first; None of what is no reply."""
        post = self._posts.get(name)
        if post is None or not post.root:
            return None
        return self._likes.setdefault(name, ReplyLikes(post.at_s))

    def replies_to(self, root: str) -> Iterator[TextSeen]:
        """Yield the replies to a post that are remembered."""
        for name in self._replies.get(root, ()):
            yield self._posts[name]

    def forget_before(self, ingested_s: float) -> None:
        """Forget posts that ingest took before a time, as far as they stand at the old end."""
        while self._posts:
            oldest = next(iter(self._posts.values()))
            if oldest.ingested_s >= ingested_s:
                return
            self.remove(oldest.name)

    def _evict(self, limit: str) -> None:
        self.evicted[limit] += 1
        self.remove(next(iter(self._posts)))


def _size(post: TextSeen) -> int:
    return _OVERHEAD + len(post.text) * 2 + len(post.name) + len(post.root)
