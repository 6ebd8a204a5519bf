"""Bluesky's part in the shared checks of network sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from services.ingest.sources.bluesky.fake_journal import Conversation, Entry, commit
from services.ingest.sources.bluesky.fake_server import FakeJetstream
from services.ingest.sources.bluesky.options import LIKE, POST

IMPATIENT: Final[Mapping[str, Any]] = {
    "backoff_first_s": 0.05,
    "backoff_max_s": 0.2,
    "idle_min_s": 2.0,
    "idle_initial_s": 5.0,
    "connect_timeout_s": 5.0,
}


class BlueskyPlatform:
    """A Jetstream server and a conversation on it."""

    can_replay = True

    def __init__(self, server: FakeJetstream) -> None:
        self.server = server
        self._talk = Conversation(datetime.now(UTC), posts_share=1.0)

    def options(self) -> Mapping[str, Any]:
        """Return options that read from this server only, from its beginning."""
        return {"hosts": [self.server.host], "start_s_ago": 3600.0, "limits": IMPATIENT}

    def publish(self, count: int) -> Sequence[str]:
        """Let posts appear."""
        before = len(self._talk.posts)
        self.server.append(self._talk.events(count))
        return [f"at://{did}/{POST}/{rkey}" for did, rkey in self._talk.posts[before:]]

    def publish_bad(self) -> int:
        """Let broken frames appear, and records that break the lexicon."""
        last = self.server.entries[-1]
        bad = [
            b'{"did":', b"[]", b'{"did":1,"time_us":"x","kind":"commit"}',
            commit(last.seq, last.us, "did:plc:a", "create", POST, "k", {"text": 5}).v1,
            commit(last.seq, last.us, "did:plc:a", "create", POST, "k").v1,
            commit(last.seq, last.us, "nobody", "create", POST, "k", {"text": "t"}).v1,
            commit(last.seq, last.us, "did:plc:a", "create", LIKE, "k", {"subject": "did:x"}).v1,
        ]  # fmt: skip
        self.server.append(Entry(last.seq, last.us, "did:plc:a", "", frame, frame) for frame in bad)
        return len(bad)

    def disconnect(self) -> None:
        """End the sessions without a word."""
        self.server.abort_all()


@contextmanager
def bluesky_platform(_directory: Path) -> Iterator[BlueskyPlatform]:
    """Give a running platform."""
    with FakeJetstream() as server:
        yield BlueskyPlatform(server)
