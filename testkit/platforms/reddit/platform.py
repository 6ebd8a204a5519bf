"""Reddit's part in the shared checks of network sources."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.checks.source_reader import FAST_LIMITS
from testkit.platforms.reddit.server import FakeReddit


class RedditPlatform:
    """A site with one community."""

    can_replay = True

    def __init__(self, site: FakeReddit) -> None:
        self.site = site
        self.secret = site.secret
        site.remaining = None

    def options(self) -> Mapping[str, Any]:
        """Return options that look at this site often."""
        return {
            "communities": ["news"],
            "client_id": "id",
            "user_agent": "test:groundswell:1 (by /u/nobody)",
            "listings": ["posts"],
            "every_s": 0.02,
            "first_pages": 10,
            "reddit_url": self.site.site.url,
            "oauth_url": self.site.site.url,
            "limits": FAST_LIMITS,
        }

    def publish(self, count: int) -> Sequence[str]:
        """Let posts appear."""
        return self.site.post_many([f"post {n}" for n in range(count)])

    def publish_bad(self) -> int:
        """Put things into the listing that are none."""
        self.site.bad = [7, {"kind": "t9", "data": {}}, {"kind": "t3", "data": {"author": "x"}}]
        return len(self.site.bad)

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: posts and things that are none of one account."""
        named = {"author": author, "title": text, "selftext": text}
        link = f"/user/{author}/comments/1/"
        self.site.post(text, text, author=author, permalink=link)
        self.site.post(text, text * 20_000, author=author)
        self.site.bad = [
            f"{author} {text}",
            [author, text],
            {"kind": f"{author}", "data": named},
            {"kind": "t3", "data": f"{author} {text}"},
            {"kind": "t3", "data": named},
            {"kind": "t3", "data": named | {"name": f"t3_{author}{text}" * 50}},
            {"kind": "t3", "data": named | {"name": f"t3_{author}\ud800"}},
        ]
        return len(self.site.bad) + 1

    @property
    def disturbances(self) -> int:
        """How often a connection was broken, or made anew."""
        return sum(times for what, times in self.site.used.items() if what.startswith("fault"))

    def disconnect(self) -> None:
        """Cut the next answer."""
        self.site.faults = ["abort"]

    def break_off(self, rng: random.Random) -> None:
        """Cut the next answer, refuse it, or answer with something else."""
        kinds: list[int | str] = ["abort", "junk", 429, 500, 503]
        self.site.faults = [rng.choice(kinds)]


@contextmanager
def running(_directory: Path) -> Iterator[RedditPlatform]:
    """Give a running platform."""
    with FakeReddit() as site:
        yield RedditPlatform(site)
