"""The part of RSS in the shared checks of network sources."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from testkit.checks.source_reader import FAST_LIMITS
from testkit.platforms.rss.server import FakeFeedSite


class RssPlatform:
    """A site with one long feed, and one that is no feed."""

    can_replay = True

    def __init__(self, site: FakeFeedSite) -> None:
        self.site = site
        site.window = 100_000
        self._numbers = itertools.count()
        self._refused = 0

    def options(self) -> Mapping[str, Any]:
        """Return options that look at this site often."""
        return {
            "feeds": [self.site.feed("a"), self.site.feed("bad")],
            "every_s": 0.05,
            "timeout_s": 20.0,
            "remember_entries": 10_000,
            "allow_private_addresses": True,
            "limits": FAST_LIMITS,
        }

    def publish(self, count: int) -> Sequence[str]:
        """Let entries appear."""
        ids = [f"https://news.test/{next(self._numbers)}" for _ in range(count)]
        self.site.publish_many([(one, f"entry {one}") for one in ids])
        return ids

    def publish_bad(self) -> int:
        """Turn the second feed into something else."""
        self.site.answers["/feed/bad"] = lambda request: web.Response(body=b"<html>closed</html>")
        return 1

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: one document after the other where a feed should be, then a feed."""

        def document(items: str) -> bytes:
            return (
                f"<?xml version='1.0'?><rss version='2.0'><channel><title>{author}</title>"
                f"<link>https://{author}.test/</link>{items}</channel></rss>"
            ).encode()

        link = f"https://{author}.test/@{author}"
        entry = f"<item><link>{link}/1</link><author>{author}</author><title>{text}</title></item>"
        entity = f"<!DOCTYPE x [<!ENTITY e '{author} {text}'>]>".encode()
        bad = [
            f"<html>{author} says {text}</html>".encode(),
            b"<?xml version='1.0'?>" + entity + document(entry),
            f'{{"{author}": "{text}"}}'.encode(),
            b"\xff\xfe" + f"{author} {text}".encode(),
        ]
        empty = f"<item><author>{author}</author><category>{text}</category></item>"
        large = f"<item><link>{link}/2</link><title>{text * 20_000}</title></item>"
        shown = iter([*bad, document(entry), document(entry + empty + large)])
        last = b""

        def show(_: web.Request) -> web.Response:
            nonlocal last
            last = next(shown, last)
            return web.Response(body=last, headers={"ETag": ""})

        self.site.answers["/feed/bad"] = show
        return len(bad) + 2

    @property
    def disturbances(self) -> int:
        """How often a connection was broken, or made anew."""
        return self.site.aborted + self._refused

    def disconnect(self) -> None:
        """Cut the next answer in the middle."""
        self.site.aborts = 1

    def break_off(self, rng: random.Random) -> None:
        """Cut the next answer in the middle, or refuse it."""
        status = rng.choice((None, 429, 500, 503))
        if status is None:
            self.disconnect()
            return
        path = "/feed/a"

        def refuse(_: web.Request) -> web.Response:
            del self.site.answers[path]
            self._refused += 1
            return web.Response(status=status, headers={"Retry-After": "0"})

        self.site.answers[path] = refuse


@contextmanager
def running(_directory: Path) -> Iterator[RssPlatform]:
    """Give a running platform."""
    with FakeFeedSite() as site:
        yield RssPlatform(site)
