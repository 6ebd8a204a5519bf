"""Servers and processes of one run of forecasts through the whole stack, each on free ports."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, Self

from core.codec import RecordDecoder, scored_post_decoder
from core.config import build
from core.errors import GroundswellError
from core.forecast_schemas import ForecastEvent
from core.schemas import ScoredPost
from core.settings import Settings
from services.bootstrap import make_store
from services.cli.topics import topic_plans
from services.forecaster.showing import read_view
from services.kafka_client import TopicAdmin, TopicProbe, read_topic
from services.local.child import Child, Command
from services.local.kafka_server import KafkaServer
from services.local.paths import DEFAULT_PATHS, PROJECT_ROOT
from services.local.ports import any_free_port
from services.local.probes import fetch
from services.local.redis_server import RedisServer
from services.local.scrape import Page, parse_pages
from services.local.triton_server import TritonServer, build_model_repository
from stream.topics import EVENTS, POST_EVENTS, POSTS, SCORED_POSTS

OUTCOMES: Final = "groundswell_forecast_outcomes_total"
STALLED_S: Final = 180.0
"""A run in which nothing moves for so long has failed."""
_LOOK_EVERY_S: Final = 0.5
_EXPORTED_WITHIN_S: Final = 30.0
_NEVER_S: Final = 1_000_000

Taken = dict[str, dict[int, int]]
"""Topic -> partition -> the offset after the last record."""


class LiveRunFailed(GroundswellError):
    """A live run did not come to its end; the message has the last words of its processes."""


class LiveStack:
    """A broker, a store, a worker and a forecaster; use as a context manager, from the main thread.

    Nothing is shed: the forecaster is given all the time that it needs.

    Attributes:
        settings: What every process is given.
        metrics: What `/metrics` of the forecaster answered when all was taken.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], scorer: str = "fake") -> None:
        """Only remembers.

        Args:
            tables: Settings that differ from the defaults, by section.
            scorer: `fake`, or `triton`, which is started with the post encoder.
        """
        self._tables, self._scorer = tables, scorer
        self._stack = ExitStack()
        self._children: dict[str, Child] = {}
        self._port = any_free_port()
        self.metrics = ""

    def __enter__(self) -> Self:
        """Start the servers and create the topics; workers and forecaster come with `run`."""
        DEFAULT_PATHS.root.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="live-", dir=DEFAULT_PATHS.root))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            kafka = self._stack.enter_context(KafkaServer(self.folder / "kafka"))
            redis = self._stack.enter_context(RedisServer(self.folder / "redis"))
            self._stack.callback(self._stop)
            (self.folder / "no-queries.toml").write_text("")
            self._settle(kafka.bootstrap, redis.url)
            with TopicAdmin(self.settings.kafka) as admin:
                admin.create(topic_plans(self.settings.kafka))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything and remove its files."""
        self._stack.close()

    def _settle(self, bootstrap: str, redis_url: str) -> None:
        scorer: dict[str, Any] = {"kind": self._scorer}
        if self._scorer == "triton":
            build_model_repository()
            triton = self._stack.enter_context(TritonServer(self.folder / "triton"))
            scorer["url"] = triton.grpc_address
        self._tree: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": bootstrap},
            "redis": {"url": redis_url},
            "scorer": scorer,
            "forecasts": {"kind": "in_process", "shed_after_s": _NEVER_S},
            "ingest": {"cursor_dir": str(self.folder / "ingest")},
            "worker": {"data_dir": str(self.folder / "worker")},
            "queries": {"path": str(self.folder / "no-queries.toml")},
        }
        for section, fields in self._tables.items():
            self._tree.setdefault(section, {}).update(fields)
        self.settings: Settings = build(self._tree)

    def _start(self, role: str, *words: str, **changes: Any) -> Child:
        flat = {f"{s}__{f}": v for s, fields in self._tree.items() for f, v in fields.items()}
        env = {f"GROUNDSWELL__{key.upper()}": _text(v) for key, v in (flat | changes).items()}
        argv = (sys.executable, "-m", "services.cli.main", role, *words)
        command = Command(argv, env | {"PYTHONPATH": str(PROJECT_ROOT)}, cwd=PROJECT_ROOT)
        self._children[role] = Child(command, self.folder / f"{role}.log")
        return self._children[role]

    def _stop(self) -> None:
        for child in self._children.values():
            child.ask_to_stop()
        for child in self._children.values():
            child.stop(30)

    def run(self, *words: str) -> float:
        """Bring a source to its end and return the seconds until all of it was taken and exported.

        Args:
            words: What `groundswell ingest` is called with.

        Raises:
            LiveRunFailed: A process ended badly, or nothing moves any more.
        """
        began_s = moved_s = time.monotonic()
        self._start("worker")
        self._start("forecaster", metrics__port=self._port)
        ingest, last = self._start("ingest", *words), None
        with ExitStack() as probes:
            topics = (POSTS, SCORED_POSTS, POST_EVENTS)
            ends = {
                topic: probes.enter_context(closing(TopicProbe(self.settings.kafka, topic)))
                for topic in topics
            }
            while True:
                is_over = not ingest.is_running
                self._check(ingest)
                # Taken first, then the ends: what is taken of an end that stood is all there is.
                taken = asyncio.run(self._taken())
                found = {topic: probe.ends() for topic, probe in ends.items()}
                if is_over and taken == found:
                    break
                if (taken, found) != last:
                    last, moved_s = (taken, found), time.monotonic()
                if time.monotonic() - moved_s > STALLED_S:
                    raise LiveRunFailed(f"nothing moves: {taken} of {found}\n{self.last_words()}")
                time.sleep(_LOOK_EVERY_S)
        self.metrics = self._exported()
        return time.monotonic() - began_s

    def _check(self, ingest: Child) -> None:
        for role, child in self._children.items():
            may_end = child is ingest and child.exit_status == 0
            if not child.is_running and not may_end:
                raise LiveRunFailed(f"{role} ended with {child.exit_status}\n{self.last_words()}")

    async def _taken(self) -> Taken:
        """Return how far the worker has read `posts`, and the forecaster its two topics."""
        store = make_store(self.settings)
        found: Taken = {POSTS: {}, SCORED_POSTS: {}, POST_EVENTS: {}}
        try:
            for number in range(self.settings.kafka.partitions):
                state = await store.partition_state(number)
                upto = (await store.forecasts.load(number, (), lambda *_: "")).upto
                found[POSTS][number] = state.cursors.get(POSTS, -1) + 1
                found[SCORED_POSTS][number] = upto.posts + 1 if upto else 0
                found[POST_EVENTS][number] = upto.events + 1 if upto else 0
        finally:
            await store.close()
        return found

    def _exported(self) -> str:
        """Return what the forecaster exports, once it says as many outcomes as are stored.

        It looks once a second; what it still says otherwise after some time is for who compares.
        """
        view = asyncio.run(read_view(self.settings))
        stored = sum(
            one.total.outcomes for part in view.partitions for one in part.quality()
            if one.kind == "source"
        )  # fmt: skip
        give_up_s = time.monotonic() + _EXPORTED_WITHIN_S
        is_known = False
        while True:
            text = (fetch(self._port, "/metrics") or b"").decode()
            if is_known or time.monotonic() > give_up_s:
                return text
            # Once more: the page is not made at one moment.
            is_known = parse_pages([text]).total(OUTCOMES) == stored
            time.sleep(_LOOK_EVERY_S)

    @property
    def page(self) -> Page:
        """What the forecaster exported, by name and labels."""
        return parse_pages([self.metrics])

    def scored(self) -> dict[str, ScoredPost]:
        """Return id -> scored post."""
        records = read_topic(self.settings.kafka, SCORED_POSTS)
        posts = (scored_post_decoder.decode(record.value or b"") for record in records)
        return {post.id: post for post in posts}

    def events(self) -> list[ForecastEvent]:
        """Return what was said to take off and to be over."""
        decoder = RecordDecoder(ForecastEvent)
        records = read_topic(self.settings.kafka, EVENTS)
        return [decoder.decode(record.value or b"") for record in records]

    def last_words(self) -> str:
        """Return the ends of the logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.folder.glob("*.log"))
        )


def _text(value: Any) -> str:
    """Return a setting as the environment has it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
