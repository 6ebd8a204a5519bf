from hypothesis import given
from hypothesis import strategies as st

from models.serving.cache import RecentCache, content_key


def test_latest_entries_are_kept_and_the_oldest_are_forgotten() -> None:
    cache: RecentCache[int] = RecentCache(10)
    for number in range(100):
        cache.put(content_key(str(number)), number)
    assert cache.get(content_key("99")) == 99
    assert cache.get(content_key("95")) == 95
    assert cache.get(content_key("1")) is None


def test_a_used_entry_outlives_unused_ones() -> None:
    cache: RecentCache[int] = RecentCache(10)
    cache.put(b"kept", 1)
    for number in range(100):
        cache.put(content_key(str(number)), number)
        assert cache.get(b"kept") == 1


@given(st.integers(0, 20), st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200))
def test_capacity_bounds_the_cache_and_values_belong_to_their_keys(
    capacity: int, uses: list[tuple[bool, int]]
) -> None:
    cache: RecentCache[int] = RecentCache(capacity)
    for is_put, number in uses:
        key = content_key(str(number))
        if is_put:
            cache.put(key, number)
        else:
            assert cache.get(key) in (None, number)
        assert len(cache) <= max(capacity, 0)
