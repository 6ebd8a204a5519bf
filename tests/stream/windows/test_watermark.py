from hypothesis import given
from hypothesis import strategies as st

from stream.windows.watermark import GlobalWatermark, PartitionWatermark

times_ms = st.integers(0, 10_000_000)


@given(st.lists(times_ms), st.integers(0, 60_000), st.integers(-1, 10_000_000))
def test_partition_watermark_never_falls(events: list[int], lateness: int, start: int) -> None:
    watermark = PartitionWatermark(lateness, start)
    seen = [start, *(watermark.advance(event) for event in events)]
    assert seen == sorted(seen)
    assert watermark.value_ms == max([start, *(event - lateness for event in events)])


def test_partition_watermark_stays_allowed_lateness_behind_largest_event_time() -> None:
    watermark = PartitionWatermark(30_000)
    assert watermark.value_ms == -1
    assert watermark.advance(100_000) == 70_000
    assert watermark.advance(99_000) == 70_000
    assert watermark.advance(100_001) == 70_001


def test_partition_watermark_goes_on_from_the_stored_one() -> None:
    watermark = PartitionWatermark(30_000, start_ms=500_000)
    assert watermark.advance(100_000) == 500_000


def test_global_watermark_is_the_least_of_the_partitions() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 90_000, cursor=1, now_s=0)
    watermark.observe(1, 60_000, cursor=1, now_s=0)
    assert watermark.value_ms(now_s=1) == 60_000


def test_partition_that_never_had_a_post_holds_nobody_back() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 90_000, cursor=1, now_s=0)
    watermark.observe(1, -1, cursor=-1, now_s=0)
    assert watermark.value_ms(now_s=1) == 90_000
    assert watermark.idle(now_s=1) == frozenset()


def test_idle_partition_no_longer_holds_the_others_back() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=1, now_s=0)
    watermark.observe(1, 60_000, cursor=1, now_s=0)
    watermark.observe(1, 200_000, cursor=2, now_s=29)
    assert watermark.value_ms(now_s=29) == 60_000
    assert watermark.value_ms(now_s=30) == 200_000
    assert watermark.idle(now_s=30) == {0}


def test_repeated_news_do_not_keep_a_partition_from_being_idle() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=5, now_s=0)
    watermark.observe(0, 60_000, cursor=5, now_s=29)
    watermark.observe(0, 50_000, cursor=4, now_s=29)
    assert watermark.idle(now_s=30) == {0}


def test_late_posts_keep_a_partition_from_being_idle() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=5, now_s=0)
    watermark.observe(0, 60_000, cursor=6, now_s=29)
    assert watermark.idle(now_s=30) == frozenset()


def test_when_all_partitions_are_idle_the_greatest_watermark_counts() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=1, now_s=0)
    watermark.observe(1, 90_000, cursor=1, now_s=0)
    assert watermark.value_ms(now_s=30) == 90_000


def test_silence_that_was_ours_does_not_make_partitions_idle() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=1, now_s=0)
    watermark.observe(1, 90_000, cursor=1, now_s=0)
    watermark.excuse(25)
    assert watermark.value_ms(now_s=40) == 60_000


def test_partition_that_comes_back_does_not_pull_the_watermark_down() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=1, now_s=0)
    watermark.observe(1, 90_000, cursor=1, now_s=20)
    assert watermark.value_ms(now_s=40) == 90_000
    watermark.observe(0, 61_000, cursor=2, now_s=41)
    assert watermark.value_ms(now_s=41) == 90_000


def test_at_the_beginning_partitions_not_heard_of_are_waited_for_like_silent_ones() -> None:
    watermark = GlobalWatermark(idle_after_s=30, expected=2)
    assert watermark.value_ms(now_s=0) == -1
    watermark.observe(0, 90_000, cursor=1, now_s=100)
    assert watermark.value_ms(now_s=101) == -1
    watermark.observe(1, 60_000, cursor=1, now_s=110)
    assert watermark.value_ms(now_s=110) == 60_000

    alone = GlobalWatermark(idle_after_s=30, expected=2)
    alone.observe(0, 90_000, cursor=1, now_s=100)
    alone.excuse(5)
    assert alone.value_ms(now_s=134) == -1
    assert alone.value_ms(now_s=135) == 90_000


def test_what_goes_on_from_before_waits_for_nobody_new() -> None:
    watermark = GlobalWatermark(idle_after_s=30, start_ms=60_000, expected=2)
    watermark.observe(0, 90_000, cursor=1, now_s=0)
    assert watermark.value_ms(now_s=0) == 90_000


def test_global_watermark_goes_on_from_what_was_closed_before() -> None:
    watermark = GlobalWatermark(idle_after_s=30, start_ms=120_000)
    assert watermark.value_ms(now_s=0) == 120_000
    watermark.observe(0, 60_000, cursor=1, now_s=0)
    assert watermark.value_ms(now_s=0) == 120_000


news = st.tuples(
    st.integers(0, 3), times_ms, st.integers(0, 1_000), st.floats(0, 50, allow_nan=False)
)


@given(st.lists(news))
def test_global_watermark_never_falls(steps: list[tuple[int, int, int, float]]) -> None:
    watermark, now_s, seen = GlobalWatermark(idle_after_s=30), 0.0, [-1]
    for partition, value, cursor, passed in steps:
        now_s += passed
        watermark.observe(partition, value, cursor, now_s)
        seen.append(watermark.value_ms(now_s))
    assert seen == sorted(seen)


@given(st.lists(st.tuples(st.integers(0, 3), times_ms), min_size=1), st.randoms())
def test_any_interleaving_of_progress_comes_to_the_same_end(
    progress: list[tuple[int, int]], chance: object
) -> None:
    """A partition's own order is kept; how they mix, and repeats, make no difference."""
    by_partition: dict[int, list[int]] = {}
    for partition, value in progress:
        by_partition.setdefault(partition, []).append(value)
    queues = {p: list(enumerate(values)) for p, values in by_partition.items()}
    mixed = GlobalWatermark(idle_after_s=30)
    while queues:
        partition = chance.choice(sorted(queues))  # type: ignore[attr-defined]
        cursor, value = queues[partition].pop(0)
        for _ in range(chance.randint(1, 2)):  # type: ignore[attr-defined]
            mixed.observe(partition, value, cursor, now_s=0)
        if not queues[partition]:
            del queues[partition]
    # With everything heard, the least of the partitions' largest; nothing was asked in between.
    assert mixed.value_ms(now_s=1) == min(max(values) for values in by_partition.values())
    assert mixed.value_ms(now_s=31) == max(max(values) for values in by_partition.values())
