"""Mastodon's part in the shared checks of network sources."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.checks.source_reader import FAST_LIMITS
from testkit.platforms.mastodon.server import FakeMastodon
from testkit.platforms.site import wait_for


class MastodonPlatform:
    """A server that forgets nothing but what is deleted."""

    can_replay = True

    def __init__(self, server: FakeMastodon) -> None:
        self.server = server
        self.secret = server.token

    def options(self) -> Mapping[str, Any]:
        """Return options that read from this server."""
        return {"server": self.server.site.url, "rewind_s": 5.0, "limits": FAST_LIMITS}

    def publish(self, count: int) -> Sequence[str]:
        """Let statuses appear; the very first once somebody listens: the past is nobody's."""
        server = self.server
        if not server.statuses:
            wait_for(lambda: server.used.get("pages", 0) > 0 and server.subscriptions > 0)
        return server.post_many([f"status {n}" for n in range(count)])

    def publish_bad(self) -> int:
        """Stream events that are broken or no statuses."""
        server = self.server
        status = next(iter(server.statuses.values()))
        bad = ["{", "[]", '{"id":"1","visibility":"public"}', '{"id":"1","content":"","account":7}']
        server.site.do(lambda: [server.stream_raw("update", one, status) for one in bad])
        return len(bad)

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: statuses, boosts and events of one account."""
        server, account = self.server, {"acct": author, "url": f"https://x.test/@{author}"}
        self.publish(1)
        good = server.post_many([text], account=account, url=f"https://x.test/@{author}/1")
        server.edit(good[0], f"{text} again")
        status = next(iter(server.statuses.values())) | {
            "account": account, "content": f"<p>{text}</p>", "id": "7",
            "url": f"https://x.test/@{author}/7",
        }  # fmt: skip
        whole = json.dumps(status)

        def other(**fields: Any) -> str:
            return json.dumps(status | fields)

        bad = [
            whole[:-9],
            json.dumps([status]),
            json.dumps(f"{author} {text}"),
            '{"x":' * 5_000 + whole + "}" * 5_000,
            other(account=f"{author} {text}"),
            other(account={"name": author}),
            other(content=[author, text]),
            other(reblog=f"{author} {text}"),
            other(reblog=status | {"id": None}),
            other(reblog=status | {"account": author}),
            other(id=None),
            other(id=f"{author} {text}" * 50),
            other(id=f"8{author}\ud800"),
            other(id="9", content=text * 20_000),
        ]
        events = [("update", one) for one in bad]
        events += [("status.update", other(id=None)), ("delete", f"\0{author} {text}")]
        events += [("update", other(content=text * 200_000))]  # longer than an event may be
        server.site.do(lambda: [server.stream_raw(name, one, status) for name, one in events])
        return len(events)

    @property
    def disturbances(self) -> int:
        """How often a connection was broken, or made anew."""
        return self.server.used.get("streams", 1) - 1

    def disconnect(self) -> None:
        """Cut the streams."""
        self.server.disconnect(abruptly=True)

    def break_off(self, rng: random.Random) -> None:
        """Cut the streams, end them politely, or refuse the next ones for being too many."""
        kind = rng.choice(("cut", "end", "refuse", "half_event"))
        faults = self.server.faults
        if kind == "refuse":
            faults.refuse_streaming, faults.refusals = (429, {"Retry-After": "0.1"}), 1
        faults.half_event = kind == "half_event"
        self.server.disconnect(abruptly=kind != "end")


@contextmanager
def running(_directory: Path) -> Iterator[MastodonPlatform]:
    """Give a running platform."""
    with FakeMastodon() as server:
        yield MastodonPlatform(server)
