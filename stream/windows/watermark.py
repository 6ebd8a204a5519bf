"""Watermarks: how far event time has come in a partition, and in all of them together."""

from __future__ import annotations

from dataclasses import dataclass


class PartitionWatermark:
    """The largest event time seen less the allowed lateness; it never falls.

    All times in ms since 1970. Owned by the worker of the partition.

    Args:
        allowed_lateness_ms: how far behind the largest event time a post may be and not be late.
        start_ms: watermark that the store holds, -1 if the partition never had a post.

    Example:
        >>> watermark = PartitionWatermark(30_000)
        >>> watermark.advance(100_000), watermark.advance(90_000)
        (70000, 70000)
    """

    __slots__ = ("_allowed_lateness_ms", "_value_ms")

    def __init__(self, allowed_lateness_ms: int, start_ms: int = -1) -> None:
        self._allowed_lateness_ms = allowed_lateness_ms
        self._value_ms = start_ms

    @property
    def value_ms(self) -> int:
        """The watermark, -1 before the first post."""
        return self._value_ms

    @property
    def newest_ms(self) -> int:
        """The largest event time seen, -1 before the first post."""
        return -1 if self._value_ms < 0 else self._value_ms + self._allowed_lateness_ms

    def advance(self, event_ms: int) -> int:
        """Take note of a post's event time and return the watermark after it."""
        self._value_ms = max(self._value_ms, event_ms - self._allowed_lateness_ms)
        return self._value_ms


@dataclass(slots=True)
class _Partition:
    watermark_ms: int
    cursor: int
    moved_at_s: float


class GlobalWatermark:
    """The least watermark over the partitions that are not idle; it never falls.

    A partition is idle when it counted no post for `idle_after_s`. When all are, nobody holds
    anybody back and the greatest watermark counts: so the end of a replay still closes what its
    posts allow. A partition that never had a post has no say; only at the very beginning, where it
    may just be slower than the others, it is waited for as long as for one that falls silent.

    Args:
        idle_after_s: seconds of the caller's clock.
        start_ms: where it had come to before, -1 for the beginning.
        expected: how many partitions there are; 0 waits for none.

    Example:
        >>> watermark = GlobalWatermark(idle_after_s=30)
        >>> watermark.observe(0, 90_000, cursor=5, now_s=0)
        >>> watermark.observe(1, 60_000, cursor=7, now_s=0)
        >>> watermark.value_ms(now_s=1)
        60000
    """

    def __init__(self, idle_after_s: float, start_ms: int = -1, expected: int = 0) -> None:
        self._idle_after_s = idle_after_s
        self._value_ms = start_ms
        self._expected = expected
        self._began_s: float | None = None
        self._partitions: dict[int, _Partition] = {}

    def observe(self, partition: int, watermark_ms: int, cursor: int, now_s: float) -> None:
        """Take note of what a partition has come to; stale and repeated news change nothing.

        Args:
            partition: its number.
            watermark_ms: its watermark, -1 if it never had a post.
            cursor: last applied offset of `posts`; a greater one than known means it is not idle.
            now_s: monotonic seconds.
        """
        if watermark_ms < 0:
            return
        if self._began_s is None:
            self._began_s = now_s
        known = self._partitions.get(partition)
        if known is None:
            self._partitions[partition] = _Partition(watermark_ms, cursor, now_s)
            return
        if cursor > known.cursor or watermark_ms > known.watermark_ms:
            known.moved_at_s = now_s
        known.cursor = max(known.cursor, cursor)
        known.watermark_ms = max(known.watermark_ms, watermark_ms)

    def value_ms(self, now_s: float) -> int:
        """Return the global watermark, -1 before the first post.

        Args:
            now_s: monotonic seconds; decides who is idle.
        """
        if self._partitions and not self._waits_for_more(now_s):
            active = [p.watermark_ms for p in self._partitions.values() if self._moves(p, now_s)]
            everyone = [p.watermark_ms for p in self._partitions.values()]
            self._value_ms = max(self._value_ms, min(active) if active else max(everyone))
        return self._value_ms

    def idle(self, now_s: float) -> frozenset[int]:
        """Return the partitions that had posts and are idle now."""
        return frozenset(n for n, p in self._partitions.items() if not self._moves(p, now_s))

    def excuse(self, delay_s: float) -> None:
        """Leave `delay_s` out of everybody's idle time: news could not arrive in it."""
        for partition in self._partitions.values():
            partition.moved_at_s += delay_s
        if self._began_s is not None:
            self._began_s += delay_s

    def cursor(self, partition: int) -> int:
        """Return the greatest cursor seen of a partition, -1 if none."""
        known = self._partitions.get(partition)
        return known.cursor if known else -1

    def _waits_for_more(self, now_s: float) -> bool:
        """Tell whether it is the very beginning and a partition was not heard of yet."""
        return (
            self._value_ms < 0
            and len(self._partitions) < self._expected
            and self._began_s is not None
            and now_s - self._began_s < self._idle_after_s
        )

    def _moves(self, partition: _Partition, now_s: float) -> bool:
        return now_s - partition.moved_at_s < self._idle_after_s
