"""A file of posts, as somebody gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.schemas import Post
from services.ingest.options import load_options
from services.ingest.replay.preview import Preview, preview
from services.ingest.sources.base import SourceContext, SourceItem, Unmappable
from services.ingest.sources.replay.options import ReplayOptions
from services.ingest.sources.replay.source import ReplaySource
from testkit.ingest import START, take_all

BASE = """id,author,created_at,text
1,ana,2026-03-01T10:00:00Z,flood here
2,ben,2026-03-01T10:00:20Z,so kind
3,cleo,2026-03-01T10:00:40Z,a disgrace
4,dan,2026-03-01T10:01:10Z,buses late
"""
"""What the files of these tests say, each in its own way."""


class Given:
    """A file and what becomes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def source(self, **options: Any) -> ReplaySource:
        chosen = load_options(ReplayOptions, None, {"path": str(self.path)} | options)
        clock = ManualClock(START)
        return ReplaySource(chosen, SourceContext(self.path.parent, clock=clock))

    def items(self, **options: Any) -> list[SourceItem]:
        source = self.source(**options)
        try:
            return take_all(source)
        finally:
            source.close()

    def posts(self, **options: Any) -> list[Post]:
        return [i.record for i in self.items(**options) if isinstance(i.record, Post)]

    def faults(self, **options: Any) -> list[str]:
        return [i.record.detail for i in self.items(**options) if isinstance(i.record, Unmappable)]

    def texts(self, **options: Any) -> list[str]:
        return [post.text for post in self.posts(**options)]

    def told(self, **options: Any) -> list[tuple[str, str, str, str]]:
        """Id, author, time and text of each post."""
        return [
            (p.id, p.author, f"{p.claimed_at:%Y-%m-%dT%H:%M:%SZ}" if p.claimed_at else "", p.text)
            for p in self.posts(**options)
        ]

    def preview(self, **options: Any) -> Preview:
        chosen = load_options(ReplayOptions, None, {"path": str(self.path)} | options)
        return preview(self.path, chosen)

    def said(self, **options: Any) -> str:
        """The preview, its lines joined, and each of them fit for a terminal."""
        lines = self.preview(**options).lines()
        for line in lines:  # a path alone may be longer than a line
            assert len(line) <= 80 or len(line.split()) <= 3, line
        assert all(line.isprintable() for line in lines)
        return " ".join(" ".join(lines).split())


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Given]:
    """Make a file of text or bytes."""

    def make(content: str | bytes, name: str = "posts.csv") -> Given:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Given(path)

    return make


EXPECTED = [
    ("1", "ana", "2026-03-01T10:00:00Z", "flood here"),
    ("2", "ben", "2026-03-01T10:00:20Z", "so kind"),
    ("3", "cleo", "2026-03-01T10:00:40Z", "a disgrace"),
    ("4", "dan", "2026-03-01T10:01:10Z", "buses late"),
]


@pytest.fixture
def base() -> str:
    """The text of the file that every case is a form of."""
    return BASE


@pytest.fixture
def expected() -> list[tuple[str, str, str, str]]:
    """What each form of it is counted as."""
    return list(EXPECTED)
