"""Threads as the stream has them: what is told is what the evaluation says, and of the past alone.

The stack itself runs by `python -m evaluation.crowds.live_run`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest

from core.clock import SystemClock
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import Response
from evaluation.crowds.live_run import disagreements
from evaluation.crowds.live_threads import (
    MEMORY_S,
    LiveAnswer,
    LiveThread,
    expected_of,
    steps_of,
    threads_of,
)
from services.kafka_client.messages import Record
from services.responder.following import FollowedEvents
from services.responder.intake import ReplyIntake
from services.responder.learning import LikeCurves
from stream.topics import EVENTS, POSTS, SCORED_POSTS

START_S = 1_400_000_000.0
SETTINGS = ResponderSettings(memory_s=MEMORY_S, max_events=10_000)


def made_up(seed: int = 1, number: int = 12) -> list[LiveThread]:
    """Threads half a day apart, of two topics, with late and unrated answers."""
    draws, found = random.Random(seed), []
    for n in range(number):
        began_s = START_S + n * MEMORY_S / 2
        answers = [
            LiveAnswer(f"t{n}-{k}", began_s + k * 9_000, draws.choice([0, 0, 1, 2, None]))
            for k in range(1, 14)
        ]
        found.append(LiveThread(f"t{n}", f"topic{n % 2}", began_s, tuple(answers)))
    return found


def told_of(threads: Sequence[LiveThread], until_s: float = float("inf")) -> list[Response]:
    """What a responder would tell after each record, without broker and store."""
    return _followed(threads, Metrics(), until_s)


def _followed(
    threads: Sequence[LiveThread], metrics: Metrics, until_s: float = float("inf")
) -> list[Response]:
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    intake, told = ReplyIntake(SystemClock(), metrics), []
    readers = {POSTS: intake.post, EVENTS: intake.take_off, SCORED_POSTS: intake.answer}
    for offset, step in enumerate(steps_of(threads)):
        if step.at_s > until_s:
            break
        said = readers[step.topic](Record(0, offset, step.key, step.value))
        assert said is not None
        events.take(said)
        events.let_pass(intake.clock_s)
        for event in events.events.values():
            if event.has_changed:
                told.append(event.response(10, intake.clock_s)[0])
                event.has_changed = False
    return told


def test_what_is_told_is_what_the_evaluation_says() -> None:
    threads, metrics = made_up(), Metrics()
    told, expected = _followed(threads, metrics), expected_of(threads)
    assert disagreements(told, expected, metrics) == []
    assert len(expected.shares) == 12
    assert expected.scores.keys() == {"average", "forecast", "counts", "posterior"}


def test_what_differs_is_said() -> None:
    threads, metrics = made_up(), Metrics()
    told = _followed(threads, metrics)
    other = [dataclasses.replace(threads[0], topic="another"), *threads[1:]]
    assert disagreements(told[:-1], expected_of(other), metrics)
    missing = [one for one in told if one.post_id != "t3"]
    (said,) = disagreements(missing, expected_of(threads), metrics)
    assert said.startswith("t3: told after [] answers")
    wrong = disagreements(told, expected_of(made_up(2)), metrics)
    assert any("score of posterior" in one for one in wrong)


@pytest.mark.parametrize("days", [0.6, 2.3, 4.1])
def test_nothing_that_comes_later_is_read(days: float) -> None:
    threads, at_s = made_up(), START_S + days * MEMORY_S
    before = told_of(threads, at_s)
    past = [
        dataclasses.replace(one, answers=tuple(a for a in one.answers if a.at_s <= at_s))
        for one in threads if one.began_s <= at_s
    ]  # fmt: skip
    shuffled = [_shuffled(one, at_s) for one in threads]
    assert told_of(past) == before
    assert told_of(shuffled, at_s) == before
    assert told_of(shuffled) != told_of(threads)  # the test can fail


def _shuffled(thread: LiveThread, at_s: float) -> LiveThread:
    """Give the answers after a time other labels."""
    draws = random.Random(7)
    answers = tuple(
        one if one.at_s <= at_s else dataclasses.replace(one, label=draws.choice([0, 1, 2]))
        for one in thread.answers
    )
    return dataclasses.replace(thread, answers=answers)


def _row(thread: str, minute: int, *, is_source: bool = False) -> dict[str, str]:
    return {
        "event": "storm", "thread": thread, "is_source": "1" if is_source else "",
        "created_at": f"2015-01-02T10:{minute:02}:00Z", "text": "bad" if minute % 2 else "?",
    }  # fmt: skip


def test_threads_are_read_with_their_times_and_those_of_few_answers_are_left_out() -> None:
    rows = [_row("a", 0, is_source=True), *(_row("a", 50 - n) for n in range(24))]
    rows += [_row("b", 1, is_source=True), _row("b", 2), *(_row("c", n) for n in range(40))]
    (found,) = threads_of(rows, lambda texts: [0 if text == "bad" else -1 for text in texts])
    assert (found.topic, len(found.answers)) == ("storm", 24)
    assert [one.at_s for one in found.answers] == sorted(one.at_s for one in found.answers)
    assert sum(one.label is None for one in found.answers) == 12
    assert found.began_s < found.answers[0].at_s
