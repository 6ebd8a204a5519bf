"""Watermarks at their bounds: the very second of idleness, stale news, event time zero."""

from stream.windows.watermark import GlobalWatermark, PartitionWatermark


def test_a_partition_without_posts_has_neither_watermark_nor_newest_time() -> None:
    watermark = PartitionWatermark(30_000)
    assert (watermark.value_ms, watermark.newest_ms) == (-1, -1)
    watermark.advance(29_999)
    assert (watermark.value_ms, watermark.newest_ms) == (-1, -1)
    watermark.advance(30_000)
    assert (watermark.value_ms, watermark.newest_ms) == (0, 30_000)


def test_news_without_a_post_is_no_news() -> None:
    watermark = GlobalWatermark(idle_after_s=30, expected=2)
    watermark.observe(0, -1, cursor=9, now_s=0)
    assert watermark.value_ms(now_s=100) == -1
    assert watermark.cursor(0) == -1
    assert watermark.idle(now_s=100) == frozenset()
    watermark.observe(0, 0, cursor=9, now_s=100)
    assert watermark.cursor(0) == 9
    assert watermark.value_ms(now_s=129) == -1, "waiting begins with the first post"
    assert watermark.value_ms(now_s=130) == 0


def test_a_partition_is_idle_in_the_second_and_not_before() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=5, now_s=10)
    assert watermark.idle(now_s=39.9) == frozenset()
    assert watermark.idle(now_s=40) == {0}


def test_news_that_says_nothing_new_does_not_keep_a_partition_from_being_idle() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=5, now_s=0)
    watermark.observe(0, 60_000, cursor=5, now_s=20)
    watermark.observe(0, 50_000, cursor=4, now_s=25)
    assert watermark.idle(now_s=30) == {0}
    assert watermark.cursor(0) == 5
    assert watermark.value_ms(now_s=30) == 60_000


def test_either_a_cursor_or_a_watermark_that_rose_is_a_sign_of_life() -> None:
    watermark = GlobalWatermark(idle_after_s=30)
    watermark.observe(0, 60_000, cursor=5, now_s=0)
    watermark.observe(0, 60_001, cursor=5, now_s=20)
    watermark.observe(1, 60_000, cursor=5, now_s=0)
    watermark.observe(1, 60_000, cursor=6, now_s=20)
    assert watermark.idle(now_s=49) == frozenset()
    assert watermark.idle(now_s=50) == {0, 1}


def test_at_the_beginning_it_is_enough_that_as_many_were_heard_of_as_there_are() -> None:
    watermark = GlobalWatermark(idle_after_s=30, expected=2)
    watermark.observe(0, 90_000, cursor=1, now_s=0)
    watermark.observe(5, 80_000, cursor=1, now_s=1)
    assert watermark.value_ms(now_s=1) == 80_000
