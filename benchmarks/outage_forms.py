"""The sources that are taken through outages, each with its platform and with small memories.

Memories whose bounds would only be reached after days are made small, so that they are full early
and what grows then would be a leak.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from testkit.checks.live_sources import platform_of
from testkit.platforms.bluesky.journal import Conversation
from testkit.platforms.bluesky.platform import BlueskyPlatform
from testkit.platforms.bluesky.server import FakeJetstream

FEED_WINDOW: Final = 600
"""Entries that a feed shows: twice what ingest may be behind."""
_STEP_US: Final = 20_000


class BreakingPlatform(Protocol):
    """A local server of one platform that breaks off when told to."""

    def options(self) -> Mapping[str, Any]:
        """Return the options of a source that reads from it."""
        ...

    def publish(self, count: int) -> Sequence[str]:
        """Let so many events appear; return the ids of those that are posts."""
        ...

    def break_off(self, rng: random.Random) -> None:
        """Break off in a way that is drawn."""
        ...

    @property
    def disturbances(self) -> int:
        """How often something was broken, or begun anew."""
        ...


Opener = Callable[[Path, int], AbstractContextManager[Any]]
"""From a directory and a number of events to a running platform."""


@dataclass(frozen=True, slots=True)
class Form:
    """One source in one of its forms.

    Attributes:
        source: The registered name.
        open: Starts its platform.
        options: The options of the source, beside those of the platform.
    """

    source: str
    open: Opener
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@contextmanager
def _bluesky(_directory: Path, events: int) -> Iterator[BlueskyPlatform]:
    """Serve likes, reposts, replies, deletions and, two in five, posts."""
    start = datetime.now(UTC) - timedelta(microseconds=events * _STEP_US)
    talk = Conversation(start, seed=5, posts_share=0.4, step_us=_STEP_US)
    with FakeJetstream() as server:
        yield BlueskyPlatform(server, talk)


def _shared(source: str) -> Opener:
    return lambda directory, _events: platform_of(source, directory)


@contextmanager
def _rss(directory: Path, _events: int) -> Iterator[Any]:
    with platform_of("rss", directory) as platform:
        platform.site.window = FEED_WINDOW
        yield platform


_BLUESKY: Final[Mapping[str, Any]] = {
    "start_s_ago": 86_000.0, "max_recent_events": 4_000, "max_held_posts": 2_000,
    "limits": {"backoff_first_s": 0.05, "backoff_max_s": 0.3, "idle_min_s": 1.0},
}  # fmt: skip
_MASTODON: Final[Mapping[str, Any]] = {"remember_posts": 20_000, "fill_max_posts": 20_000}
"""A thousand posts a second and more come here: seconds of them must fit, as minutes do there."""

FORMS: Final[Mapping[str, Form]] = {
    "bluesky_v1": Form("bluesky", _bluesky, {**_BLUESKY, "protocol": "v1"}),
    "bluesky_v2": Form("bluesky", _bluesky, {**_BLUESKY, "protocol": "v2"}),
    "mastodon_sse": Form("mastodon", _shared("mastodon"), {**_MASTODON, "transport": "sse"}),
    "mastodon_websocket": Form(
        "mastodon", _shared("mastodon"), {**_MASTODON, "transport": "websocket"}
    ),
    "reddit": Form("reddit", _shared("reddit"), {"remember_posts": 5_000}),
    "rss": Form("rss", _rss, {"remember_entries": 2 * FEED_WINDOW, "authors": "public"}),
    "webhook": Form("webhook", _shared("webhook"), {"remember_requests": 4_000}),
}
"""Name -> form."""
