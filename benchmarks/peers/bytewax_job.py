"""The plain job in Bytewax: an event-time fold over tumbling windows, in memory.

The variant `fast` folds posts in the order they come: a count does not need them sorted by time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from plain import PlainPost, Watch, arguments, decode_post

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def main() -> None:
    """Run to the end of the topic."""
    asked = arguments()
    watch = Watch(asked.posts)
    closed: list[tuple[str, tuple[int, tuple[int, int]]]] = []

    def decoded(message: Any) -> tuple[str, PlainPost]:
        watch.begin()
        return message.key.decode(), decode_post(message.value)

    def fold(sums: tuple[int, int], post: PlainPost) -> tuple[int, int]:
        watch.note()
        return sums[0] + 1, sums[1] + len(post.text)

    flow = Dataflow("plain")
    source = KafkaSource(
        [asked.bootstrap],
        [asked.topic],
        tail=False,
        batch_size=2_000,
        add_config={"check.crcs": "true"},  # ours checks them too; its library does not by default
    )
    posts = op.map("decode", op.input("kafka", flow, source), decoded)
    folded = win.fold_window(
        "minute",
        posts,
        # Its watermark runs on with the wall clock between batches: without patience a replay
        # finds posts late.
        win.EventClock(lambda post: post.claimed_at, timedelta(seconds=30)),
        win.TumblingWindower(timedelta(minutes=1), EPOCH),
        lambda: (0, 0),
        fold,
        lambda a, b: (a[0] + b[0], a[1] + b[1]),
        ordered=asked.variant != "fast",
    )
    op.output("out", folded.down, TestingSink(closed))
    run_main(flow)
    windows: dict[int, tuple[int, int]] = {}
    for _, (minute, (posts_in, length)) in closed:
        known = windows.get(minute * 60, (0, 0))
        windows[minute * 60] = (known[0] + posts_in, known[1] + length)
    watch.write(asked.out, windows)


if __name__ == "__main__":
    main()
