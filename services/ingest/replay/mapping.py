"""From the fields of a row to a `Post`, or to the reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.authors import author_hasher
from core.clock import from_epoch_ms
from core.errors import ConfigError
from core.schemas import MAX_AUTHOR_CHARS, MAX_ID_CHARS, Post
from core.settings import Secret
from services.ingest.replay.options import FIELDS, ReplayOptions
from services.ingest.replay.rows import Fields, row_bytes
from services.ingest.sources.base import Unmappable

_MAX_LANG_CHARS = 35
_MAX_URL_CHARS = 2048


class RowMapper:
    """Maps rows of one file.

    Args:
        options: constants, time format and zone.
        stem: start of the ids of posts whose file has none.
        author_key: hashes authors if not empty and the options do not say `public`.

    Raises:
        ConfigError: the time zone is not known.
    """

    def __init__(self, options: ReplayOptions, stem: str, author_key: Secret) -> None:
        self._stem = stem
        self._constants = [options.constants.get(field) for field in FIELDS]
        self._parse_time = time_parser(options.time_format, options.time_zone)
        self._author = author_hasher(author_key if options.authors == "hashed" else Secret())

    def post(self, row: int, fields: Fields) -> Post | Unmappable:
        """Return the post of a row; `ingested_at` is the claimed time, or 1970 without one.

        Args:
            row: number of the row, from 1.
            fields: values in the order of `FIELDS`.
        """
        post_id, author, text, time, lang, reply_to, repost_of, url = (
            _text(constant if value is None or value == "" else value)
            for value, constant in zip(fields, self._constants, strict=True)
        )
        try:
            claimed = None if time is None else self._parse_time(time)
        except (ValueError, OverflowError):
            return _unmappable(row, fields, "the time does not have the expected format")
        post_id = post_id or f"{self._stem}-{row}"
        # A file without authors: somebody else each time, so that posts spread over partitions.
        author = self._author(author) if author else f"anonymous-{row}"
        text, lang = text or "", lang or ""
        fault = _fault(post_id, author, text, lang)
        if fault:
            return _unmappable(row, fields, fault)
        return Post(
            id=post_id,
            source="replay",
            author=author,
            ingested_at=claimed or from_epoch_ms(0),
            text=text,
            claimed_at=claimed,
            lang=lang,
            reply_to=reply_to[:MAX_ID_CHARS] if reply_to else None,
            repost_of=repost_of[:MAX_ID_CHARS] if repost_of else None,
            url=url if url and len(url) <= _MAX_URL_CHARS else None,
        )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value)


def _fault(post_id: str, author: str, text: str, lang: str) -> str:
    if len(post_id) > MAX_ID_CHARS:
        return f"the id has {len(post_id)} characters, expected at most {MAX_ID_CHARS}"
    if len(author) > MAX_AUTHOR_CHARS:
        return f"the author has {len(author)} characters, expected at most {MAX_AUTHOR_CHARS}"
    if len(lang) > _MAX_LANG_CHARS:
        return f"the language has {len(lang)} characters, expected at most {_MAX_LANG_CHARS}"
    for value in (text, post_id, author, lang):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "the bytes are not UTF-8"
    return ""


def _unmappable(row: int, fields: Fields, detail: str) -> Unmappable:
    return Unmappable(raw=row_bytes(fields), detail=f"row {row}: {detail}")


def time_parser(time_format: str, zone_name: str) -> Callable[[str], datetime]:
    """Return a function from text to an aware UTC time; it raises ValueError on other text.

    Raises:
        ConfigError: the zone is not known.

    Example:
        >>> time_parser("epoch_s", "UTC")("60").isoformat()
        '1970-01-01T00:01:00+00:00'
    """
    try:
        zone = UTC if zone_name == "UTC" else ZoneInfo(zone_name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"replay: time_zone = {zone_name!r}: no such zone") from error

    def aware(found: datetime) -> datetime:
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)

    if time_format == "iso":
        return lambda text: aware(datetime.fromisoformat(text))
    if time_format == "epoch_s":
        return lambda text: datetime.fromtimestamp(float(text), UTC)
    if time_format == "epoch_ms":
        return lambda text: from_epoch_ms(int(text))
    return lambda text: aware(datetime.strptime(text, time_format))  # noqa: DTZ007 - made aware here
