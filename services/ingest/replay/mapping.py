"""From the fields of a row to a `Post`, or to the reason why it cannot be one."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from core.authors import author_hasher
from core.clock import epoch_ms, from_epoch_ms
from core.languages import language_tag
from core.schemas import MAX_AUTHOR_CHARS, MAX_ID_CHARS, Post
from core.settings import Secret
from core.text import readable_text
from services.ingest.replay.attached import attached_to
from services.ingest.replay.counts import CountsReader, RowCounts
from services.ingest.replay.fields import FileLayout
from services.ingest.replay.rows import BadRow, Fields, row_bytes
from services.ingest.replay.times import TimeReader, UndecidedDate
from services.ingest.sources.base import Ignored, RawRecord, Unmappable
from services.ingest.sources.records import dict_of
from services.ingest.sources.replay.options import ATTACHED_FIELDS, FIELDS, ReplayOptions

_MAX_URL_CHARS = 2048
_MANGLED: Final = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+?\d{1,3}|\d{15,}\.0|#[A-Z/!?0]+|NaN|nan")
"""What spreadsheets and data frames make of long ids: many ids become one."""
_NAMES: Final = ("acct", "username", "screen_name", "handle", "preferredUsername", "name", "did",
                 "id", "id_str", "url")  # fmt: skip
_NAMED_INSIDE: Final = ("profile", "user", "account", "author", "data", "attributes", "legacy")
_LANGUAGE_KEYS: Final = ("code", "tag", "lang", "id", "name")
_SEVERAL: Final = re.compile(r"[,;|]")
_UNWRAPPED: Final = ("$date", "$numberLong", "$oid")  # MongoDB's extended JSON

_TIME: Final = FIELDS.index("time")
_PIECES: Final = len(ATTACHED_FIELDS)
SOURCE: Final = "replay"
MADE: Final = "made-"
"""The start of ids that are made of a row's content."""
NOBODY: Final = "anonymous-"
"""The start of authors where a file names none."""


class MappedRow(Struct, frozen=True):
    """A row as it will leave.

    Attributes:
        row: Number of the row, from 1.
        record: The post, or why there is none.
        at: When it happened; None if the file does not say.
        has_mangled_id: Whether its id was made because a spreadsheet spoilt the row's own.
        unknown_language: What the row says of its language, if that is none; else "".
        counts: How far its post went, if the row says it.
    """

    row: int
    record: Post | RawRecord | Unmappable | Ignored
    at: datetime | None = None
    has_mangled_id: bool = False
    unknown_language: str = ""
    counts: RowCounts | None = None


class RowMapper:
    """Maps rows of one file, in order.

    Args:
        path: The file; its name starts the ids of posts that have neither id nor time.
        layout: The form of its times, and whether its long ids are rounded.
        options: The constants, and whether authors are public.
        author_key: The key that hides authors; they stay as they are if it is empty or if the
            options say `public`.

    Raises:
        ConfigError: The time format or zone is not known.
    """

    def __init__(
        self, path: Path, layout: FileLayout, options: ReplayOptions, author_key: Secret
    ) -> None:
        self._rounded_ids = layout.rounded_ids
        self._stem = path.name.split(".")[0]
        self._constants = [options.constants.get(field) for field in FIELDS]
        self._parse_time = TimeReader(layout.time_format, options.time_zone)
        self._counts: CountsReader | None = None
        if layout.has_counts(options):
            self._counts = CountsReader(layout.time_format, options.time_zone)
        self._author = author_hasher(author_key if options.authors == "hashed" else Secret())

    def post(self, row: int, fields: Fields | BadRow) -> MappedRow:
        """Return the post of a row; `ingested_at` is the claimed time, or 1970 without one.

        Args:
            row: The number of the row, from 1.
            fields: The values in the order of `FIELDS`.
        """
        if isinstance(fields, BadRow):
            return MappedRow(row, Unmappable(fields.raw, f"row {row}: {fields.detail}"))
        try:
            return self._post(row, fields)
        except _Refused as refused:
            return MappedRow(row, Unmappable(row_bytes(fields), f"row {row}: {refused}"))

    def _post(self, row: int, fields: Fields) -> MappedRow:
        post_id, author, text, time, lang, reply_to, repost_of, url, title, *beside = (
            constant if value is None or value == "" else value
            for value, constant in zip(fields, self._constants, strict=True)
        )
        claimed = self._time(time)
        words = _words(text, title)
        own_id, name = _scalar(post_id), _name(author)
        hidden = self._author(name) if name else ""
        is_rounded = self._rounded_ids and is_long_number(own_id)
        is_mangled = is_rounded or bool(own_id and _MANGLED.fullmatch(own_id))
        if is_mangled or not own_id:
            own_id = self._made_id(row, hidden, claimed, words)
        language = _language(lang)
        tag = language_tag(language) if language else ""
        post = Post(
            id=own_id,
            source=SOURCE,
            author=hidden or _nobody(own_id),
            ingested_at=claimed or from_epoch_ms(0),
            text=words,
            claimed_at=claimed,
            lang=tag,
            reply_to=_reference(reply_to),
            repost_of=_reference(repost_of),
            url=_url(url),
            attached=attached_to(beside[:_PIECES], text),
        )
        _check(post)
        counts = None
        if self._counts is not None:
            values = [*beside[_PIECES:-1], _scalar(beside[-1])]
            counts = self._counts(values, claimed, is_repost=post.repost_of is not None)
        return MappedRow(row, post, claimed, is_mangled, "" if tag else language[:40], counts)

    def moment(self, fields: Fields) -> datetime | None:
        """Return when a row happened, None if it does not say.

        Raises:
            ValueError: It says it in a way that cannot be read.
        """
        value = fields[_TIME]
        return self._time(self._constants[_TIME] if value in (None, "") else value)

    def _time(self, value: Any) -> datetime | None:
        text = _scalar(value).strip()
        if not text:
            return None
        try:
            return self._parse_time(text)
        except UndecidedDate as error:
            raise _Refused(
                f"the time {text[:40]!r}: day and month can be read both ways"
            ) from error
        except (ValueError, OverflowError, OSError) as error:
            raise _Refused(f"the time {text[:40]!r} does not have the expected format") from error

    def _made_id(self, row: int, author: str, claimed: datetime | None, text: str) -> str:
        """Make an id of author, time and text, the same wherever the row stands.

        A row without a time has nothing that sets it apart but its place.
        """
        if claimed is None:
            return f"{self._stem}-{row}"
        content = f"{author}\0{epoch_ms(claimed)}\0{text}".encode("utf-8", "replace")
        return f"{MADE}{blake2b(content, digest_size=10).hexdigest()}"


