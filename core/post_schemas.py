"""The records that come from outside: posts, and what happens to them; see `core.schemas`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MAX_ID_CHARS: Final = 512
MAX_AUTHOR_CHARS: Final = 256
MAX_PIECES: Final = 32
MAX_PIECE_CHARS: Final = 2048

Time = Annotated[datetime, Meta(tz=True)]
PostId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
AuthorId = Annotated[str, Meta(min_length=1, max_length=MAX_AUTHOR_CHARS)]
SourceName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Language = Annotated[str, Meta(max_length=35)]
Pieces = Annotated[
    tuple[Annotated[str, Meta(max_length=MAX_PIECE_CHARS)], ...], Meta(max_length=MAX_PIECES)
]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Attached(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a post says beside its text, each piece as a reader sees it.

    Attributes:
        tags: hashtags that the platform keeps beside the text, without ``#``.
        links: addresses that the post leads to, as far as they do not stand in its text.
        cards: title and description of what it links to, as they are shown with it.
        alts: descriptions of its pictures and films.
        polls: what can be chosen in its poll.
    """

    tags: Pieces = ()
    links: Pieces = ()
    cards: Pieces = ()
    alts: Pieces = ()
    polls: Pieces = ()


class Post(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """One published text, normalised; topic `posts`, key `author`.

    Attributes:
        id: the source's own id, unique within `source`.
        source: registered name of the source it came by.
        author: account that published it (a keyed hash unless public figures only).
        ingested_at: when ingest took it.
        text: the text, possibly empty (a picture without words is a post too).
        claimed_at: when the author's platform says it was published; None if it does not say.
        lang: BCP-47 tag, or "" if unknown.
        reply_to: id of the post this one answers, within the same source.
        repost_of: id of the post this one repeats, within the same source.
        url: where people can read it.
        near_duplicate: it repeats a post that ingest saw shortly before, to the letter or nearly.
        attached: what it says beside its text; None for nothing.
    """

    id: PostId
    source: SourceName
    author: AuthorId
    ingested_at: Time
    text: str
    claimed_at: Time | None = None
    lang: Language = ""
    reply_to: PostId | None = None
    repost_of: PostId | None = None
    url: Annotated[str, Meta(max_length=2048)] | None = None
    near_duplicate: bool = False
    attached: Attached | None = None


class PostEvent(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="v", tag=1):
    """Something that happened to a post; topic `post-events`, key the *post's* author.

    Attributes:
        kind: `edit` (has `text`), `delete`, `counts` (totals so far) or one `like`, `repost`,
            `reply`.
        post_id: id of the post acted on, within `source`.
        author: author of the post acted on, so that it meets the post on its partition.
        text: new text of an edit.
        attached: what the edited post says beside its text; None for nothing.
        likes, replies, reposts, quotes: totals of a `counts` event; None where unknown.
    """

    kind: Literal["edit", "delete", "counts", "like", "repost", "reply"]
    post_id: PostId
    source: SourceName
    author: AuthorId
    ingested_at: Time
    claimed_at: Time | None = None
    text: str | None = None
    lang: Language = ""
    likes: Count | None = None
    replies: Count | None = None
    reposts: Count | None = None
    quotes: Count | None = None
    attached: Attached | None = None
