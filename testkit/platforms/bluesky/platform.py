"""Bluesky's part in the shared checks of network sources."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.ingest.sources.bluesky.options import LIKE, POST, REPOST
from testkit.platforms.bluesky.journal import Conversation, Entry, commit
from testkit.platforms.bluesky.server import FakeJetstream
from testkit.platforms.bluesky.sessions import Fault

IMPATIENT: Final[Mapping[str, Any]] = {
    "backoff_first_s": 0.05,
    "backoff_max_s": 0.2,
    "idle_min_s": 2.0,
    "idle_initial_s": 5.0,
    "connect_timeout_s": 5.0,
}


class BlueskyPlatform:
    """A Jetstream server and a conversation on it, of nothing but posts unless told otherwise."""

    can_replay = True

    def __init__(self, server: FakeJetstream, talk: Conversation | None = None) -> None:
        self.server = server
        self._talk = talk or Conversation(datetime.now(UTC), posts_share=1.0)

    def options(self) -> Mapping[str, Any]:
        """Return options that read from this server only, from its beginning."""
        return {"hosts": [self.server.host], "start_s_ago": 3600.0, "limits": IMPATIENT}

    def publish(self, count: int) -> Sequence[str]:
        """Let events appear; return the ids of those that are posts."""
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

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: posts, reactions and frames of one account."""
        self.publish(1)
        did, said = f"did:plc:{author}", {"text": text}
        uri = {"uri": f"at://{did}/{POST}/one"}
        frame = partial(self._frame, did)
        whole = frame("create", said, rkey="whole")
        good = [
            frame("create", said, rkey="one"),
            frame("update", said, rkey="one"),
            frame("create", said | {"reply": {"parent": uri}}, rkey="two"),
            frame("create", {"subject": uri}, collection=LIKE, rkey="three"),
            frame("delete", rkey="two"),
        ]
        bad = self._failures(author, text, whole)
        last = self.server.entries[-1]
        self.server.append(
            Entry(last.seq, last.us, did, "", one, one) for one in (*good, *bad, whole)
        )
        return len(bad)

    def _failures(self, author: str, text: str, whole: bytes) -> list[bytes]:
        """Return frames that are wrong, each in a way of its own; `whole` is one that is not."""
        did, said = f"did:plc:{author}", {"text": text}
        frame = partial(self._frame, did)
        return [
            whole[:-9],
            b"\xff" + whole,
            b"[" + whole + b"]",
            whole.replace(b'"did":"', b'"did":7,"was":"'),
            b'{"x":' * 5_000 + whole + b"}" * 5_000,
            frame("create", {"text": [said]}),
            frame("create", said | {"langs": said}),
            frame("create", said | {"createdAt": 7}),
            frame("create", rkey=f"k{text}"),
            frame("update", rkey=f"u{text}"),
            frame(f"{author} {text}", said),
            frame("create", said, rkey=f"{author}/{text}"),
            frame("create", said, rkey=text * 600),
            self._frame(author, "create", said),
            self._frame(f"{did}/{text}", "create", said),
            frame("create", {"subject": f"{did} {text}"}, collection=LIKE),
            frame(
                "create", {"subject": {"uri": f"x{did}/{POST}/{text}"}}, collection=LIKE, rkey="l"
            ),
            frame("create", {"subject": [did, text]}, collection=REPOST),
            whole.replace(b'"commit":{', b'"commit":null,"was":{'),
            frame("create", said | {"text": text * 20_000}, rkey="large"),
        ]

    def _frame(
        self, account: str, operation: str, record: Any = None, *, collection: str = POST,
        rkey: str = "k",
    ) -> bytes:  # fmt: skip
        last = self.server.entries[-1]
        return commit(last.seq, last.us, account, operation, collection, rkey, record).v1

    def disconnect(self) -> None:
        """End the sessions without a word."""
        self.server.abort_all()

    @property
    def removed(self) -> int:
        """How many posts were deleted by their authors."""
        return len(self._talk.deleted)

    @property
    def disturbances(self) -> int:
        """How often a session was begun anew."""
        return max(0, len(self.server.requests) - 1)

    def break_off(self, rng: random.Random) -> None:
        """End the sessions in one of the ways of such servers, or restart the server."""
        kind = rng.choice(("abort", "restart", "half_frame", "going_away", "repeat", "reorder"))
        if kind == "restart":
            self.server.stop()
            self.server.start()
            return
        if kind != "abort":
            # Met in the session after this one, so that two sessions end.
            self.server.faults.append(Fault(kind, rng.randrange(40)))
        self.server.abort_all()


@contextmanager
def running(_directory: Path) -> Iterator[BlueskyPlatform]:
    """Give a running platform."""
    with FakeJetstream() as server:
        yield BlueskyPlatform(server)
