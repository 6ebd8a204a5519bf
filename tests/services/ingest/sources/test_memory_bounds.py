"""The memory of delivered posts at its bounds: what is forgotten, written and told, to the item."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ingest.sources.memory import DELETED, Held, HeldPosts, has_reached

PRUNED_EVERY = 1_000


def _opened(path: Path, max_posts: int = 10, *, is_fresh: bool = False) -> HeldPosts:
    return HeldPosts(path / "held.sqlite", max_posts, is_fresh=is_fresh)


def _ids(held: HeldPosts, count: int = 100) -> list[str]:
    return [post_id for post_id, _ in held.newest(count)]


def test_what_waits_for_kafka_is_bounded_to_the_post(tmp_path: Path) -> None:
    held = _opened(tmp_path)
    for n in range(10 + PRUNED_EVERY):
        held.remember(n, f"p{n}", "ana")
    assert held.find("p0") == Held("ana")
    held.remember(5_000, "more", "ana")
    assert held.find("p0") is None
    assert held.find("p1") == Held("ana")


def test_a_post_said_again_is_not_forgotten_with_its_older_version(tmp_path: Path) -> None:
    held = _opened(tmp_path)
    held.remember(0, "p", "ana", "v1")
    for n in range(1, 9 + PRUNED_EVERY):
        held.remember(n, f"p{n}", "ana")
    held.remember(4_000, "p", "ana", "v2")
    held.remember(4_001, "last", "ana")
    assert held.find("p") == Held("ana", "v2")


@pytest.mark.parametrize(("seq", "kept"), [(3, None), (2, Held("ben")), (4, Held("ben"))])
def test_only_the_last_item_can_be_taken_back(tmp_path: Path, seq: int, kept: Held | None) -> None:
    held = _opened(tmp_path)
    held.take_back(1)
    held.remember(1, "a", "ana")
    held.remember(3, "b", "ben")
    held.take_back(seq)
    assert held.find("b") == kept
    assert held.find("a") == Held("ana")


def test_taking_back_brings_the_version_before_it_back_and_not_an_older_one(
    tmp_path: Path,
) -> None:
    held = _opened(tmp_path)
    for seq, post_id, version in ((1, "p", "v1"), (2, "q", "w1"), (3, "p", "v2"), (4, "p", "v3")):
        held.remember(seq, post_id, "ana", version)
    held.take_back(4)
    assert held.find("p") == Held("ana", "v2")
    held.take_back(3)
    assert held.find("p") == Held("ana", "v1")
    assert held.find("q") == Held("ana", "w1")


def test_the_file_is_pruned_when_a_thousand_were_written_and_not_before(tmp_path: Path) -> None:
    held = _opened(tmp_path)
    for n in range(PRUNED_EVERY - 1):
        held.remember(n, f"p{n}", "ana")
    held.acknowledged(PRUNED_EVERY)
    assert held.find("p0") == Held("ana")
    held.remember(2_000, "last", "ana")
    held.acknowledged(2_000)
    assert _ids(held) == ["last", *(f"p{n}" for n in range(998, 989, -1))]
    for n in range(3_000, 3_005):
        held.remember(n, f"p{n}", "ana")
    held.acknowledged(4_000)
    assert len(_ids(held)) == 15, "the next pruning is a thousand later"


def test_an_acknowledgement_writes_up_to_its_number_and_notes_it(tmp_path: Path) -> None:
    held = _opened(tmp_path)
    for n in (1, 2, 3):
        held.remember(n, f"p{n}", "ana", f"v{n}")
    held.acknowledged(2)
    again = _opened(tmp_path)
    assert _ids(again) == ["p2", "p1"]
    assert again.find("p2") == Held("ana", "v2")
    assert has_reached(tmp_path / "held.sqlite", 2)
    held.remember(4, "p1", "ana", "v4")
    held.acknowledged(3)
    assert held.find("p1") == Held("ana", "v4"), "what Kafka does not have yet is newer"
    held.acknowledged(4)
    assert _opened(tmp_path).find("p1") == Held("ana", "v4")
    assert _ids(_opened(tmp_path)) == ["p1", "p3", "p2"]


def test_the_newest_are_those_that_wait_and_then_those_written_each_once(tmp_path: Path) -> None:
    held = _opened(tmp_path)
    for n in range(4):
        held.remember(n, f"p{n}", "ana", "v1")
    held.acknowledged(3)
    held.remember(4, "p1", "ana", "v2")
    held.remember(5, "p4", "ana")
    held.remember(6, "p3", "ana", DELETED)
    assert held.newest(10) == [
        ("p4", Held("ana")), ("p1", Held("ana", "v2")), ("p2", Held("ana", "v1")),
        ("p0", Held("ana", "v1")),
    ]  # fmt: skip
    assert _ids(held, 1) == ["p4"]
    assert _ids(held, 3) == ["p4", "p1", "p2"]


def test_ids_are_found_by_their_beginning_written_or_not_and_never_deleted_ones(
    tmp_path: Path,
) -> None:
    held = _opened(tmp_path)
    for seq, post_id in enumerate(("at/a/1", "at/a/2", "at/b/1", "at/a/3")):
        held.remember(seq, post_id, "ana")
    held.acknowledged(2)
    held.remember(7, "at/a/4", "ana")
    held.remember(8, "at/a/1", "ana", DELETED)
    assert sorted(held.ids_from("at/a/")) == ["at/a/2", "at/a/3", "at/a/4"]
    held.acknowledged(8)
    assert sorted(held.ids_from("at/a/")) == ["at/a/2", "at/a/3", "at/a/4"]
    assert held.ids_from("at/c/") == []


def test_a_fresh_memory_knows_what_it_was_told_and_nothing_of_the_file(tmp_path: Path) -> None:
    before = _opened(tmp_path)
    before.remember(1, "old", "ana")
    before.acknowledged(1)
    fresh = _opened(tmp_path, is_fresh=True)
    fresh.remember(1, "new", "ben")
    assert _ids(fresh) == ["new"]
    assert list(fresh.ids_from("")) == ["new"]
    assert fresh.author_of("new") == "ben"
    assert fresh.author_of("old") is None
    fresh.close()
    assert _ids(_opened(tmp_path)) == ["old"]


def test_a_closed_memory_can_be_closed_again_and_forgets_no_acknowledged_post(
    tmp_path: Path,
) -> None:
    held = _opened(tmp_path)
    held.remember(1, "p", "ana")
    held.acknowledged(1)
    held.close()
    held.close()
    assert held.find("p") is None
    assert _opened(tmp_path).find("p") == Held("ana")
