"""One source on its way through outages, and what must hold at its end."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil

from benchmarks.harness import say
from benchmarks.lab import BenchFailed, Lab
from benchmarks.outage_accounts import behind, compare, in_panes
from benchmarks.outage_forms import FORMS, BreakingPlatform, Form
from services.local.child import Child, Command
from services.local.paths import PROJECT_ROOT

MAX_BEHIND: Final = 300
"""Posts published and not yet in Kafka: feeds show their newest entries only."""
WAIT_S: Final = 60.0
STILL_S: Final = 5.0
"""A source that has told of a gap and delivers nothing for so long will not deliver the rest."""
MOST_GROWTH: Final = 1.1
"""Of resident memory, from the first third of what is judged to its end."""
WARM_POSTS: Final = 1_000
"""Posts after which a process has loaded all it needs: its memory is judged from there on."""
LEAST_SAMPLES: Final = 30
SLICE_EVENTS: Final = 250
QUERIES: Final = PROJECT_ROOT / "configs" / "queries.toml"
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is published, and how often what breaks.

    Attributes:
        events: The number of events published in all.
        disconnections, kills: How many there are, at random places, each at another.
        seed: The seed of the places and of how the platform breaks off.
    """

    events: int
    disconnections: int = 20
    kills: int = 3
    seed: int = 7

    @property
    def slices(self) -> int:
        """Pieces in which events are published; something may break after each."""
        return max(2 * (self.disconnections + self.kills), self.events // SLICE_EVENTS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events of one source.

    Attributes:
        totals: The totals of ingest, over all its lives.
        events: The number of events published.
        posts: The number of them that are posts; `removed` of these were deleted.
        in_panes: The number of posts that the panes have.
        missing, twice: The posts in no scored record, or in two.
        disturbances: What the platform did.
        kills: How often ingest was killed.
        resident: The bytes held over the longest life of ingest, once it was warm.
        seconds: How long all of it took.
    """

    totals: Mapping[str, int]
    events: int
    posts: int
    removed: int
    in_panes: int
    missing: int
    twice: int
    disturbances: int
    kills: int
    resident: list[int]
    seconds: float

    @property
    def growth(self) -> float:
        """Resident memory at the end over that after a third; 1 in a run too short to judge."""
        if len(self.resident) < LEAST_SAMPLES:
            return 1.0
        return self.resident[-1] / self.resident[len(self.resident) // 3]

    def figures(self) -> dict[str, float]:
        """Return what is published."""
        memory = self.resident or [0]
        return {
            "events": self.events,
            "posts": self.posts,
            "deleted": self.removed,
            "in_panes": self.in_panes,
            "missing": self.missing,
            "twice": self.twice,
            "gaps": self.totals["gaps"],
            "unmappable": self.totals["unmappable"],
            "disturbances": self.disturbances,
            "kills": self.kills,
            "resident_samples": len(self.resident),
            "resident_third_mib": round(memory[len(memory) // 3] / _MIB, 1),
            "resident_end_mib": round(memory[-1] / _MIB, 1),
            "resident_most_mib": round(max(memory) / _MIB, 1),
            "seconds": round(self.seconds, 1),
        }


def faults_of(outcome: Outcome) -> list[str]:
    """Return what of the promise was not kept."""
    wrong: list[str] = []
    if outcome.missing and not outcome.totals["gaps"]:
        wrong.append(f"{outcome.missing} posts are missing, and no gap is counted")
    if outcome.twice:
        wrong.append(f"{outcome.twice} posts were scored twice")
    wanted = outcome.posts - outcome.removed - outcome.missing
    if outcome.in_panes != wanted:
        wrong.append(f"the panes have {outcome.in_panes} posts of {wanted}")
    if outcome.totals["dropped"] or outcome.totals["unmappable"]:
        wrong.append("good events were dropped or not understood")
    if outcome.growth > MOST_GROWTH:
        wrong.append(f"memory grew to {outcome.growth:.2f} times what it was")
    return wrong


class Feed:
    """`groundswell ingest` of one source as a process that is killed and started again."""

    def __init__(self, lab: Lab, form: Form, platform: BreakingPlatform) -> None:
        """Only prepares."""
        self.home = lab.directory / "ingest"
        self.home.mkdir()
        self.source = form.source
        self.published: list[str] = []
        self.lives: list[list[int]] = []
        self._missing, self._moved_at = 0, time.monotonic()
        options = self.home / "options.toml"
        chosen = {**platform.options(), **form.options}
        options.write_text("".join(f"{key} = {_toml(v)}\n" for key, v in chosen.items()))
        flat = {f"{s}__{f}": v for s, fields in lab.tree.items() for f, v in fields.items()}
        flat |= {
            "ingest__author_key": "a key for outages",
            "ingest__source_secret": getattr(platform, "secret", ""),
        }
        env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
        argv = (
            sys.executable, "-m", "services.cli.main", "ingest", "--source", form.source,
            "--options", str(options), "--cursor-dir", str(self.home),
        )  # fmt: skip
        self._command = Command(argv, env | {"PYTHONPATH": str(PROJECT_ROOT)}, cwd=self.home)
        self.child: Child

    def start(self) -> None:
        """Begin another life."""
        self.lives.append([])
        self._warm_from = self.totals()["posts_produced"] + WARM_POSTS
        self.child = Child(self._command, self.home / f"ingest{len(self.lives)}.log")

    def totals(self) -> Mapping[str, int]:
        """Return what its cursor says; all zero before the first."""
        path = self.home / f"{self.source}.cursor.json"
        return json.loads(path.read_bytes())["totals"] if path.exists() else Counter[str]()

    def behind(self) -> int:
        """Return how many posts are published and not in Kafka; note its memory, too."""
        produced = self.totals()["posts_produced"]
        if produced >= self._warm_from and self.child.is_running:
            self.lives[-1].append(psutil.Process(self.child.pid).memory_info().rss)
        return len(self.published) - produced

    def has_gaps(self) -> bool:
        """Tell whether the source said that something is missing for good."""
        return bool(self.totals()["gaps"])

    def is_near(self, behind: int) -> bool:
        """Tell whether at most so many posts are on their way, or the rest is a counted gap."""
        missing = self.behind()
        if missing != self._missing:
            self._missing, self._moved_at = missing, time.monotonic()
        is_still = time.monotonic() - self._moved_at > STILL_S
        return missing <= behind or (self.has_gaps() and is_still)

    def said(self, word: str) -> list[str]:
        """Return the lines of all its lives that have this word."""
        logs = sorted(self.home.glob("*.log"))
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return [line for line in lines if word in line]

    def wait(self, claim: Callable[[], bool], what: str) -> None:
        """Wait until `claim`.

        Raises:
            BenchFailed: It did not come true, or ingest ended by itself.
        """
        give_up_at = time.monotonic() + WAIT_S
        while not claim():
            if time.monotonic() > give_up_at or not self.child.is_running:
                logs = sorted(self.home.glob("*.log"))
                said = "\n".join(path.read_text(errors="replace")[-2_000:] for path in logs)
                raise BenchFailed(
                    f"waited in vain for {what}; behind: {self.behind()} of "
                    f"{len(self.published)}; {dict(self.totals())}\n{said}"
                )
            time.sleep(0.02)


def bring(name: str, plan: Plan) -> Outcome:
    """Take one source through its outages.

    Raises:
        BenchFailed: It came to a stand.
    """
    form, began = FORMS[name], time.monotonic()
    with Lab("outages", {"queries": {"path": str(QUERIES)}}) as lab:
        lab.start_workers()
        with form.open(lab.directory, plan.events) as platform:
            feed = Feed(lab, form, platform)
            feed.start()
            try:
                events = _go_through(feed, platform, plan)
                removed = getattr(platform, "removed", 0)
                wanted = len(feed.published) - removed
                feed.wait(
                    lambda: behind(lab) == 0 and (in_panes(lab) >= wanted or feed.has_gaps()),
                    "the panes",
                )
            except BenchFailed as error:
                raise BenchFailed(f"{error}\n{lab.last_words()}") from error
            finally:
                feed.child.stop(10)
            disturbances = platform.disturbances
            for line in feed.said("missed"):
                say(line)
        missing, twice = compare(lab, feed.published, removed)
        return Outcome(
            feed.totals(), events, len(feed.published), removed, in_panes(lab), missing, twice,
            disturbances, plan.kills, max(feed.lives, key=len), time.monotonic() - began,
        )  # fmt: skip


def _go_through(feed: Feed, platform: BreakingPlatform, plan: Plan) -> int:
    """Publish everything, and break off and kill in between; return how many events there were."""
    rng = random.Random(plan.seed)
    places = rng.sample(range(3, plan.slices - 3), plan.disconnections + plan.kills)
    kills = set(places[: plan.kills])
    size = plan.events // plan.slices
    events = 0
    for number in range(plan.slices):
        # The beginning is waited for: what was there before is not read by all.
        most = 0 if number < 2 else MAX_BEHIND
        feed.wait(lambda most=most: feed.is_near(most), "ingest to catch up")
        feed.published += platform.publish(size)
        events += size
        if number in kills:
            feed.child.kill()
            feed.start()
        elif number in places:
            before = platform.disturbances
            platform.break_off(rng)
            feed.wait(lambda before=before: platform.disturbances > before, "the platform to break")
    events += _end_with_a_post(feed, platform)
    feed.wait(lambda: feed.is_near(0), "the last post")
    return events


def _end_with_a_post(feed: Feed, platform: BreakingPlatform) -> int:
    """Publish until there was a post, behind which no event is still to be read."""
    for number in range(1, 1_000):
        found = platform.publish(1)
        feed.published += found
        if found:
            return number
    raise BenchFailed("the platform publishes no posts")


def _toml(value: Any) -> str:
    """Write one value as TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
