"""How crowds answer: from the past alone, the same after a restart, and nothing of the deleted."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from core.clock import ManualClock
from core.heads import SENTIMENT
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import Response, ResponseCrowd
from models.socialalign import live
from models.socialalign.live import LiveCrowd, SourceCrowds
from services.responder.crowd_told import in_words
from services.responder.following import FollowedEvents
from services.responder.intake import AnswerRated, ReplyIntake
from services.responder.learning import LikeCurves
from testkit.builders import NOON
from tests.services.responder.said import (
    NOON_S,
    SETTINGS,
    fires,
    gone,
    rated,
    record,
    scored,
    text,
    world,
)

STEP_S = 100.0
"""Between two events; each is learnt from after 2,000 seconds."""


def said_of(events: FollowedEvents, post: str) -> ResponseCrowd:
    crowd = response_of(events, post).crowd
    assert crowd is not None
    return crowd


def response_of(events: FollowedEvents, post: str) -> Response:
    return events.events[f"s|{post}"].response(10, NOON_S)[0]


def history(number: int, seed: int = 3) -> list[tuple[float, Any]]:
    """Events of two topics that lean apart, each with ten rated replies, by time."""
    draws, found = random.Random(seed), []
    for n in range(number):
        at_s, topic = n * STEP_S, f"t{n % 2}"
        found.append((at_s, fires(f"p{n}", at_s, topic=topic)))
        for k in range(10):
            label = 0 if draws.random() < (0.8 if n % 2 else 0.2) else 2
            found.append((at_s + 1 + k, rated(f"a{n}-{k}", label, at_s + 1 + k, f"p{n}")))
    return found


def play(
    events: FollowedEvents, said: list[tuple[float, Any]], until_s: float
) -> dict[str, ResponseCrowd]:
    """Say all by its time, and let time pass; return what was told last of each event."""
    told: dict[str, ResponseCrowd] = {}
    for at_s, one in said:
        if at_s > until_s:
            break
        events.take(one)
        if not isinstance(one, AnswerRated):
            pass_to(events, at_s, told)
    pass_to(events, until_s, told)
    return told


def pass_to(events: FollowedEvents, at_s: float, told: dict[str, ResponseCrowd]) -> None:
    events.let_pass(NOON_S + at_s)
    for name, event in events.events.items():
        response, _ = event.response(10, NOON_S + at_s)
        event.has_changed = False
        if response.crowd is not None:
            told[name] = response.crowd


def test_expected_is_told_before_the_first_answer_and_the_posterior_after_each() -> None:
    events = world()
    events.take(fires("p", 10, topic="q"))
    events.let_pass(NOON_S + 10)
    first = said_of(events, "p")
    assert (first.topic, first.observed, first.greyed) == ("q", (0, 0, 0), True)
    assert first.expected == first.posterior == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-6)
    for number in range(4):
        events.take(rated(f"a{number}", 0, 11 + number))
        now = said_of(events, "p")
        assert now.observed == (number + 1, 0, 0)
        assert now.posterior[0] > first.posterior[0]
        first = now
        assert events.events["s|p"].has_changed


@pytest.mark.parametrize("first", ["answers", "event"])
def test_answers_count_whenever_they_are_read_and_only_those_of_the_event(first: str) -> None:
    events = world()
    answers = [
        rated("a", 0, -5), rated("b", 2, 5), rated("old", 2, -1_500), rated("late", 2, 2_000),
        rated("x", 1, 5, root="other"), rated("b", 2, 5),
    ]  # fmt: skip
    begins = [fires("p", 0)]
    for said in (answers + begins) if first == "answers" else (begins + answers):
        events.take(said)
    events.let_pass(NOON_S)
    assert said_of(events, "p").observed == (1, 0, 1)


def test_what_comes_after_the_end_is_not_of_the_event_even_if_it_was_read_before() -> None:
    events = world()
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    for said in (rated("a", 0, 5), rated("b", 0, 20), fires("p", 10, is_firing=False)):
        events.take(said)
    assert said_of(events, "p").observed == (1, 0, 0)
    events.take(fires("p", 30))
    assert said_of(events, "p").observed == (2, 0, 0)


def test_unrated_ones_and_copies_are_left_out_and_counted_and_deleted_ones_forgotten() -> None:
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    for said in (
        rated("a", 0, 1), rated("b", None, 2), rated("c", 0, 3, is_copy=True), rated("d", 2, 4),
        gone("d"), rated("d", 2, 4), rated("e", 1, 5), rated("e", 2, 6, root=""),
        rated("nobody", 2, 6, root=""),
    ):  # fmt: skip
        events.take(said)
    now = said_of(events, "p")
    assert (now.observed, now.left_out) == ((1, 0, 1), 2)
    name = "groundswell_crowd_answers_total"
    counted = {
        outcome: metrics.registry.get_sample_value(name, {"outcome": outcome})
        for outcome in ("counted", "unrated", "copy", "deleted")
    }
    assert counted == {"counted": 4, "unrated": 1, "copy": 1, "deleted": 1}
    events.take(gone("p"))
    assert response_of(events, "p").crowd is None


def test_a_deletion_long_after_the_answer_still_takes_it_away() -> None:
    events = world()
    for said in (fires("p", 0), text("a", 1, root="p"), rated("a", 0, 1), rated("b", 0, 2)):
        events.take(said)
    events.let_pass(NOON_S)
    events.let_pass(NOON_S + 1_500)
    events.take(gone("a"))
    assert said_of(events, "p").observed == (1, 0, 0)


def test_an_event_is_learnt_from_when_it_is_over_and_the_same_as_by_the_model_alone() -> None:
    said, source, crowds = history(40), SourceCrowds(3), {}
    told = play(world(), said, 6_000)
    over_s = 2 * SETTINGS.memory_s
    moments = [(n * STEP_S, 1, n) for n in range(40)]
    moments += [(n * STEP_S + over_s, 0, n) for n in range(40)]
    for _at_s, is_begin, n in sorted(moments):
        if not is_begin:
            source.learn(crowds[n])
            continue
        crowds[n] = LiveCrowd(source.start(f"t{n % 2}"))
        for _answer_s, one in said:
            if isinstance(one, AnswerRated) and one.root == f"s|p{n}":
                crowds[n].add(one.name, one.at_s, one.label or 0)
        now = crowds[n].posterior()
        assert told[f"s|p{n}"].expected == pytest.approx(now.forecast, abs=1e-6)
        assert told[f"s|p{n}"].posterior == pytest.approx(now.shares(), abs=1e-6)
    assert told["s|p39"].expected[0] > told["s|p38"].expected[0] + 0.1


def test_nothing_changes_by_what_comes_later() -> None:
    until_s = 2_950.0
    said = history(40)
    past = [one for one in said if one[0] <= until_s]
    shuffled = [(at_s, one) for at_s, one in history(40, seed=4) if at_s > until_s]
    assert [one for one in said if one[0] > until_s] != shuffled
    events, other = world(), world()
    assert play(events, said, until_s) == play(other, past + shuffled, until_s)
    later, other_later = play(events, said[len(past) :], 6_000), play(other, shuffled, 6_000)
    begun = [f"s|p{n}" for n in range(30)]
    assert [later[name].expected for name in begun if name in later] == [
        other_later[name].expected for name in begun if name in other_later
    ]
    assert later != other_later


@pytest.mark.parametrize("cut_s", [905.0, 2_155.0, 3_404.0])
def test_after_a_restart_the_same_comes_out(cut_s: float) -> None:
    said, whole, before = history(45), world(), world()
    told = play(whole, said, 5_000)
    play(before, said, cut_s)
    kept = before.crowds.stored()
    after = world()
    after.crowds.restore(kept, NOON_S + cut_s)
    since_s = cut_s - 3 * SETTINGS.memory_s
    again = [one for one in said if since_s <= one[0] <= cut_s]
    for _at_s, one in again:  # all is read before time passes
        after.take(one)
    found = play(after, said[sum(1 for at_s, _ in said if at_s <= cut_s) :], 5_000)
    assert found
    assert {name: told[name] for name in found} == found


def test_what_was_expected_is_not_made_up_later_if_it_was_not_kept() -> None:
    before, metrics = world(), Metrics()
    play(before, history(30), 2_955)
    kept = {name: value for name, value in before.crowds.stored().items()
            if not name.startswith("crowds-starts")}  # fmt: skip
    after = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    after.crowds.restore(kept, NOON_S + 2_955)
    for said in (fires("p29", 100.0), fires("new", 2_956.0)):
        after.take(said)
    after.let_pass(NOON_S + 2_960)
    assert response_of(after, "p29").crowd is None
    assert response_of(after, "new").crowd is not None
    left_out = {"what": "crowd", "reason": "began_before"}
    name = "groundswell_response_left_out_total"
    assert metrics.registry.get_sample_value(name, left_out) == 1


@pytest.mark.parametrize("stored", [
    {"crowd:s": b"{}"}, {"crowd:s": b"[]"}, {"crowd:s": b"{"}, {"crowd:s": b"\xff"},
    {"crowd:s": b'{"x":' + b"[" * 100_000}, {"crowds-upto": b"7"},
    {"crowds-starts": b'{"s|p": [0.0, {"topic": "t", "forecast": [1.0], "average": [1.0], '
                      b'"learnt": [], "is_greyed": false}]}'},
    {"crowd:s": b'{"usual": {"": [1, "x", 2]}, "strength": [], "scores": {}, "events": []}'},
])  # fmt: skip
def test_what_is_stored_and_cannot_be_read_is_learnt_anew(stored: dict[str, bytes]) -> None:
    events = world()
    events.crowds.restore(stored, NOON_S)
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    assert said_of(events, "p").expected == pytest.approx((1 / 3,) * 3, abs=1e-6)


SUMS = SourceCrowds(3).sums()
START = {"topic": "t", "forecast": [0.3, 0.3, 0.4], "average": [0.3, 0.3, 0.4],
         "learnt": [0.0] * 11, "is_greyed": False}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [
    ("crowd:s", SUMS | {"scores": dict.fromkeys(SUMS["scores"], "1")}),
    ("crowd:s", SUMS | {"events": [1, 1, "1", "1"]}),
    ("crowd:s", SUMS | {"events": {"1": 1, "2": 1, "3": 1, "4": 1}}),
    ("crowd:s", SUMS | {"events": [0, 30, 1, 1]}),
    ("crowd:s", SUMS | {"usual": {"": [1e308] * 3}}),
    ("crowds-starts", {"s|p": [NOON_S, START | {"average": [0, 0, 0]}]}),
    ("crowds-starts", {"s|p": [NOON_S, START | {"average": [-1, 1, 1]}]}),
    ("crowds-upto", [1e18, ""]),
])  # fmt: skip
def test_rubbish_that_is_stored_stops_nothing_later(name: str, value: Any) -> None:
    events = world()
    events.crowds.restore({name: msgspec.json.encode(value)}, NOON_S)
    for said in (fires("p", 0), rated("a", 0, 1)):
        events.take(said)
    events.let_pass(NOON_S)
    assert said_of(events, "p").observed == (1, 0, 0)
    events.let_pass(NOON_S + 2_500)  # it is learnt from
    assert "crowd:s" in events.crowds.stored()


@pytest.mark.parametrize("upto", [None, [1e18, ""], "x"])
def test_what_is_learnt_is_taken_for_all_of_the_past_if_nobody_knows_up_to_when(upto: Any) -> None:
    before, after = world(), world()
    play(before, history(30), 2_955)
    kept = before.crowds.stored() | {"crowds-upto": msgspec.json.encode(upto)}
    after.crowds.restore(kept, NOON_S + 2_955)
    for at_s, one in history(30):
        if at_s <= 2_955:
            after.take(one)
    after.let_pass(NOON_S + 2_955)
    assert after.crowds.stored()["crowds-upto"] == msgspec.json.encode((NOON_S + 2_955, ""))
    assert "crowd:s" not in after.crowds.stored()


def test_an_event_that_is_read_anew_from_its_middle_on_is_learnt_from_once() -> None:
    before, after = world(), world()
    for said in (fires("p", 0), rated("a", 0, 150), fires("p", 100, query="r")):
        before.take(said)
    before.let_pass(NOON_S + 150)
    before.let_pass(NOON_S + 2_050)
    kept = before.crowds.stored()
    assert "crowd:s" in kept
    after.crowds.restore(kept, NOON_S + 2_050)
    for said in (rated("a", 0, 150), fires("p", 100, query="r")):
        after.take(said)
    for at_s in (2_050, 2_150, 2_250):
        after.let_pass(NOON_S + at_s)
    assert "crowd:s" not in after.crowds.stored()


def test_a_post_that_takes_off_again_after_it_was_over_is_expected_anew() -> None:
    events = world()
    for said in (fires("p", 0), rated("a", 0, 1)):
        events.take(said)
    for at_s in (1, 2_001, 2_100):
        events.let_pass(NOON_S + at_s)
        if "s|p" in events.events:
            events.events["s|p"].has_changed = False
    events.let_pass(NOON_S + 2_101)
    assert "s|p" not in events.events
    events.take(fires("p", 2_200, topic="other"))
    events.let_pass(NOON_S + 2_200)
    now = said_of(events, "p")
    assert now.topic == "other"
    assert now.expected[0] > 0.34


def test_going_on_counts_no_answer_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_ANSWERS", 5)
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    answers = [rated(f"a{n}", 0, 1 + n) for n in range(20)]
    for said in [*answers, *(rated(f"u{n}", None, 1 + n) for n in range(9))]:
        events.take(said)
    for _ in range(5):
        events.take(fires("p", 50, is_firing=False))
        events.take(fires("p", 60))
    name = "groundswell_crowd_answers_total"
    counted = {
        outcome: metrics.registry.get_sample_value(name, {"outcome": outcome})
        for outcome in ("counted", "unrated", "dropped")
    }
    assert counted == {"counted": 20, "unrated": 9, "dropped": 19}
    assert said_of(events, "p").observed == (5, 0, 0)


def test_an_edit_of_what_is_not_known_as_an_answer_is_counted_and_changes_nothing() -> None:
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    events.take(fires("p", 0))
    events.let_pass(NOON_S)
    events.take(rated("a", 0, 1))
    events.take(rated("a", 2, 2, root=""))
    events.take(rated("unknown", 2, 3, root=""))
    name = "groundswell_crowd_answers_total"
    counted = metrics.registry.get_sample_value(name, {"outcome": "edit_of_unknown"})
    assert counted == 1
    assert said_of(events, "p").observed == (0, 0, 1)


def test_a_crowd_that_turns_is_told_and_the_most_of_it_is_exported() -> None:
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)

    def exported() -> float | None:
        events.crowds.show(events.followed())
        return metrics.registry.get_sample_value("groundswell_crowd_turn_evidence", {"source": "s"})

    events.take(fires("p", 0))
    events.take(fires("q", 0))
    events.let_pass(NOON_S)
    assert (said_of(events, "p").turn_evidence, said_of(events, "p").turn_since) == (None, 0)
    for n in range(30):
        events.take(rated(f"a{n}", 1 if n < 18 else 0, 1 + n))
    events.take(rated("b", 1, 1, root="q"))
    for post in ("p", "q"):
        events.events[f"s|{post}"].told = response_of(events, post)
    told = said_of(events, "p")
    assert told.turn_evidence is not None
    assert told.turn_evidence > 8
    assert told.turn_since == 12
    assert exported() == told.turn_evidence
    events.take(gone("p"))
    assert exported() == said_of(events, "q").turn_evidence


def test_memory_is_bounded_and_what_is_forgotten_is_counted() -> None:
    settings = ResponderSettings(memory_s=1_000, memory_posts=5)
    events = world(settings)
    for number in range(9):
        events.take(rated(f"a{number}", 0, number))
    events.take(fires("p", 10))
    events.let_pass(NOON_S + 10)
    assert said_of(events, "p").observed == (5, 0, 0)
    assert events.crowds.evicted == 4


def test_shares_are_shown_as_means_of_the_events_that_are_followed() -> None:
    metrics = Metrics()
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    for said in (fires("p", 0), fires("q", 0), fires("r", 0), rated("a", 0, 1),
                 rated("b", 2, 1, root="q")):  # fmt: skip
        events.take(said)
    events.let_pass(NOON_S)
    events.crowds.show(events.followed())

    def share(what: str, label: str) -> float | None:
        labels = {"source": "s", "what": what, "label": label}
        return metrics.registry.get_sample_value("groundswell_crowd_share", labels)

    assert [share("observed", label) for label in SENTIMENT] == [0.5, 0.0, 0.5]
    assert share("expected", "neutral") == pytest.approx(1 / 3)
    for post in ("p", "q"):
        events.take(gone(post))
    events.crowds.show(events.followed())
    assert share("observed", "negative") is None


RATED = [100, 200, 999_700]


def test_sentiment_is_read_of_replies_and_edits_alone_and_a_wrong_one_is_refused() -> None:
    metrics = Metrics()
    reader = ReplyIntake(ManualClock(NOON), metrics)
    reply = AnswerRated("synthetic|a", NOON_S, NOON_S, "synthetic|p", 2)
    assert reader.rated(record(scored("a", 0, RATED))) == reply
    assert reader.rated(record(scored("a", 0, RATED, reply_to=None))) is None
    assert reader.rated(record(scored("a", 0, RATED, source="heartbeat"))) is None
    unrated = reader.rated(record(scored("a", 0, RATED, rated=False, near_duplicate=True)))
    assert unrated == AnswerRated("synthetic|a", NOON_S, NOON_S, "synthetic|p", None, True)
    assert reader.rated(record(scored("a", 0, RATED, scores={}))) is not None
    edit = reader.rated(record(scored("a", 0, RATED, reply_to=None, edit=True)))
    assert edit == AnswerRated("synthetic|a", NOON_S, NOON_S, "", 2)
    assert reader.rated(record(scored("a", 0, RATED, scores={"sentiment": [1, 2]}))) is None
    for shares in ([0, 0, 0], [-3, -1, -2]):
        assert reader.rated(record(scored("a", 0, shares))) is None
    assert reader.rated(record(b"\xff")) is None
    refused = [
        metrics.registry.get_sample_value(
            "groundswell_records_refused_total", {"topic": "scored-posts", "reason": reason}
        )
        for reason in ("out_of_range", "not_utf8")
    ]
    assert refused == [3, 1]


def test_a_crowd_is_said_in_plain_words() -> None:
    crowd = ResponseCrowd(
        topic="q", expected=(0.3, 0.5, 0.2), greyed=True, observed=(6, 2, 2), left_out=3,
        posterior=(0.5, 0.3, 0.2), strength=8,
    )  # fmt: skip
    assert in_words(crowd) == (
        "crowd: expected negative 30 %, neutral 50 %, positive 20 % (not known to beat the average "
        "of all topics); of 10 answers negative 60 %, neutral 20 %, positive 20 %; of the next "
        "negative 50 %, neutral 30 %, positive 20 %; 3 left out"
    )
    empty = ResponseCrowd(
        topic="q", expected=(0.3, 0.5, 0.2), observed=(0, 0, 0), posterior=(0.3, 0.5, 0.2),
        strength=8,
    )  # fmt: skip
    assert in_words(empty).endswith("positive 20 %; no answer is rated yet")
