"""The texts by which some pending posts are told of; see `models.engagement.telling`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.engagement.pending import PendingPosts

_MOST_BYTES = 4096


class NamedPost(msgspec.Struct, frozen=True, array_like=True):
    """What a pending post is called.

    Attributes:
        post_id, author: Of the post.
        model_version: The model that its forecast is from.
        is_watched: Whether it matches a query, beside the one that all match.
    """

    post_id: str
    author: str
    model_version: str
    is_watched: bool


class NamedPosts:
    """Texts by the keys of posts.

    Attributes:
        changed: The keys of which the text is new or gone.
    """

    def __init__(self) -> None:
        self._posts: dict[bytes, NamedPost] = {}
        self.changed: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return key in self._posts

    def find(self, key: bytes) -> NamedPost | None:
        """Return the text of a post, None where it is not kept."""
        return self._posts.get(key)

    def add(self, key: bytes, post: NamedPost) -> None:
        """Keep a text, if it is not kept already."""
        if key not in self._posts:
            self._posts[key] = post
            self.changed.add(key)

    def remove(self, key: bytes) -> None:
        """Keep a text no longer."""
        if self._posts.pop(key, None) is not None:
            self.changed.add(key)

    def blob(self, key: bytes) -> bytes | None:
        """Return a text as it is kept, None where there is none."""
        post = self._posts.get(key)
        return None if post is None else msgspec.msgpack.encode(post)

    def load(
        self, blobs: Iterable[tuple[bytes, bytes]], pending: PendingPosts
    ) -> list[tuple[bytes, str]]:
        """Take over what was kept; return what cannot be used, and what is wrong with it."""
        refused: list[tuple[bytes, str]] = []
        for key, blob in blobs:
            if pending.find(key) is None or len(blob) > _MOST_BYTES:
                refused.append((key, f"{len(blob)} bytes, of no pending post or too many"))
                continue
            try:
                self._posts[key] = msgspec.msgpack.decode(blob, type=NamedPost)
            except msgspec.MsgspecError as error:
                refused.append((key, str(error)))
        return refused
