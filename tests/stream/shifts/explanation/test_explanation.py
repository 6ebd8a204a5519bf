"""Terms, examples, sentences and the alert on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.codec import alert_decoder, encode
from core.schemas import Contribution, Interval, Term
from stream.shifts.explanation import (
    ExampleCandidate,
    choose_examples,
    sentence,
    telling_terms,
    term_counts,
    to_alert,
)
from stream.shifts.kinds import NAMED
from stream.shifts.signals import ShiftSignal

COUNTS = some.dictionaries(some.sampled_from("abcdefgh"), some.integers(0, 300))


def make_signal(kind: str = "opinion", strata: int = 3, state: str = "firing") -> ShiftSignal:
    parts = tuple(
        Contribution(f"s|en|{n}", 100, 1 / strata, 1 / strata, 0.1, 0.0, 0.01, -0.1 / (n + 1))
        for n in range(strata)
    )
    mix, opinion = sum(one.mix for one in parts), sum(one.opinion for one in parts)
    change = mix + opinion
    return ShiftSignal(
        alert_id="abc",
        query="trains",
        kind=kind,
        state="resolved" if state == "resolved" else "firing",
        direction="down",
        severity=4,
        started_s=1_772_409_600,
        fired_s=1_772_409_900,
        decided_s=1_772_410_200,
        evidence=12.0,
        threshold=11.0,
        before=Interval(0.1, 0.1, 0.1),
        after=Interval(0.1 + change, 0.05 + change, 0.15 + change),
        change=Interval(change, change - 0.05, change + 0.05),
        ended_s=1_772_410_200 if state == "resolved" else -1,
        ended_as="over" if state == "resolved" else "",
        mix=mix,
        opinion=opinion,
        posts=300,
        strata=parts,
    )


def test_a_term_of_everybody_is_not_telling_and_a_new_one_is() -> None:
    before = {"the": 900, "train": 400, "fine": 90, "once": 0}
    after = {"the": 1000, "train": 440, "fine": 20, "late": 140, "once": 1}
    found = telling_terms(before, after)
    assert [(term.term, term.weight > 0) for term in found] == [("late", True), ("fine", False)]
    assert (found[0].before, found[0].after) == (0, 140)


@given(COUNTS, COUNTS)
def test_what_came_one_way_went_the_other(before: dict[str, int], after: dict[str, int]) -> None:
    there = {term.term: term.weight for term in telling_terms(before, after)}
    back = {term.term: term.weight for term in telling_terms(after, before)}
    assert there == pytest.approx({name: -weight for name, weight in back.items()}, abs=0.011)


def test_nothing_is_telling_without_both_sides() -> None:
    assert telling_terms({}, {"late": 10}) == []
    assert telling_terms({"late": 10}, {}) == []


def test_a_text_counts_a_term_once() -> None:
    assert term_counts([["late"] * 9, ["late", "train"]]) == {"late": 2, "train": 1}


def post(name: str, sentiment: float, reach: float = 0.0, *terms: str) -> ExampleCandidate:
    return ExampleCandidate(name, "synthetic", f"author of {name}", terms, sentiment, reach)


def test_examples_are_typical_most_seen_and_against() -> None:
    posts = [
        post("typical", -0.8, 1.0, "late", "again"),
        post("plain", -0.2),
        post("seen", -0.1, 99.0),
        post("against", 0.9),
    ]
    found = choose_examples(posts, {"late": 6.0}, change=-0.3, most=3)
    assert [(one.post_id, one.why) for one in found] == [
        ("typical", "typical"), ("seen", "most-seen"), ("against", "against"),
    ]  # fmt: skip


def test_an_author_is_shown_once_and_no_more_posts_than_asked_for() -> None:
    posts = [ExampleCandidate(f"p{n}", "s", "one author", ["late"], -0.9) for n in range(9)]
    assert len(choose_examples(posts, {}, change=-0.3)) == 1
    many = [post(f"p{n}", -0.9) for n in range(9)]
    assert len(choose_examples(many, {}, change=-0.3, most=4)) <= 4
    assert choose_examples([], {}, change=-0.3) == []


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("state", ["firing", "resolved"])
def test_every_alert_survives_the_wire_and_has_a_sentence(kind: str, state: str) -> None:
    alert = to_alert(make_signal(kind, state=state))
    assert alert_decoder.decode(encode(alert)) == alert
    assert "trains" in alert.sentence
    assert alert.sentence.endswith(".")
    assert (alert.ended is None) == (state == "firing")


def test_the_sentence_names_the_figures_the_strata_and_the_terms() -> None:
    told = sentence(make_signal(), [Term("late", 6.5, 1, 90), Term("fine", -4.0, 80, 2)])
    assert told.startswith("Opinion about trains fell from +0.10 to -0.05")
    assert "s|en|0 (-0.10)" in told
    assert told.endswith("New in what they say: late.")


@pytest.mark.parametrize("strata", [1, 7, 8, 23])
def test_contributions_on_the_wire_still_add_up(strata: int) -> None:
    signal = make_signal(strata=strata)
    alert = to_alert(signal)
    assert len(alert.contributions) <= 8
    assert sum(one.opinion for one in alert.contributions) == pytest.approx(signal.opinion)
    assert sum(one.mix for one in alert.contributions) == pytest.approx(signal.mix)
    assert sum(one.share_after for one in alert.contributions) == pytest.approx(1.0)
