"""The plain job, as far as it is the same for everybody: decode a post, and time the whole.

Count and mean length per minute of event time. Needs msgspec and nothing of this project: it is
imported in the environments of the peers too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec


class PlainPost(msgspec.Struct):
    """What the plain job needs of a post."""

    claimed_at: datetime
    text: str


decode_post = msgspec.json.Decoder(PlainPost).decode


class Watch:
    """Wall and processor time of this process from the first post to the last.

    Args:
        posts: After so many the watch stops.
    """

    def __init__(self, posts: int) -> None:
        self.posts = posts
        self.seen = 0
        self._began = self._ended = (0.0, 0.0)

    def begin(self) -> None:
        """Start, if it has not started."""
        if not self._began[0]:
            self._began = (time.perf_counter(), time.process_time())

    def note(self, posts: int = 1) -> None:
        """Take note of posts that are done; the first starts the watch if nothing did before."""
        self.begin()
        self.seen += posts
        if self.seen >= self.posts:
            self._ended = (time.perf_counter(), time.process_time())

    def write(self, path: Path, windows: Mapping[int, tuple[int, int]]) -> None:
        """Write the times, and start (s) -> (posts, sum of lengths)."""
        wall_s, cpu_s = (end - begin for end, begin in zip(self._ended, self._began, strict=True))
        report = {
            "posts": self.seen,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "windows": {str(start): list(sums) for start, sums in windows.items()},
        }
        path.write_text(json.dumps(report))


def arguments() -> argparse.Namespace:
    """Return what every job is told: broker, topic, how many posts, where to write, scratch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--redis", default="")
    parser.add_argument("--variant", default="")
    return parser.parse_args()
