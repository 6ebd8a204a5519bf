"""Events as a Jetstream server keeps them, for the fake server, the benchmark and the tests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from core.clock import EPOCH
from services.ingest.sources.bluesky.options import LIKE, POST, REPOST

_NSID: Final = "network.bsky.jetstream.subscribeEvents"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_WORDS: Final = (
    "the", "harbour", "council", "rain", "today", "people", "march", "vote", "strike", "market",
    "window", "river", "bread", "music", "against", "for", "never", "always", "tomorrow", "again",
    "energy", "price", "school", "bus", "green", "light", "open", "letter",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in both wire formats.

    Attributes:
        seq: the server's number.
        us: when the server saw it, microseconds since 1970.
        did, collection: for filters; `collection` is "" for what is no commit.
        v1, v2: the frames.
    """

    seq: int
    us: int
    did: str
    collection: str
    v1: bytes
    v2: bytes


def commit(
    seq: int,
    us: int,
    did: str,
    operation: str,
    collection: str,
    rkey: str,
    record: dict[str, Any] | None = None,
) -> Entry:
    """Return a commit; the revision follows from the number."""
    rev = f"3k{seq:011d}"
    told = {"rev": rev, "operation": operation, "collection": collection, "rkey": rkey}
    if record is not None:
        told |= {"record": {"$type": collection, **record}, "cid": "bafyreib"}
    first = {"did": did, "time_us": us, "cursor": seq, "kind": "commit", "commit": told}
    second = {"did": did, "seq": seq, "time": _rfc3339(us), **told}
    return _entry(seq, us, did, collection, first, "commit", second)


def account(seq: int, us: int, did: str, *, active: bool, status: str = "") -> Entry:
    """Return a change of an account's state."""
    state = {"active": active, "did": did, "seq": seq, "time": _rfc3339(us)}
    if status:
        state["status"] = status
    first = {"did": did, "time_us": us, "cursor": seq, "kind": "account", "account": state}
    second = {"did": did, "seq": seq, "time": _rfc3339(us), "account": state}
    return _entry(seq, us, did, "", first, "account", second)


def _entry(
    seq: int, us: int, did: str, collection: str,
    first: dict[str, Any], kind: str, second: dict[str, Any],
) -> Entry:  # fmt: skip
    framed = {"$type": "message", "payload": {"$type": f"{_NSID}#{kind}", **second}}
    encode = msgspec.json.encode
    return Entry(seq, us, did, collection, encode(first), encode(framed))


def info(name: str, message: str) -> bytes:
    """Return a v2 notice."""
    payload = {"$type": f"{_NSID}#info", "name": name, "message": message}
    return msgspec.json.encode({"$type": "message", "payload": payload})


def refusal(name: str, message: str) -> bytes:
    """Return a v2 error frame."""
    return msgspec.json.encode({"$type": "error", "error": name, "message": message})


def _rfc3339(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


class Conversation:
    """Makes a stream like Bluesky's: mostly likes, a tenth posts, some replies and deletions.

    Args:
        start: time of the first event.
        seed: of everything.
        posts_share: how many of the events are posts.
        accounts: how many there are.
        first_seq: number of the first event.
        step_us: between two events.
    """

    def __init__(
        self, start: datetime, seed: int = 1, *, posts_share: float = 0.12,
        accounts: int = 500, first_seq: int = 1, step_us: int = 1_000,
    ) -> None:  # fmt: skip
        self._rng = random.Random(seed)
        self._us = (start - EPOCH) // timedelta(microseconds=1)
        self._seq = first_seq - 1
        self._step_us = step_us
        self._posts_share = posts_share
        self._dids = ["did:plc:" + self._name(24) for _ in range(accounts)]
        self.posts: list[tuple[str, str]] = []
        """Account and record key of every post made so far."""
        self.deleted: set[tuple[str, str]] = set()

    def events(self, count: int) -> Iterator[Entry]:
        """Yield the next `count` events."""
        for _ in range(count):
            self._seq += 1
            self._us += self._step_us
            yield self._next()

    def _next(self) -> Entry:
        roll = self._rng.random()
        did = self._rng.choice(self._dids)
        if roll < self._posts_share or not self.posts:
            return self._post(did)
        if roll < self._posts_share + 0.005:
            did, rkey = self._rng.choice(self.posts)
            self.deleted.add((did, rkey))
            return commit(self._seq, self._us, did, "delete", POST, rkey)
        owner, rkey = self._rng.choice(self.posts[-2_000:])
        subject = {"cid": "bafyreib", "uri": f"at://{owner}/{POST}/{rkey}"}
        record = {"createdAt": _rfc3339(self._us), "subject": subject}
        collection = LIKE if self._rng.random() < 0.85 else REPOST
        return commit(self._seq, self._us, did, "create", collection, self._key(), record)

    def _post(self, did: str) -> Entry:
        rkey = self._key()
        text = " ".join(self._rng.choices(_WORDS, k=self._rng.randint(4, 30)))
        record: dict[str, Any] = {
            "createdAt": _rfc3339(self._us), "langs": ["en"], "text": text.capitalize(),
        }  # fmt: skip
        if self.posts and self._rng.random() < 0.4:
            owner, answered = self._rng.choice(self.posts[-2_000:])
            named = {"cid": "bafyreib", "uri": f"at://{owner}/{POST}/{answered}"}
            record["reply"] = {"parent": named, "root": named}
        self.posts.append((did, rkey))
        return commit(self._seq, self._us, did, "create", POST, rkey, record)

    def _key(self) -> str:
        return f"3l{self._seq:011d}"

    def _name(self, length: int) -> str:
        return "".join(self._rng.choices(_LETTERS, k=length))


def recorded(lines: Sequence[bytes]) -> list[Entry]:
    """Return recorded frames of either version as entries; the other version's frame is empty."""
    entries: list[Entry] = []
    for line in lines:
        told: dict[str, Any] = msgspec.json.decode(line)
        if "payload" in told:
            said = told["payload"]
            at = datetime.fromisoformat(said["time"])
            us = (at - EPOCH) // timedelta(microseconds=1)
            did, collection = said["did"], said.get("collection", "")
            entries.append(Entry(said["seq"], us, did, collection, b"", line))
        else:
            collection = told.get("commit", {}).get("collection", "")
            seq = told.get("cursor", len(entries) + 1)
            entries.append(Entry(seq, told["time_us"], told["did"], collection, line, b""))
    return entries
