"""The checks that every source of a network must pass, each against a local server that it starts.

A new source needs no line here: its `Platform` is found by the source's name, as the function
`running` of `testkit.platforms.<name>.platform`. The servers and the threads are real; nothing is
timed: a check waits for what must come and fails if it does not.
"""

# ruff: noqa: S101 - checks for tests

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.options import load_options
from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source, SourceContext, SourceItem, Unmappable
from testkit.checks.live_rig import GIVE_UP_S, KilledStore, LiveRig, wait_until
from testkit.kafka import MemoryBroker

BUFFER_POSTS: Final = 60


class Platform(Protocol):
    """A local server of one platform.

    Attributes:
        can_replay: it can send again what a source missed; False for one that only pushes.
    """

    can_replay: bool

    def options(self) -> Mapping[str, Any]:
        """Return the options of a source that reads from it, with times for the impatient."""
        ...

    def publish(self, count: int) -> Sequence[str]:
        """Let so many posts appear; return their ids as a source without a key writes them.

        A platform that only pushes may need the source to listen already.
        """
        ...

    def publish_bad(self) -> int:
        """Let things appear that are no posts; return how many are to be kept as unmappable."""
        ...

    def publish_failures(self, author: str, text: str) -> int:
        """Let things of `author` that say `text` appear: good ones, and one of each way to fail.

        Nothing was published before. Every failing one holds both words. Return how many are to be
        in `dead-posts`, where a post of over 60,000 bytes is too large.
        """
        ...

    def disconnect(self) -> None:
        """End the connections without a word."""
        ...


LIVE: Final = tuple(name for name in SOURCES.names() if SOURCES.get(name).is_live)
"""The sources of people who speak now: those of a platform."""


@contextmanager
def platform_of(name: str, directory: Path) -> Any:
    """Give the running platform of a source.

    Raises:
        AssertionError: The source has none.
    """
    try:
        found = import_module(f"testkit.platforms.{name}.platform")
    except ModuleNotFoundError as error:
        raise AssertionError(f"live source {name!r} has no testkit.platforms.{name}") from error
    make: Callable[[Path], AbstractContextManager[Platform]] = found.running
    with make(directory) as platform:
        yield platform


def live_source(
    name: str, platform: Platform, directory: Path, overrides: Mapping[str, Any] | None = None
) -> Source:
    """Return a source that reads from the platform, not yet open."""
    kind: type[Source] = SOURCES.get(name)
    options = dict(platform.options())
    for key, value in (overrides or {}).items():
        options[key] = options.get(key, {}) | value if isinstance(value, dict) else value
    context = SourceContext(directory, secret=Secret(getattr(platform, "secret", "")))
    return kind(load_options(kind.Options, None, options), context)


def take_until(source: Source, wanted: Sequence[str]) -> list[SourceItem]:
    """Poll until every id of `wanted` has come as a post; return all items up to there."""
    missing = set(wanted)
    items: list[SourceItem] = []
    give_up_s = time.monotonic() + GIVE_UP_S
    while missing:
        assert time.monotonic() < give_up_s, f"{len(missing)} of {len(wanted)} posts never came"
        found = source.poll(64, 0.05)
        items.extend(found)
        missing -= {item.record.id for item in found if isinstance(item.record, Post)}
    return items


def check_ends_when_told(name: str, directory: Path) -> None:
    """Closed in mid-stream and in silence, nothing of it goes on running."""
    before = set(threading.enumerate())
    with platform_of(name, directory) as platform:
        for has_posts in (True, False):
            with closing(live_source(name, platform, directory)) as source:
                source.open(None)
                if has_posts:
                    take_until(source, platform.publish(20)[:5])

            def is_alone() -> bool:
                return not any(name in t.name for t in set(threading.enumerate()) - before)

            wait_until(is_alone, f"no thread of {name} is left")


def check_resumes_from_its_cursor(name: str, directory: Path) -> None:
    """A new instance at a cursor delivers everything after it; what came before may come again."""
    with platform_of(name, directory) as platform:
        if not platform.can_replay:
            return
        with closing(live_source(name, platform, directory)) as source:
            source.open(None)
            items = take_until(source, platform.publish(50))
            place = len(items) // 2
            if items[place].cursor is not None:
                source.acknowledged(items[place].cursor)
        missed = platform.publish(20)
        rest = {i.record.id for i in items[place + 1 :] if isinstance(i.record, Post)}
        with closing(live_source(name, platform, directory)) as again:
            again.open(items[place].cursor)
            take_until(again, [*rest, *missed])


