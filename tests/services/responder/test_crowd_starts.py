"""What was expected is kept in parts, and only what has changed is written."""

from __future__ import annotations

import msgspec

from models.popalm.expected_likes import ExpectedLikes
from models.socialalign.live import SourceCrowds
from services.responder.crowd_starts import CrowdStarts
from services.responder.followed import FollowedEvent
from tests.services.responder.said import NOON_S, SETTINGS, fires, gone, rated, world

START = SourceCrowds(3).start("t")


def event(post: str, at_s: float = 0.0) -> FollowedEvent:
    return FollowedEvent(f"s|{post}", "s", post, NOON_S + at_s, ExpectedLikes(), "t")


def full(number: int) -> CrowdStarts:
    starts = CrowdStarts(SETTINGS)
    for n in range(number):
        starts.add(event(f"p{n}", n), START)
    return starts


def test_one_event_that_begins_writes_its_part_alone() -> None:
    starts = full(500)
    whole = starts.stored()
    assert len(whole) == 64
    starts.is_kept()
    assert starts.stored() == {}
    starts.add(event("new", 500), START)
    ((name, value),) = starts.stored().items()
    assert len(value) < sum(map(len, whole.values())) / 20
    kept = whole | {name: value}
    again = CrowdStarts(SETTINGS)
    again.restore(kept)
    assert again.of(event("new", 510)) == (NOON_S + 500, START)
    assert again.of(event("p7", 7)) == (NOON_S + 7, START)
    assert again.stored() == {}


def test_what_is_forgotten_leaves_what_is_kept_too() -> None:
    starts = full(3)
    kept = starts.stored()
    starts.is_kept()
    starts.forget_before(NOON_S + 4 * SETTINGS.memory_s + 1.5)
    kept |= starts.stored()
    again = CrowdStarts(SETTINGS)
    again.restore(kept)
    assert [again.of(event(f"p{n}", n)) is None for n in range(3)] == [True, True, False]
    # The oldest stand first also after they were read from parts.
    again.forget_before(NOON_S + 4 * SETTINGS.memory_s + 2.5)
    assert again.of(event("p2", 2)) is None


def test_what_an_earlier_version_kept_in_one_is_taken_up_and_divided() -> None:
    whole = {f"s|p{n}": (NOON_S + n, START) for n in range(5)}
    starts = CrowdStarts(SETTINGS)
    starts.restore({"crowds-starts": msgspec.json.encode(whole)})
    kept = starts.stored()
    assert kept["crowds-starts"] == b"{}"
    again = CrowdStarts(SETTINGS)
    again.restore(kept)
    assert [again.of(event(f"p{n}", n)) for n in range(5)] == list(whole.values())
    assert again.stored() == {}


def test_a_part_that_cannot_be_read_costs_no_other() -> None:
    kept = full(50).stored()
    broken = sorted(kept)[0]
    lost = set(msgspec.json.decode(kept[broken]))
    again = CrowdStarts(SETTINGS)
    again.restore(kept | {broken: b"{"})
    for n in range(50):
        assert (again.of(event(f"p{n}", n)) is None) == (f"s|p{n}" in lost)


def test_an_answer_or_a_deletion_writes_nothing() -> None:
    events = world()
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    assert events.crowds.has_changed
    assert [name.split(":")[0] for name in events.crowds.stored()] == ["crowds-starts"]
    events.crowds.is_kept()
    for said in (rated("a", 0, 1), rated("b", 1, 2), gone("a")):
        events.take(said)
    events.let_pass(NOON_S + 5)
    assert not events.crowds.has_changed
    assert events.crowds.stored() == {}