def is_long_number(post_id: str) -> bool:
    """Tell an id of more digits than a spreadsheet keeps."""
    return len(post_id) > 16 and post_id.isdigit()


def _nobody(post_id: str) -> str:
    """Return an author for a post that has none: another for each, so that they spread out."""
    return NOBODY + blake2b(post_id.encode("utf-8", "replace"), digest_size=8).hexdigest()


class _Refused(ValueError):
    """Why a row cannot be a post; says nothing of its text."""


def _scalar(value: Any) -> str:
    """Return a string or number as text, "" for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        return _scalar(next((value[key] for key in _UNWRAPPED if key in value), None))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return (
        str(int(value))
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53
        else str(value)
    )


def _name(value: Any) -> str:
    """Return the name of an author, also of one who is an object; never the object itself."""
    if isinstance(value, dict):
        inner = [dict_of(value.get(key)) for key in _NAMED_INSIDE]
        places = [value, *inner]
        return next(
            (found for place in places for key in _NAMES if (found := _scalar(place.get(key)))), ""
        )
    if isinstance(value, list) and value:
        return _name(value[0])
    return _scalar(value).strip()


def _language(value: Any) -> str:
    """Return what is said of the language, the first one where there are several."""
    if isinstance(value, list | tuple):
        value = next(iter(value), "")
    if isinstance(value, dict):
        value = next((value[key] for key in _LANGUAGE_KEYS if key in value), "")
    named = _scalar(value)
    return _SEVERAL.split(named.strip(" []'\""), maxsplit=1)[0].strip(" '\"")


def _reference(value: Any) -> str | None:
    """Return the id of another post, also of one given as an object."""
    if isinstance(value, dict) and not any(key in value for key in _UNWRAPPED):
        value = next((value[key] for key in ("id_str", "id", "uri", "url") if value.get(key)), None)
    found = _scalar(value)
    return found[:MAX_ID_CHARS] if found and found.isprintable() else None


def _url(value: Any) -> str | None:
    found = _scalar(value)
    return found if 0 < len(found) <= _MAX_URL_CHARS else None


def _words(text: Any, title: Any) -> str:
    for value in (text, title):
        if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
            kind = {dict: "object", list: "list", bool: "truth value"}.get(type(value), "value")
            raise _Refused(f"the text is a JSON {kind}, expected a string")
    head, body = (readable_text(_scalar(value)) for value in (title, text))
    if head.strip() and body.strip():
        return f"{head.strip()}\n\n{body.strip()}"
    return body or head


def _check(post: Post) -> None:
    if len(post.id) > MAX_ID_CHARS:
        raise _Refused(f"the id has {len(post.id)} characters, expected at most {MAX_ID_CHARS}")
    if len(post.author) > MAX_AUTHOR_CHARS:
        raise _Refused(
            f"the author has {len(post.author)} characters, expected at most {MAX_AUTHOR_CHARS}"
        )
    for value in (post.text, post.id, post.author, post.reply_to, post.repost_of, post.url):
        if not value or value.isascii():
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Refused("the bytes are not UTF-8 (encoding)") from None


def with_number(post: Post, number: int) -> Post:
    """Return the post with the number of its appearance behind an id that was made.

    Two rows of one author, time and text are two posts where a file has no ids to say otherwise.
    """
    if number < 2:
        return post
    post_id = f"{post.id}-{number}"
    author = _nobody(post_id) if post.author.startswith(NOBODY) else post.author
    return msgspec.structs.replace(post, id=post_id, author=author)
