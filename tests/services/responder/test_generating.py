"""Replies are generated within limits; whatever the model does, nobody waits and it is said."""

import asyncio

import pytest

from core.clock import ManualClock
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from services.pacing import PATIENCE
from services.responder.generating import WHY, Generation
from testkit.builders import NOON
from testkit.scorers.responder import NONSENSE_REPLIES, FakeResponder, ResponderFaults


def made(
    faults: ResponderFaults | None = None, **changes: object
) -> tuple[Generation, FakeResponder, ManualClock, Metrics]:
    model, clock, metrics = FakeResponder(faults), ManualClock(NOON), Metrics()
    settings = ResponderSettings(**changes)  # type: ignore[arg-type]
    return Generation(model, settings, clock, metrics), model, clock, metrics


def left_out(metrics: Metrics, reason: str) -> float:
    return (
        metrics.registry.get_sample_value(
            "groundswell_response_left_out_total", {"what": "generated", "reason": reason}
        )
        or 0.0
    )


async def answer_of(generation: Generation) -> object:
    assert generation.ask("s|p", "a text", is_behind=False) == ""
    await generation.settle()
    (answered,) = generation.answers()
    assert generation.answers() == []
    return answered


async def test_an_event_gets_replies_by_a_seed_of_its_own() -> None:
    generation, model, _, _ = made()
    answered = await answer_of(generation)
    assert len(set(answered.generated.texts)) == 3
    again = await answer_of(generation)
    assert again == answered
    assert model.asked[0] == model.asked[1]


@pytest.mark.parametrize("name", NONSENSE_REPLIES)
async def test_an_answer_that_cannot_be_one_is_no_answer(name: str) -> None:
    generation, _, _, metrics = made(ResponderFaults(spoil=NONSENSE_REPLIES[name]))
    answered = await answer_of(generation)
    assert (answered.generated, answered.reason) == (None, "invalid")
    assert left_out(metrics, "invalid") == 1


@pytest.mark.parametrize(
    ("faults", "reason"),
    [(ResponderFaults(is_down=True), "model_away"), (ResponderFaults(refuses=True), "refused")],
)
async def test_a_model_that_fails_is_said(faults: ResponderFaults, reason: str) -> None:
    generation, _, _, metrics = made(faults)
    answered = await answer_of(generation)
    assert (answered.generated, answered.reason, left_out(metrics, reason)) == (None, reason, 1)


async def test_a_model_that_never_answers_is_given_up() -> None:
    generation, *_ = made(ResponderFaults(waits=asyncio.Event()), generate_timeout_s=0.01)
    assert (await answer_of(generation)).reason == "timed_out"


async def test_no_more_is_begun_than_may_be_in_a_minute_and_than_may_wait() -> None:
    generation, _, clock, metrics = made(generated_per_minute=2)
    reasons = [generation.ask(f"s|{n}", "text", is_behind=False) for n in range(3)]
    assert reasons == ["", "", "limit"]
    clock.advance(60)
    assert generation.ask("s|9", "text", is_behind=False) == ""
    assert left_out(metrics, "limit") == 1
    await generation.settle()
    held = asyncio.Event()
    waiting, *_ = made(ResponderFaults(waits=held))
    reasons = [waiting.ask(f"s|{n}", "text", is_behind=False) for n in range(9)]
    assert reasons == [""] * 8 + ["busy"]
    held.set()
    await waiting.settle()
    assert len(waiting.answers()) == 8


async def test_nothing_is_begun_while_behind_without_a_model_or_at_zero() -> None:
    generation, model, _, _ = made()
    assert generation.ask("s|p", "text", is_behind=True) == "behind"
    off, *_ = made(generated=0)
    assert off.ask("s|p", "text", is_behind=False) == "no_model"
    none = Generation(None, ResponderSettings(), ManualClock(NOON), Metrics())
    assert none.ask("s|p", "text", is_behind=False) == "no_model"
    assert model.asked == []


async def test_what_is_asked_is_given_up_at_the_end() -> None:
    generation, *_ = made(ResponderFaults(waits=asyncio.Event()))
    generation.ask("s|p", "text", is_behind=False)
    await generation.close()
    assert generation.answers() == []


def test_every_reason_has_its_words() -> None:
    assert all(WHY.values())


async def test_while_posts_wait_to_be_counted_it_rests_between_events() -> None:
    generation, model, clock, metrics = made()
    asked = model.reply

    async def reply(text: str, number: int, seed: int) -> object:
        clock.advance(2.0)
        return await asked(text, number, seed)

    model.reply = reply  # type: ignore[method-assign,assignment]
    generation.pacer.delay.now_s = 1.0
    await answer_of(generation)
    assert clock.monotonic() == 2.0, "the first is not put off"
    await answer_of(generation)
    assert clock.monotonic() == pytest.approx(2.0 * PATIENCE + 2.0)
    rested = metrics.registry.get_sample_value("groundswell_responder_gave_way_seconds_total")
    assert rested == pytest.approx(2.0 * PATIENCE - 2.0)
