"""The crowd model is asked once, of the past alone; one that fails or lies costs its forecast."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.errors import ScorerRefused, ScorerUnavailable
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.schemas import MICRO
from models.socialalign.known_better import LEAST_EVENTS
from services.responder.intake import AnswerRated, PostRated, ReplyIntake
from services.responder.post_heads import RememberedHeads, packed_heads
from testkit.builders import NOON
from testkit.scorers.crowd import FakeCrowd
from tests.services.responder.asking import EMOTION, MOOD, Bench, heads_of
from tests.services.responder.said import NOON_S, fires, gone, rated, record, scored


async def test_what_it_says_stands_beside_the_usual_shares_until_it_is_known_to_be_better() -> None:
    bench = Bench(FakeCrowd())
    start = await bench.begin("p", 0, 0)
    assert start.model.version == "fake-crowd-1"
    assert start.model.shares[0] > 0.6
    assert not start.model.is_used
    assert start.forecast == pytest.approx([1 / 3] * 3)
    assert len(bench.model.asked) == 1
    await bench.let_pass(5)
    assert len(bench.model.asked) == 1


async def test_a_model_that_is_better_is_used_and_tells_so() -> None:
    bench = Bench(FakeCrowd())
    await bench.history(LEAST_EVENTS + 2)
    start = await bench.begin("p", 4_000, 2)
    assert start.model.is_used
    assert start.forecast == start.model.shares
    assert start.forecast[2] > 0.7
    assert not start.is_greyed
    crowd = bench.events.events["s|p"].response(10, NOON_S)[0].crowd
    assert crowd is not None
    assert crowd.expected_by == "model"
    assert crowd.expected[2] > 0.7
    score = bench.metrics.registry.get_sample_value
    by = {
        system: score("groundswell_crowd_log_score", {"source": "s", "system": system}) or 0
        for system in ("model", "topic")
    }
    assert by["model"] > by["topic"] + 0.2


async def test_it_is_asked_with_what_was_over_by_then_and_of_neither_text_nor_person() -> None:
    bench = Bench(FakeCrowd())
    # Both are read at once, as after a while away: the first is over before the second begins.
    bench.events.take(PostRated("s|a", NOON_S, heads_of(0)))
    bench.events.take(PostRated("s|b", NOON_S + 2_900, heads_of(2)))
    bench.events.take(fires("a", 0, topic="t"))
    bench.events.take(fires("b", 3_000, topic="t"))
    for k in range(9):
        bench.events.take(rated(f"a{k}", 0, 1 + k, "a"))
    await bench.let_pass(3_000)
    first, second = bench.model.asked
    assert first.usual[0] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert second.usual[0, 0] > 0.4, "what the first one taught is known"
    for asked in (first, second):
        assert list(asked.texts) == [""]
        assert not asked.seen.any()
        assert not asked.flags.any()


async def test_what_is_said_of_an_edit_after_the_beginning_is_not_known_at_it() -> None:
    bench = Bench(FakeCrowd())
    bench.events.take(PostRated("s|p", NOON_S - 1, heads_of(0)))
    bench.events.take(PostRated("s|p", NOON_S + 1, heads_of(2)))
    start = await bench.begin("p", 0, None)
    assert start.model.shares[0] > start.model.shares[2]
    late = await bench.begin("q", 5, None)
    assert late.model is None
    assert bench.left_out("no_heads") == 1


async def test_what_is_deleted_is_not_asked_about() -> None:
    bench = Bench(FakeCrowd())
    bench.events.take(gone("p"))
    assert await bench.begin("p", 0, 0) is None
    assert bench.model.asked == []
    bench.events.take(PostRated("s|q", NOON_S, heads_of(0)))
    bench.events.take(gone("q"))
    assert len(bench.events.crowds.heads) == 0


@pytest.mark.parametrize(
    "lie",
    [lambda shares: shares * np.float32("nan"), lambda shares: shares[:, :2],
     lambda shares: shares * 2, lambda shares: shares.astype(np.float64),
     lambda shares: -shares, lambda shares: None],
)  # fmt: skip
async def test_an_answer_that_is_none_is_refused_and_counted_and_usual_shares_stand(
    lie: Any,
) -> None:
    bench = Bench(FakeCrowd())
    bench.model.lie = lie
    start = await bench.begin("p", 0, 0)
    assert start.model is None
    assert start.forecast == pytest.approx([1 / 3] * 3)
    assert bench.left_out("invalid") == 1


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(ScorerUnavailable("away"), "model_away"), (ScorerRefused("no"), "refused"),
     (TimeoutError(), "timed_out")],
)  # fmt: skip
async def test_a_model_that_is_away_is_asked_again_after_a_pause_and_taken_back(
    failure: Exception, reason: str
) -> None:
    bench = Bench(FakeCrowd())
    bench.model.failure = failure
    assert (await bench.begin("p", 0, 0)).model is None
    assert bench.left_out(reason) == 1
    bench.model.failure = None
    assert (await bench.begin("q", 1, 0)).model is None, "the pause is not over"
    assert len(bench.model.asked) == 1
    bench.clock.advance(60)
    assert (await bench.begin("r", 2, 0)).model is not None


async def test_a_model_that_hangs_is_given_up() -> None:
    class Hanging(FakeCrowd):
        async def expect(self, questions: Any) -> Any:
            await asyncio.Event().wait()

    bench = Bench(Hanging(), ResponderSettings(memory_s=1_000, crowd_timeout_s=0.01))
    assert (await bench.begin("p", 0, 0)).model is None
    assert bench.left_out("timed_out") == 1


async def test_after_a_restart_nobody_is_asked_about_what_began_before() -> None:
    bench, after = Bench(FakeCrowd()), Bench(FakeCrowd())
    await bench.history(LEAST_EVENTS + 2)
    start = await bench.begin("p", 4_000, 2)
    after.events.crowds.restore(bench.events.crowds.stored(), NOON_S + 4_010)
    again = await after.begin("p", 4_000, 2)
    assert again == start
    assert after.model.asked == []
    assert (await after.begin("q", 4_020, 0)) == (await bench.begin("q", 4_020, 0))


async def test_without_a_model_nothing_is_counted() -> None:
    bench = Bench(None)
    assert (await bench.begin("p", 0, None)).model is None
    assert bench.left_out("no_heads") is None


def test_heads_are_read_of_posts_and_replies_and_of_nothing_that_cannot_be() -> None:
    reader = ReplyIntake(ManualClock(NOON), Metrics())
    scores = {"sentiment": MOOD[0], "emotion": EMOTION, "participation": [MICRO, 0, 0, 0, 0]}
    post = reader.rated(record(scored("a", 0, [], scores=scores, reply_to=None)))
    assert post == PostRated("synthetic|a", NOON_S, heads_of(0))
    reply = reader.rated(record(scored("a", 0, [], scores=scores)))
    assert isinstance(reply, AnswerRated)
    assert (reply.label, reply.heads) == (0, heads_of(0))
    assert (
        reader.rated(record(scored("a", 0, [], scores=scores, reply_to=None, rated=False))) is None
    )
    for wrong in ([1], [MICRO + 1, 0, 0], [-1, 0, 0]):
        assert packed_heads({"sentiment": wrong, "emotion": EMOTION}) == b""
    assert packed_heads({"sentiment": MOOD[0]}) == b""


def test_what_is_remembered_of_posts_is_bounded_and_forgotten_in_time() -> None:
    heads = RememberedHeads(3)
    for n in range(5):
        heads.add(f"p{n}", float(n), heads_of(0))
    assert len(heads) == 3
    assert heads.of("p1", 9.0) is None
    assert heads.of("p4", 3.0) is None
    known = heads.of("p4", 4.0)
    assert known is not None
    assert known[:3] == [0.8, 0.1, 0.1]
    heads.forget_before(4.0)
    assert len(heads) == 1
