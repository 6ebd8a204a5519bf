"""Four platforms break off twenty times and their ingests are killed three times: nothing is lost.

All four run side by side on one broker and one worker. The short form brings 1,500 posts each;
`GROUNDSWELL_LIVE_EVENTS=100000` runs the long one.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.ingest.live_testing import platform_of
from services.ingest.sources.rss.testing import RssPlatform
from services.local.child import Child, Command

pytestmark = pytest.mark.integration

POSTS = int(os.environ.get("GROUNDSWELL_LIVE_EVENTS", "1500"))
SOURCES = ("mastodon", "reddit", "rss", "webhook")
SLICES = max(50, POSTS // 250)
DISCONNECTIONS = 20
KILLS = 3
MAX_BEHIND = 300
"""Published and not yet in Kafka; a feed shows its newest entries only, Reddit a thousand."""
FEED_WINDOW = 600
REPOSITORY = Path(__file__).parents[2]


class Ingest:
    """One source as a process that can be killed and started again, and its platform."""

    def __init__(self, name: str, stream: Any, platform: Any, home: Path, seed: int) -> None:
        self.name, self.platform, self.home = name, platform, home
        home.mkdir()
        options = home / "options.toml"
        options.write_text("".join(f"{k} = {_toml(v)}\n" for k, v in platform.options().items()))
        flat = {f"{s}__{f}": v for s, fields in stream.tree.items() for f, v in fields.items()}
        flat |= {
            "ingest__author_key": "a key for tests",
            "ingest__source_secret": getattr(platform, "secret", ""),
        }
        self._env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
        self._argv = (
            sys.executable, "-m", "services.cli.main", "ingest", "--source", name,
            "--options", str(options), "--cursor-dir", str(home),
        )  # fmt: skip
        self._starts = 0
        self.published: list[str] = []
        self.resident: list[int] = []
        chance = random.Random(seed)
        places = chance.sample(range(3, SLICES - 3), DISCONNECTIONS + KILLS)
        self.kills, self.breaks = set(places[:KILLS]), set(places[KILLS:])
        self.child: Child

    def start(self) -> None:
        self._starts += 1
        command = Command(self._argv, self._env | {"PYTHONPATH": str(REPOSITORY)}, cwd=self.home)
        self.child = Child(command, self.home / f"ingest{self._starts}.log")

    def take_a_slice(self, number: int) -> None:
        """Publish, and break what is to be broken now."""
        self.published += self.platform.publish(POSTS // SLICES)
        if number in self.kills:
            self.child.kill()
            self.start()
        elif number in self.breaks:
            self.platform.disconnect()

    def totals(self) -> dict[str, int]:
        path = self.home / f"{self.name}.cursor.json"
        return json.loads(path.read_bytes())["totals"] if path.exists() else Counter()

    def behind(self) -> int:
        self.resident.append(psutil.Process(self.child.pid).memory_info().rss)
        return len(self.published) - self.totals()["posts_produced"]

    def words(self) -> str:
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in logs)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def test_platforms_that_break_off_and_killed_ingests_lose_and_repeat_nothing(
    make_stream: Callable, tmp_path: Path
):
    stream = make_stream()
    stream.start_worker("w1")
    with ExitStack() as stack:
        ingests: list[Ingest] = []
        for seed, name in enumerate(SOURCES):
            platform = stack.enter_context(platform_of(name, tmp_path))
            if isinstance(platform, RssPlatform):
                platform.site.window = FEED_WINDOW
            ingests.append(Ingest(name, stream, platform, tmp_path / name, seed))
            ingests[-1].start()
            stack.callback(lambda one=ingests[-1]: one.child.stop(10))
        for number in range(SLICES):
            for one in ingests:
                # The beginning is waited for: what was there before is not read by all.
                most = 0 if number < 2 else MAX_BEHIND
                if number:
                    stream.wait_until(
                        lambda one=one, most=most: one.behind() <= most, 120,
                        f"{one.name} catching up\n{one.words()}",
                    )  # fmt: skip
                one.take_a_slice(number)
        for one in ingests:
            stream.wait_until(
                lambda one=one: one.behind() <= 0, 120, f"{one.name} reading\n{one.words()}"
            )
            assert one.totals()["gaps"] == 0, one.words()
            assert one.platform.disturbances >= DISCONNECTIONS * 3 // 4, "the faults did not fire"
        total = sum(len(one.published) for one in ingests)

        def in_panes() -> int:
            return sum(c["posts"] for (q, _), c in stream.windows().items() if q == "all")

        stream.wait_until(lambda: in_panes() >= total, 120, "counting all")
        assert in_panes() == total
        found: dict[str, list[str]] = {name: [] for name in SOURCES}
        for post in stream.scored():
            found[post.source].append(post.id)
        for one in ingests:
            wanted = sorted(one.published)
            assert sorted(found[one.name]) == wanted, f"{one.name}\n{one.words()}"
            middle, end = one.resident[len(one.resident) // 2], one.resident[-1]
            totals = {name: count for name, count in one.totals().items() if count}
            print(f"{one.name}: {totals}; resident {middle >> 20} to {end >> 20} MiB")  # noqa: T201
            assert end < 1.3 * max(middle, 60 << 20)
