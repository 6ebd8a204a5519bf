"""The memory of delivered posts: bounded, behind Kafka, and there after a crash."""

from __future__ import annotations

from pathlib import Path

from services.ingest.sources.memory import DELETED, Held, HeldPosts


def opened(path: Path, max_posts: int = 100, *, is_fresh: bool = False) -> HeldPosts:
    return HeldPosts(path / "held.sqlite", max_posts, is_fresh=is_fresh)


def test_only_what_kafka_acknowledged_is_there_after_a_crash(tmp_path: Path) -> None:
    held = opened(tmp_path)
    for n in range(1, 6):
        held.remember(n, f"p{n}", "ana", "v1")
    held.acknowledged(3)
    assert held.find("p5") == Held("ana", "v1")
    again = opened(tmp_path)
    assert [again.find(f"p{n}") is not None for n in range(1, 6)] == [True] * 3 + [False] * 2


def test_the_latest_version_counts_and_a_deleted_post_has_no_author(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.remember(1, "p", "ana", "v1")
    held.remember(2, "p", "ana", "v2")
    held.acknowledged(1)
    assert held.find("p") == Held("ana", "v2")
    held.remember(3, "p", "ana", DELETED)
    held.acknowledged(3)
    assert held.author_of("p") is None
    assert opened(tmp_path).find("p") == Held("ana", DELETED)
    assert held.newest(5) == []


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    held = opened(tmp_path, max_posts=10)
    for n in range(1, 1_501):
        held.remember(n, f"p{n}", "ana")
    held.acknowledged(1_500)
    assert held.find("p1") is None
    assert held.find("p1500") is not None
    assert [post_id for post_id, _ in held.newest(3)] == ["p1500", "p1499", "p1498"]


def test_without_acknowledgements_memory_is_bounded(tmp_path: Path) -> None:
    held = opened(tmp_path, max_posts=10)
    for n in range(5_000):
        held.remember(n, f"p{n}", "ana")
    assert len(held._pending) <= 1_011


def test_looking_at_a_source_takes_nothing_from_a_run_beside_it(tmp_path: Path) -> None:
    running = opened(tmp_path)
    running.remember(1, "p1", "ana")
    running.acknowledged(1)
    looking = opened(tmp_path, is_fresh=True)
    looking.remember(1, "p2", "ben")
    assert looking.find("p1") is None
    looking.close()
    assert opened(tmp_path).find("p1") == Held("ana")
    fresh = opened(tmp_path, is_fresh=True)
    fresh.remember(1, "p3", "eva")
    fresh.acknowledged(1)
    again = opened(tmp_path)
    assert (again.find("p1"), again.find("p3")) == (None, Held("eva"))


def test_what_was_not_handed_on_after_all_is_taken_back(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.remember(1, "p", "ana", "v1")
    held.remember(2, "p", "ana", "v2")
    held.take_back(1)
    assert held.find("p") == Held("ana", "v2")
    held.take_back(2)
    assert held.find("p") == Held("ana", "v1")
    held.take_back(1)
    assert held.find("p") is None


def test_an_id_that_no_record_can_carry_is_not_known(tmp_path: Path) -> None:
    held = HeldPosts(tmp_path / "held.sqlite", 10, is_fresh=False)
    assert held.find("t3_\ud800") is None
    held.close()
