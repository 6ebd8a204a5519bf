"""The plain job in Quix Streams: tumbling windows in RocksDB, closed by event time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from plain import Watch, arguments, decode_post
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum


def main() -> None:
    """Run until every post was seen."""
    asked = arguments()
    watch = Watch(asked.posts)
    windows: dict[int, tuple[int, int]] = {}
    apps: list[Application] = []

    def processed(*_: Any) -> None:
        watch.note()
        if watch.seen == watch.posts:
            apps[0].stop()

    app = Application(
        broker_address=asked.bootstrap,
        consumer_group=asked.scratch.name,
        auto_offset_reset="earliest",
        state_dir=asked.scratch / "state",
        loglevel="WARNING",
        on_message_processed=processed,
        consumer_extra_config={"check.crcs": True},  # as ours does
    )

    def decoded(value: bytes) -> dict[str, Any]:
        post = decode_post(value)
        return {"at": post.claimed_at.timestamp(), "length": len(post.text)}

    def event_time(value: bytes, *_: Any) -> int:
        return int(decode_post(value).claimed_at.timestamp() * 1000)

    def collect(closed: dict[str, Any]) -> None:
        start = closed["start"] // 1000
        posts, length = windows.get(start, (0, 0))
        windows[start] = (posts + closed["posts"], length + closed["length"])

    topic = app.topic(asked.topic, value_deserializer="bytes", timestamp_extractor=event_time)
    frame = app.dataframe(topic).apply(decoded)
    frame = frame.tumbling_window(timedelta(minutes=1)).agg(posts=Count(), length=Sum("length"))
    frame.final().update(collect)
    apps.append(app)
    app.run()
    watch.write(asked.out, windows)


if __name__ == "__main__":
    main()
