"""Mastodon's part in the shared checks of network sources."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.ingest.sources.mastodon.fake_server import FakeMastodon
from services.ingest.sources.reading import FAST_LIMITS
from services.ingest.sources.threaded_site import wait_for


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

    @property
    def disturbances(self) -> int:
        """How often a connection was broken, or made anew."""
        return self.server.used.get("streams", 1) - 1

    def disconnect(self) -> None:
        """Cut the streams."""
        self.server.disconnect(abruptly=True)

    def break_off(self, chance: random.Random) -> None:
        """Cut the streams, end them politely, or refuse the next ones for being too many."""
        kind = chance.choice(("cut", "end", "refuse", "half_event"))
        faults = self.server.faults
        if kind == "refuse":
            faults.refuse_streaming, faults.refusals = (429, {"Retry-After": "0.1"}), 1
        faults.half_event = kind == "half_event"
        self.server.disconnect(abruptly=kind != "end")


@contextmanager
def mastodon_platform(_directory: Path) -> Iterator[MastodonPlatform]:
    """Give a running platform."""
    with FakeMastodon() as server:
        yield MastodonPlatform(server)
