"""What broker and store say about the posts of a lab: on their way, in panes, missing, twice."""

from __future__ import annotations

import asyncio
from collections import Counter

from benchmarks.lab import Lab
from core.codec import scored_post_decoder
from services.bootstrap import make_store
from services.kafka_client import TopicAdmin, read_topic
from stream.topics import POST_EVENTS, POSTS, SCORED_POSTS
from stream.windows.layout import named


def behind(lab: Lab) -> int:
    """Return how many records of both topics the workers have not applied."""

    async def applied() -> int:
        store = make_store(lab.settings)
        try:
            partitions = range(lab.settings.kafka.partitions)
            states = [await store.partition_state(one) for one in partitions]
        finally:
            await store.close()
        return sum(state.cursors[topic] + 1 for state in states for topic in (POSTS, POST_EVENTS))

    with TopicAdmin(lab.settings.kafka) as admin:
        ends = {state.name: sum(state.end_offsets) for state in admin.describe(None)}
    return ends[POSTS] + ends[POST_EVENTS] - asyncio.run(applied())


def in_panes(lab: Lab) -> int:
    """Return the posts that all panes together have."""

    async def counted() -> int:
        store = make_store(lab.settings)
        partitions = list(range(lab.settings.kafka.partitions))
        posts = 0
        try:
            for start in await store.pane_starts(partitions):
                panes = await store.pane(partitions, start)
                posts += named(panes["all"].counters)["posts"] if "all" in panes else 0
            return posts
        finally:
            await store.close()

    return asyncio.run(counted())


def compare(lab: Lab, published: list[str], removed: int) -> tuple[int, int]:
    """Return how many posts are in no scored record, and how many are in two.

    Ids are compared from their last stroke on: before it the account of Bluesky's is hidden. A
    deletion may overtake its post, which then is not scored at all.
    """
    found = Counter[str]()
    places: set[tuple[bytes, bytes]] = set()
    for record in read_topic(lab.settings.kafka, SCORED_POSTS):
        headers = dict(record.headers)
        place = (headers["source-partition"], headers["source-offset"])
        post = scored_post_decoder.decode(record.value or b"")
        if place not in places and not post.edit:
            places.add(place)
            found[post.id.rpartition("/")[2]] += 1
    missing = len({one.rpartition("/")[2] for one in published} - set(found))
    return max(0, missing - removed), sum(1 for times in found.values() if times > 1)
