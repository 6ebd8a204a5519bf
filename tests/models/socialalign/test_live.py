"""Crowds in the order of the stream: as judged offline, from the past alone, and bounded."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.crowds.judging import next_scores
from models.socialalign import live
from models.socialalign.crowd import UsualShares
from models.socialalign.crowd_start import ModelForecast
from models.socialalign.known_better import LEAST_EVENTS
from models.socialalign.live import SYSTEMS, LiveCrowd, SourceCrowds
from models.socialalign.posterior import CrowdPosterior, CrowdStrength

Event = tuple[str, list[int]]
LABELS = st.lists(st.integers(0, 2), max_size=30)


def events_of(seed: int, number: int, spread: float = 1.0) -> list[Event]:
    """Events of four topics whose crowds lean apart by `spread`."""
    rng = np.random.default_rng(seed)
    usual = {f"t{n}": rng.dirichlet([4 / spread] * 3) for n in range(4)}
    found: list[Event] = []
    for _ in range(number):
        topic = f"t{rng.integers(4)}"
        shares = rng.dirichlet(12 * usual[topic])
        found.append((topic, rng.choice(3, int(rng.integers(10, 40)), p=shares).tolist()))
    return found


def learn(events: Sequence[Event]) -> SourceCrowds:
    """What is learnt of events, one after the other."""
    source = SourceCrowds(3)
    for topic, labels in events:
        source.learn(crowd_of(source, topic, labels))
    return source


def crowd_of(source: SourceCrowds, topic: str, labels: Sequence[int]) -> LiveCrowd:
    crowd = LiveCrowd(source.start(topic))
    for number, label in enumerate(labels):
        crowd.add(f"a{number}", float(number), label)
    return crowd


def run(events: Sequence[Event], source: SourceCrowds | None = None) -> list[tuple[Any, ...]]:
    """Live, one event after the other: what was expected after each answer, and the scores."""
    source, found = source or SourceCrowds(3), []
    for topic, labels in events:
        crowd = LiveCrowd(source.start(topic))
        after = [crowd.posterior().shares().tolist()]
        for number, label in enumerate(labels):
            crowd.add(f"a{number}", float(number), label)
            after.append(crowd.posterior().shares().tolist())
        found.append((crowd.start, after, dict(source.learn(crowd))))
    return found


def test_live_equals_what_the_evaluation_judges_of_the_same_events() -> None:
    usual, strength, worst = UsualShares(3), CrowdStrength(), 0.0
    events = events_of(5, 60)
    for (topic, labels), (start, after, _sums) in zip(events, run(events), strict=True):
        crowd = CrowdPosterior(usual.forecast(topic), strength)
        judged = next_scores(crowd, labels)
        strength.learn(crowd)
        usual.learn(topic, np.bincount(labels, minlength=3).astype(np.float64))
        for seen in (0, 5, 20):
            coming = labels[seen : seen + 5]
            if len(coming) < 5:
                continue
            score = float(np.log(np.array(after[seen])[coming]).mean())
            worst = max(worst, abs(score - judged[f"posterior_n{seen}"]))
            said = CrowdPosterior(start.forecast, CrowdStrength()).forecast
            score = float(np.log(said[coming]).mean())
            worst = max(worst, abs(score - judged[f"forecast_n{seen}"]))
    assert 0.0 <= worst < 1e-9


def test_scores_add_up_what_was_expected_of_each_next_answer() -> None:
    for (_topic, labels), (_start, after, sums) in zip(
        events_of(6, 20), run(events_of(6, 20)), strict=True
    ):
        said = sum(np.log(after[number][label]) for number, label in enumerate(labels))
        assert sums["posterior"] == pytest.approx(said, abs=1e-9)
        assert set(sums) == set(SYSTEMS)


def learn_by_the_plain_loop(source: SourceCrowds, crowd: LiveCrowd) -> dict[str, float]:
    """Judge and learn answer by answer, as `learn` does at once; return the sums of log scores."""
    start = crowd.start
    sums: dict[str, float] = dict.fromkeys(SYSTEMS, 0.0)
    posterior = CrowdPosterior(start.forecast, CrowdStrength(start.learnt))
    average = CrowdPosterior(start.average, CrowdStrength()).forecast
    for label in crowd.labels():
        for name, shares in {"average": average, **posterior.said_by()}.items():
            sums[name] += float(np.log(shares[label]))
        posterior.add(label)
    source._judge(sums, crowd.labels(), start)
    source._strength.learn(posterior)
    source._usual.learn(start.topic, np.array(crowd.counts, np.float64))
    return sums


def test_learning_at_once_is_as_by_the_plain_loop() -> None:
    fast, plain = SourceCrowds(3), SourceCrowds(3)
    for topic, labels in [*events_of(11, 30), ("t0", [2]), ("t1", [0, 1] * 500)]:
        at_once = fast.learn(crowd_of(fast, topic, labels))
        assert at_once == pytest.approx(
            learn_by_the_plain_loop(plain, crowd_of(plain, topic, labels)), rel=1e-12, abs=1e-12
        )
    one, other = fast.sums(), plain.sums()
    assert one["usual"] == other["usual"]
    np.testing.assert_allclose(one["strength"], other["strength"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one["events"], other["events"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cut", [0, 1, 13, 39])
def test_nothing_changes_by_what_comes_later(cut: int) -> None:
    events = events_of(7, 40)
    future = [(topic, random.Random(1).sample(labels, len(labels))) for topic, labels in
              random.Random(2).sample(events[cut:], 40 - cut)]  # fmt: skip
    other = [*events[:cut], *future]
    before, again = run(events), run(other)
    assert before[:cut] == again[:cut]
    # Its topic apart, the forecast of the first event of the future is the same, too.
    if cut < 40 and events[cut][0] == other[cut][0]:
        assert before[cut][0] == again[cut][0]
    assert cut in (0, 39) or before != again  # the test can fail


def test_answers_that_come_later_do_not_change_what_was_expected_before_them() -> None:
    events = events_of(8, 10)
    topic, labels = events[-1]
    turned = [*labels[:6], *(2 - label for label in labels[6:])]
    assert run(events)[-1][1][:7] == run([*events[:-1], (topic, turned)])[-1][1][:7]
    assert run(events)[-1][1][7:] != run([*events[:-1], (topic, turned)])[-1][1][7:]


@settings(max_examples=30, deadline=None)
@given(LABELS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(labels: list[int], draws: random.Random) -> None:
    source = learn(events_of(9, 5))
    one, other = crowd_of(source, "t1", labels), LiveCrowd(source.start("t1"))
    for number in draws.sample(range(len(labels)), len(labels)):
        other.add(f"a{number}", float(number), labels[number])
    assert other.labels() == one.labels() == labels
    assert other.posterior().shares().tolist() == one.posterior().shares().tolist()


@settings(max_examples=30, deadline=None)
@given(LABELS)
def test_counts_at_once_are_as_answers_one_by_one(labels: list[int]) -> None:
    source = learn(events_of(9, 5))
    start = source.start("t0")
    step = CrowdPosterior(start.forecast, CrowdStrength(start.learnt))
    for label in labels:
        step.add(label)
    whole = crowd_of(source, "t0", labels).posterior()
    np.testing.assert_allclose(whole.shares(), step.shares(), atol=1e-12)
    np.testing.assert_allclose(whole.log_likelihoods, step.log_likelihoods, atol=1e-9)
    assert whole.shares().sum() == pytest.approx(1)


def test_a_forecast_is_greyed_until_it_is_known_to_beat_the_average() -> None:
    events = events_of(1, 200, spread=8.0)
    leaning = learn(events)
    alike = learn([(f"t{n % 4}", labels) for n, (_topic, labels) in enumerate(events)])
    assert not leaning.start("t0").is_greyed
    assert alike.start("t0").is_greyed
    assert learn(events[: LEAST_EVENTS - 1]).start("t0").is_greyed
    scores = leaning.log_scores
    assert scores["posterior"] > scores["forecast"] > scores["average"]


def test_what_is_kept_is_taken_up_to_the_last_bit() -> None:
    events, one, other = events_of(3, 40), SourceCrowds(3), SourceCrowds(3)
    run(events[:30], one)
    other.restore(**json.loads(json.dumps(one.sums())))
    assert other.sums() == one.sums()
    assert run(events[30:], one) == run(events[30:], other)


@pytest.mark.parametrize("broken", [
    {"strength": [0.0]}, {"strength": [float("nan")] * 11}, {"usual": {}}, {"events": [1.0]},
    {"usual": {"": [1.0, 2.0]}}, {"usual": {"": [1.0, 2.0, -3.0]}}, {"scores": {"answers": 1.0}},
    {"events": [2.0, 1.0, 0.0, 0.0]}, {"usual": {"": [1.0, 2.0, 0.0]}},
])  # fmt: skip
def test_what_cannot_be_read_is_refused_and_changes_nothing(broken: dict[str, Any]) -> None:
    source = SourceCrowds(3)
    run(events_of(3, 5), source)
    before = json.dumps(source.sums())
    with pytest.raises(ValueError, match=r"cannot be read|strengths"):
        source.restore(**(json.loads(before) | broken))
    assert json.dumps(source.sums()) == before


def test_a_removed_answer_is_as_if_it_never_came_and_a_new_label_replaces_the_old() -> None:
    source = SourceCrowds(3)
    crowd = crowd_of(source, "t", [0, 1, 2, 2])
    assert crowd.remove("a0")
    assert not crowd.remove("a0")
    crowd.add("a1", 99.0, 2)
    assert crowd.counts == [0, 0, 3]
    assert crowd.labels() == [2, 2, 2]
    with pytest.raises(ValueError, match="label 3"):
        crowd.add("b", 0.0, 3)


def test_what_is_left_out_is_not_counted_until_it_can_be() -> None:
    crowd = crowd_of(SourceCrowds(3), "t", [0, 1])
    assert crowd.leave_out("a0", "unrated")
    assert not crowd.leave_out("a0", "unrated")
    assert (crowd.counts, crowd.left_out) == ([0, 1, 0], {"a0": "unrated"})
    assert crowd.add("a0", 0.0, 2)
    assert not crowd.add("a0", 0.0, 2)
    assert (crowd.counts, crowd.left_out) == ([0, 1, 1], {})


def test_what_is_left_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_ANSWERS", 4)
    crowd = crowd_of(SourceCrowds(3), "t", [])
    for number in range(6):
        assert crowd.leave_out(f"a{number}", "copy")
    assert (len(crowd.left_out), crowd.dropped) == (4, 2)


def test_of_too_many_answers_the_same_are_kept_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MOST_ANSWERS", 16)
    labels = np.random.default_rng(4).integers(0, 3, 100).tolist()
    source = SourceCrowds(3)
    one, other = crowd_of(source, "t", labels), LiveCrowd(source.start("t"))
    for number in reversed(range(100)):
        other.add(f"a{number}", float(number), labels[number])
    assert one.counts == other.counts
    assert one.labels() == other.labels()
    assert sum(one.counts) == 16
    assert one.dropped == other.dropped == 84


def test_an_event_without_answers_teaches_nothing() -> None:
    source = SourceCrowds(3)
    assert source.learn(LiveCrowd(source.start("t"))) == {}
    assert source.log_scores == {}
    assert source.sums() == SourceCrowds(3).sums()


def test_an_answer_that_comes_and_goes_takes_no_room_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MOST_ANSWERS", 5)
    crowd = LiveCrowd(SourceCrowds(3).start("t"))
    for answer in ("a", "b", "c"):
        crowd.add(answer, 0.0, 1)
    for _ in range(20):
        crowd.add("d", 0.0, 0)
        crowd.leave_out("d", "unrated")
    assert (crowd.counts, crowd.dropped) == ([0, 3, 0], 0)


@pytest.mark.parametrize("broken", [
    {"usual": {"": [1e308] * 3}}, {"events": [0.0, 30.0, 1.0, 1.0]},
    {"scores": dict.fromkeys(("answers", *SYSTEMS), -1.0)},
])  # fmt: skip
def test_sums_that_no_events_give_are_refused(broken: dict[str, Any]) -> None:
    source = SourceCrowds(3)
    with pytest.raises(ValueError, match="cannot be read"):
        source.restore(**{**source.sums(), **broken})


def test_a_turn_is_as_watched_in_order_of_time_whatever_came_late_or_was_changed() -> None:
    source = SourceCrowds(3)
    labels = [1, 0, 2, 1, 1, 0, 1, 2, 1, 1, *[0] * 12]
    crowd, other = crowd_of(source, "t", labels), LiveCrowd(source.start("t"))
    assert LiveCrowd(source.start("t")).turn() == (float("-inf"), 0)
    other.add("gone", 3.5, 2)
    for number in reversed(range(len(labels))):
        other.add(f"a{number}", float(number), 2)
    for number, label in enumerate(labels):
        other.add(f"a{number}", 99.0, label)
    assert other.turn() != crowd.turn()
    other.remove("gone")
    assert other.turn() == crowd.turn()
    evidence, since = crowd.turn()
    assert evidence > 5
    assert 11 <= since <= 14
    other.add("late", -1.0, 0)
    assert other.turn() == crowd_of(source, "t", [0, *labels]).turn()


# -- what a model says ----------------------------------------------------------------------------

WRONG = [0.1, 0.8, 0.1]


def history(gain: bool, events: int, version: str = "m1") -> SourceCrowds:
    """What is learnt where a model knows how each crowd will answer, or is wrong."""
    rng, source = np.random.default_rng(9), SourceCrowds(3)
    for number in range(events):
        shares = rng.dirichlet([1.0, 1.0, 1.0])
        said = ModelForecast(shares.tolist() if gain else WRONG, version)
        crowd = LiveCrowd(source.start("t", said))
        for place, label in enumerate(rng.choice(3, 30, p=shares).tolist()):
            crowd.add(f"a{number}-{place}", float(place), label)
        source.learn(crowd)
    return source


def test_a_model_is_used_once_it_is_known_to_beat_the_topic_and_not_before() -> None:
    said = ModelForecast([0.8, 0.1, 0.1], "m1")
    early, late = history(True, LEAST_EVENTS - 1), history(True, LEAST_EVENTS)
    before, after = early.start("t", said), late.start("t", said)
    assert before.model is not None
    assert not before.model.is_used
    assert before.forecast == early.start("t").forecast == before.model.usual
    assert after.model is not None
    assert after.model.is_used
    assert after.forecast == after.model.shares
    assert after.forecast[0] > 0.75
    assert not after.is_greyed, "it beats the average of all topics, too"
    assert late.log_scores["model"] > late.log_scores["topic"]
    assert late.start("t").is_greyed, "of this one topic is no more known than of all"
    assert late.start("t").model is None, "where it did not answer the usual shares are left"


def test_a_model_that_is_wrong_is_judged_and_never_used() -> None:
    source = history(False, 200)
    start = source.start("t", ModelForecast(WRONG, "m1"))
    assert start.model is not None
    assert not start.model.is_used
    assert set(source.log_scores) == {*SYSTEMS, "model", "topic"}


def test_what_is_known_of_one_model_says_nothing_of_another() -> None:
    source = history(True, 60)
    start = source.start("t", ModelForecast(WRONG, "m2"))
    assert start.model is not None
    assert not start.model.is_used
    crowd = LiveCrowd(start)
    crowd.add("a", 0.0, 1)
    source.learn(crowd)
    again = source.start("t", ModelForecast(WRONG, "m1"))
    assert again.model is not None
    assert not again.model.is_used, "it is begun anew"


def test_what_is_kept_of_a_model_is_taken_up_and_what_an_earlier_version_kept_has_none() -> None:
    source, other = history(True, 40), SourceCrowds(3)
    other.restore(**source.sums())
    assert other.sums() == source.sums()
    said = ModelForecast([0.8, 0.1, 0.1], "m1")
    assert other.start("t", said) == source.start("t", said)
    old = {name: what for name, what in source.sums().items() if name != "model"}
    earlier = SourceCrowds(3)
    earlier.restore(**old)
    start = earlier.start("t", said)
    assert start.model is not None
    assert not start.model.is_used


@pytest.mark.parametrize(
    "broken",
    [{"version": 3}, {"scores": {"answers": 1.0}}, {"over_topic": [1.0]},
     {"over_average": [2.0, 1.0, 0.0, 0.0]},
     {"scores": {"answers": -1.0, "model": 0.0, "topic": 0.0}},
     {"scores": {"answers": 1.0, "model": float("nan"), "topic": 0.0}}],
)  # fmt: skip
def test_scores_of_a_model_that_cannot_be_are_refused(broken: dict[str, Any]) -> None:
    sums = history(True, 5).sums()
    with pytest.raises(ValueError, match=r"cannot be read|[Ee]xpected"):
        SourceCrowds(3).restore(**(sums | {"model": sums["model"] | broken}))


def test_a_model_of_other_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="2 shares of a model, expected 3"):
        SourceCrowds(3).start("t", ModelForecast([0.5, 0.5], "m"))
