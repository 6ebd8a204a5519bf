"""Posts are remembered within two limits, and what is forgotten early is counted."""

from services.responder.memory import RecentPosts
from tests.services.responder.said import NOON_S, text


def test_the_oldest_are_forgotten_and_counted_by_the_limit() -> None:
    memory = RecentPosts(3, 10**6)
    for number in range(5):
        memory.add(text(f"p{number}", number, root="r"))
    assert (len(memory), dict(memory.evicted)) == (3, {"posts": 2})
    assert [post.name for post in memory.replies_to("s|r")] == ["s|p2", "s|p3", "s|p4"]
    small = RecentPosts(100, 2_000)
    for number in range(50):
        small.add(text(f"p{number}", number, text="x" * 300))
    assert small.bytes <= 2_000
    assert small.evicted["bytes"] == 50 - len(small)


def test_nothing_is_left_of_what_is_removed_or_expired() -> None:
    memory = RecentPosts(100, 10**6)
    for number in range(10):
        memory.add(text(f"p{number}", number, root="r"))
    assert memory.remove("s|p7")
    assert not memory.remove("s|p7")
    memory.forget_before(NOON_S + 5)
    assert [post.name for post in memory.replies_to("s|r")] == ["s|p5", "s|p6", "s|p8", "s|p9"]
    assert memory.likes_of("s|p7") is None
    memory.forget_before(NOON_S + 100)
    assert (len(memory), memory.bytes, memory.evicted.total()) == (0, 0, 0)
