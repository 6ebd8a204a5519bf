"""Statuses as a Mastodon server sends them, and where it shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Status = dict[str, Any]


def make_status(status_id: str, text: str, at: datetime, **fields: Any) -> Status:
    """Return a status as a server sends it."""
    account = {"id": "7", "acct": "ana", "noindex": False} | fields.pop("account", {})
    return {
        "id": status_id,
        "created_at": stamp(at),
        "in_reply_to_id": None,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "url": f"https://example.test/@ana/{status_id}",
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
        "edited_at": None,
        "content": f"<p>{text}</p>",
        "reblog": None,
        "account": account,
        "tags": [],
        **fields,
    }


def stamp(at: datetime) -> str:
    """Return a time as Mastodon writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_in(status: Status, tag: str | None, query: Any) -> bool:
    """Tell whether a timeline asked for in this way has a status."""
    is_local = "@" not in status["account"]["acct"]
    if query.get("local") == "true" and not is_local:
        return False
    if query.get("remote") == "true" and is_local:
        return False
    return tag is None or tag in {one["name"] for one in status["tags"]}


def streams_of(status: Status) -> list[str]:
    """Return the streams that a status is on."""
    is_local = "@" not in status["account"]["acct"]
    streams = ["public", "public:local" if is_local else "public:remote"]
    for tag in status["tags"]:
        streams.append(f"hashtag:{tag['name']}")
        if is_local:
            streams.append(f"hashtag:local:{tag['name']}")
    return streams
