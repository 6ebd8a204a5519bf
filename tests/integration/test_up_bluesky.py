"""A new user, an empty folder, no account, no key: `up --source bluesky` shows what people say."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from core import config
from core.codec import scored_post_decoder
from core.settings import Settings
from services.bootstrap import make_store
from services.kafka_client import read_topic
from services.local.kafka_jars import fetch_jars
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.runfile import read_run
from services.local.session import Session
from services.local.stack import plan_stack
from stream.topics import SCORED_POSTS
from stream.windows.layout import named
from testkit.platforms.bluesky.journal import Conversation
from testkit.platforms.bluesky.server import FakeJetstream
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration


def posts_in_panes(settings: Settings) -> int:
    async def count() -> int:
        store = make_store(settings)
        partitions = list(range(settings.kafka.partitions))
        try:
            starts = await store.pane_starts(partitions)
            panes = [await store.pane(partitions, start) for start in starts]
            return sum(named(one["all"].counters)["posts"] for one in panes if "all" in one)
        finally:
            await store.close()

    return asyncio.run(count())


def settings_of(environment: Mapping[str, str]) -> Settings:
    return config.load(environ={"PATH": os.environ["PATH"], **environment})


def test_up_with_bluesky_needs_no_account_and_no_key(tmp_path: Path):
    # Its own host takes the place of the public ones; everything else is as it comes.
    talk = Conversation(datetime.now(UTC) + timedelta(seconds=1), posts_share=0.5)
    paths = RuntimePaths(tmp_path / "stack", shared_cache=DEFAULT_PATHS.cache)
    with FakeJetstream(list(talk.events(1))) as server:
        options = StackOptions(
            source="bluesky", scorer="fake", metrics_stack=False, paths=paths,
            ingest_arguments=(f'--set=hosts=["{server.host}"]',),
        )  # fmt: skip
        session = Session(
            options, say=print, plan=partial(plan_stack, usual_ports=False),
            prepare=lambda asked, _say: fetch_jars(asked.paths.cache),
        )  # fmt: skip
        with session:
            session.bring_up()
            wait_until(lambda: server.requests, "ingest asks the server")
            assert "wantedCollections=app.bsky.feed.post" in server.requests[0]
            before = len(talk.posts)  # said before anybody listened
            server.append(talk.events(500))
            run = read_run(paths.runfile)
            assert run is not None
            settings = settings_of(run.environment)
            wanted = len(set(talk.posts[before:]) - talk.deleted)
            wait_until(
                lambda: posts_in_panes(settings) >= wanted, f"{wanted} are counted", every_s=0.2
            )
            assert posts_in_panes(settings) == wanted
            scored = [
                scored_post_decoder.decode(record.value)
                for record in read_topic(settings.kafka, SCORED_POSTS)
            ]
    authors = {post.author for post in scored if post.source == "bluesky"}
    assert len(authors) > 100
    assert all(len(author) == 32 and not author.startswith("did:") for author in authors)
    key = paths.author_key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text().strip()) >= 32
