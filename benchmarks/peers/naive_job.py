"""A pipeline as people write it with Faust and a model: an agent, one post at a time.

The model is replaced by a hash of the text, which costs next to nothing, so that it is the pipeline
that is measured. What the worker does beyond it is left out here: no queries, no dedupe, one table.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from zlib import crc32

import faust

from benchmarks.peers.plain import Watch, arguments

asked = arguments()
watch = Watch(asked.posts)
app = faust.App(
    asked.scratch.name,
    broker=f"kafka://{asked.bootstrap}",
    store="memory://",
    datadir=str(asked.scratch),
    topic_partitions=4,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)


class Post(faust.Record, serializer="json"):
    """A post."""

    id: str
    author: str
    text: str
    claimed_at: str


posts = app.topic(asked.topic, value_type=Post)
scored = app.topic(f"{asked.scratch.name}-scored", partitions=4)
minutes = app.Table("minutes", default=list)


def sentiment(text: str) -> dict[str, float]:
    """Return what a `pipeline("sentiment-analysis")` would, without the model."""
    chosen = crc32(text.encode()) % 1000
    return {"negative": chosen / 2000, "neutral": 0.5, "positive": 0.5 - chosen / 2000}


@app.agent(posts)
async def score(stream: Any) -> None:
    """Score each post, add it to its minute, send it on."""
    await scored.declare()
    async for post in stream:
        watch.note()
        scores = sentiment(post.text)
        minute = post.claimed_at[:16]
        count, total = minutes[minute] or (0, 0.0)
        minutes[minute] = [count + 1, total + scores["positive"] - scores["negative"]]
        await scored.send(key=post.author, value={"id": post.id, "scores": scores})
        if watch.seen >= watch.posts:
            found: dict[int, list[int]] = {}
            for name, (in_minute, _) in minutes.items():
                at = datetime.fromisoformat(f"{name}:00+00:00")
                found[int(at.timestamp())] = [in_minute, 0]
            watch.write(asked.out, {start: (n, total) for start, (n, total) in found.items()})
            os._exit(0)  # Faust takes seconds to stop; what was to be measured is written


if __name__ == "__main__":
    faust.Worker(app, loglevel="error").execute_from_commandline()
