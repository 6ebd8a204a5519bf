"""Frames of Jetstream v1 and v2 as typed values. Pure; nothing that a server sends raises.

Only the fields that are used are decoded, and only the records of collections that are ours:
what another collection holds spoils no event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from core.clock import EPOCH
from core.codec import without_values
from services.ingest.sources.bluesky.options import LIKE, POST, REPOST

Position64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
NOTHING: Final = msgspec.Raw(b"null")
_OURS: Final = frozenset((POST, LIKE, REPOST))


class Reference(Struct, frozen=True, gc=False):
    """A pointer to a record; the rest of it is not looked at."""

    uri: str = ""


class Reply(Struct, frozen=True, gc=False):
    """What a post answers."""

    parent: Reference | None = None


class LexiconRecord(Struct, frozen=True, gc=False, rename={"created_at": "createdAt"}):
    """What is used of posts, likes and reposts.

    Attributes:
        facets, tags, embed: What a post says beside its text, in JSON; not looked at here, so that
            no post is refused for it.
    """

    text: str = ""
    created_at: str | None = None
    langs: list[str] | None = None
    reply: Reply | None = None
    subject: Reference | str | None = None
    facets: msgspec.Raw = NOTHING
    tags: msgspec.Raw = NOTHING
    embed: msgspec.Raw = NOTHING


class Account(Struct, frozen=True, gc=False):
    """The state of an account; `seq` is the relay's."""

    active: bool = True
    status: str = ""
    seq: int = 0


class Event(Struct, frozen=True, gc=False):
    """One event of either version.

    Attributes:
        kind: One of `commit`, `identity`, `account`, `sync`, or one not known yet.
        did: The account.
        us: When the server saw it, microseconds since 1970.
        seq: The server's own number; 0 if it gives none.
        operation: What a commit does: `create`, `update`, `delete`.
        record: The record of a commit that is ours and no deletion.
    """

    kind: str
    did: str
    us: int
    seq: int
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    rev: str = ""
    record: LexiconRecord | None = None
    account: Account | None = None


class Notice(Struct, frozen=True, gc=False):
    """The server tells something and goes on."""

    name: str
    message: str = ""


class ErrorFrame(Struct, frozen=True, gc=False):
    """The server tells why it is about to close."""

    error: str
    message: str = ""


class Malformed(Struct, frozen=True, gc=False):
    """A frame that is no event; `detail` never has its text."""

    detail: str


Frame: TypeAlias = Event | Notice | ErrorFrame | Malformed


class _CommitV1(Struct, gc=False):
    operation: str
    collection: str
    rkey: str
    rev: str = ""
    record: msgspec.Raw = NOTHING


class _EventV1(Struct, gc=False):
    did: str
    time_us: Position64
    kind: str
    cursor: Position64 = 0
    commit: _CommitV1 | None = None
    account: Account | None = None


class _PayloadV2(Struct, gc=False, rename={"type": "$type", "witnessed_at": "witnessedAt"}):
    type: str
    did: str = ""
    seq: Position64 = 0
    time: Annotated[datetime, Meta(tz=True)] | None = None
    witnessed_at: Annotated[datetime, Meta(tz=True)] | None = None
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    rev: str = ""
    record: msgspec.Raw = NOTHING
    account: Account | None = None
    name: str = ""
    message: str = ""


class _MessageV2(Struct, gc=False, rename={"type": "$type"}):
    type: str
    payload: _PayloadV2 | None = None
    error: str = ""
    message: str = ""


_v1: Final = msgspec.json.Decoder(_EventV1)
_v2: Final = msgspec.json.Decoder(_MessageV2)
_records: Final = msgspec.json.Decoder(LexiconRecord | None)
_BAD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_v1(raw: bytes) -> Frame:
    """Return what a frame of `/subscribe` says."""
    try:
        found = _v1.decode(raw)
        commit = found.commit
        if commit is None:
            if found.kind == "commit":
                return Malformed("a commit without its commit")
            return Event(found.kind, found.did, found.time_us, found.cursor, account=found.account)
        return Event(
            found.kind, found.did, found.time_us, found.cursor, commit.operation,
            commit.collection, commit.rkey, commit.rev, _record(commit.collection, commit.record),
        )  # fmt: skip
    except _BAD as error:
        return Malformed(_said(error))


def parse_v2(raw: bytes) -> Frame:
    """Return what a frame of `subscribeEvents` says."""
    try:
        found = _v2.decode(raw)
        if found.type == "error":
            return ErrorFrame(found.error, found.message)
        said = found.payload
        if found.type != "message" or said is None:
            return Malformed("expected a message or an error frame")
        kind = said.type.rpartition("#")[2]
        if kind == "info":
            return Notice(said.name, said.message)
        at = said.witnessed_at or said.time
        if at is None or not said.did:
            return Malformed("an event without a time or an account")
        return Event(
            kind, said.did, _us(at), said.seq, said.operation, said.collection, said.rkey,
            said.rev, _record(said.collection, said.record), said.account,
        )  # fmt: skip
    except _BAD as error:
        return Malformed(_said(error))


def _record(collection: str, raw: msgspec.Raw) -> LexiconRecord | None:
    """Return the record of a commit that is ours; others may be of any shape.

    Raises:
        msgspec.ValidationError: A field that is used is not as the lexicon has it.
    """
    return _records.decode(raw) if collection in _OURS else None


PARSERS: Final[dict[Literal["v1", "v2"], Callable[[bytes], Frame]]] = {
    "v1": parse_v1,
    "v2": parse_v2,
}


def _us(at: datetime) -> int:
    """Return microseconds since 1970, exact."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _said(error: Exception) -> str:
    """Return the decoder's words: types and paths, never values."""
    return f"{type(error).__name__}: {without_values(str(error))}"[:200]