def check_stopped_and_started_loses_nothing(name: str, directory: Path) -> None:
    """Over a stop, and a disconnection, every post is in Kafka and in its author's order."""
    broker = MemoryBroker()
    with platform_of(name, directory) as platform:
        with LiveRig(live_source(name, platform, directory), directory, broker) as rig:
            wanted = list(platform.publish(40))
            rig.wait_for(wanted)
        if platform.can_replay:
            wanted += platform.publish(40)
        with LiveRig(live_source(name, platform, directory), directory, broker) as rig:
            rig.wait_for(wanted)
            platform.disconnect()
            if not platform.can_replay:
                wait_until(lambda: rig.count("source_reconnects") > 0, "it noticed")
            wanted += platform.publish(40)
            rig.wait_for(wanted)
    first_seen = list(dict.fromkeys(rig.ids()))
    assert [post for post in first_seen if post in set(wanted)] == wanted
    assert rig.totals is not None
    assert rig.totals.gaps == 0


def check_killed_in_a_save_its_totals_stay_exact(name: str, directory: Path) -> None:
    """Wherever a kill cuts a save in two, each post is in Kafka, and once in the totals."""
    for step in ("prepare", "commit"):
        home, broker = directory / step, MemoryBroker()
        home.mkdir()
        with platform_of(name, home) as platform:
            store = KilledStore(home, name, step)
            with LiveRig(live_source(name, platform, home), home, broker, store=store) as rig:
                wanted = list(platform.publish(40))
                rig.wait_for(wanted)
                # Killed before its first save it would have no totals, and begin anew with none.
                wait_until(lambda store=store: store.has_saved, "it has a cursor")
                store.is_armed = True
                wanted += platform.publish(40)
                wait_until(lambda store=store: store.is_dead, "it is killed")
            with LiveRig(live_source(name, platform, home), home, broker) as rig:
                wanted += platform.publish(40)
                rig.wait_for(wanted)
        assert rig.totals is not None
        assert rig.totals.posts_produced + rig.totals.duplicates_produced == len(wanted), step


def check_live_times_are_utc(name: str, directory: Path) -> None:
    """Every time on a record is aware and in UTC."""
    with (
        platform_of(name, directory) as platform,
        closing(live_source(name, platform, directory)) as source,
    ):
        source.open(None)
        items = take_until(source, platform.publish(20))
    for item in items:
        if isinstance(item.record, Post | PostEvent):
            for at in (item.record.ingested_at, item.record.claimed_at):
                assert at is None or at.utcoffset() == timedelta(0), f"{name}: {at!r} is not UTC"


def check_bad_input_is_counted_and_kept(name: str, directory: Path) -> None:
    """What is no post is in dead-posts with a reason, and what follows it is delivered."""
    with platform_of(name, directory) as platform:
        source = live_source(name, platform, directory)
        with LiveRig(source, directory, MemoryBroker()) as rig:
            rig.wait_for(platform.publish(5))
            bad = platform.publish_bad()
            assert bad > 0
            rig.wait_for(platform.publish(5))
            wait_until(lambda: len(rig.broker.topics["dead-posts"]) >= bad, "all are kept")
    assert rig.totals is not None
    assert rig.totals.unmappable == len(rig.broker.topics["dead-posts"]) == bad
    assert rig.count("source_items_unmappable") == bad


def check_slow_kafka_fills_no_memory(name: str, directory: Path) -> None:
    """While Kafka answers nothing, no more is held than the bounds; then all of it comes.

    A source that can wait loses nothing; another counts what it lost.
    """
    broker = MemoryBroker()
    broker.holds_answers = True
    with platform_of(name, directory) as platform:
        limits = {"limits": {"max_buffered_items": BUFFER_POSTS}}
        source = live_source(name, platform, directory, limits)
        with LiveRig(source, directory, broker, BUFFER_POSTS) as rig:
            wanted = list(platform.publish(10 * BUFFER_POSTS))
            slowed = ("ingest_waits", "source_gap_items")
            wait_until(lambda: any(rig.count(n) for n in slowed), "it was slowed")
            for _ in range(20):
                assert broker.held <= BUFFER_POSTS
                inlet = getattr(source, "inlet", ())
                assert len(inlet) <= 2 * BUFFER_POSTS, "more was read than the buffer may hold"
                time.sleep(0.01)
            broker.holds_answers = False

            def all_accounted() -> bool:
                broker.release()
                lost = 0 if source.can_wait else rig.count("source_gap_items")
                return len(set(rig.ids()) & set(wanted)) + lost >= len(wanted)

            wait_until(all_accounted, "every post is in Kafka or counted as lost")


LIVE_CHECKS: Final[tuple[Callable[[str, Path], None], ...]] = (
    check_ends_when_told,
    check_resumes_from_its_cursor,
    check_stopped_and_started_loses_nothing,
    check_killed_in_a_save_its_totals_stay_exact,
    check_live_times_are_utc,
    check_bad_input_is_counted_and_kept,
    check_slow_kafka_fills_no_memory,
)


def unmappable_of(items: Sequence[SourceItem]) -> list[Unmappable]:
    """Return the bad input among items."""
    return [item.record for item in items if isinstance(item.record, Unmappable)]
