"""Threads as the stream has them: what is told is what the evaluation says, and of the past alone.

The stack itself runs by `python -m evaluation.crowds.live_run`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest

from core.clock import SystemClock
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import Response
from core.schemas import MICRO
from evaluation.crowds.live_model import question_of, shipped_says
from evaluation.crowds.live_run import disagreements
from evaluation.crowds.live_threads import (
    MEMORY_S,
    LiveAnswer,
    LiveThread,
    expected_of,
    steps_of,
    threads_of,
)
from models.build_crowd import CROWD_WEIGHTS
from models.scorers.crowd_in_process import InProcessCrowd
from models.serving.crowd import open_crowd
from models.socialalign.posterior import Floats
from services.kafka_client.messages import Record
from services.responder.crowd_asking import CrowdAsking
from services.responder.following import FollowedEvents
from services.responder.intake import ReplyIntake
from services.responder.learning import LikeCurves
from stream.topics import EVENTS, POSTS, SCORED_POSTS
from testkit.scorers.crowd import FakeCrowd

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
    threads: Sequence[LiveThread], metrics: Metrics, until_s: float = float("inf"),
    model: FakeCrowd | None = None,
) -> list[Response]:  # fmt: skip
    return asyncio.run(_follow(threads, metrics, until_s, model))


async def _follow(
    threads: Sequence[LiveThread], metrics: Metrics, until_s: float, model: FakeCrowd | None
) -> list[Response]:
    events = FollowedEvents(SETTINGS, LikeCurves(metrics), metrics)
    intake, told = ReplyIntake(SystemClock(), metrics), []
    asking = CrowdAsking(model, SETTINGS, SystemClock(), metrics)
    readers = {POSTS: intake.post, EVENTS: intake.take_off, SCORED_POSTS: intake.rated}
    for offset, step in enumerate(steps_of(threads)):
        if step.at_s > until_s:
            break
        said = readers[step.topic](Record(0, offset, step.key, step.value))
        assert said is not None
        events.take(said)
        await asking.look(events)
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


def headed(number: int, is_telling: bool) -> list[LiveThread]:
    """Threads whose first posts tell how they will be answered, or the contrary."""
    draws, found = random.Random(5), []
    for one in made_up(number=number):
        mood = draws.choice([0, 2])
        heads = [100_000, 100_000, 100_000, *[MICRO // 4] * 4]
        heads[mood if is_telling else 2 - mood] = 800_000
        answers = tuple(
            dataclasses.replace(answer, label=mood if draws.random() < 0.8 else 1)
            for answer in one.answers
        )
        found.append(dataclasses.replace(one, answers=answers, heads=tuple(heads)))
    return found


def fake_says(usual: Floats, heads: Sequence[int]) -> Sequence[float]:
    said = asyncio.run(FakeCrowd().expect(question_of(usual, heads)))
    return said.forecast[0].tolist()


@pytest.mark.parametrize("is_telling", [True, False])
def test_the_crowd_model_is_used_where_the_evaluation_says_so(is_telling: bool) -> None:
    threads, metrics = headed(40, is_telling), Metrics()
    told = _followed(threads, metrics, model=FakeCrowd())
    expected = expected_of(threads, fake_says)
    assert disagreements(told, expected, metrics) == []
    by_model = {one.post_id for one in told if one.crowd and one.crowd.expected_by == "model"}
    assert len(by_model) == expected.by_model
    assert (expected.by_model > 10) == is_telling


def test_the_shipped_model_says_the_same_as_the_served_one() -> None:
    usual, heads = np.array([0.5, 0.3, 0.2]), [900_000, 50_000, 50_000, *[MICRO // 4] * 4]
    model = InProcessCrowd(open_crowd(CROWD_WEIGHTS, is_built=False))
    served = asyncio.run(model.expect(question_of(usual, heads)))
    assert shipped_says()(usual, heads) == served.forecast[0].tolist()


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
