"""What is told of scoring, how long is waited, and how halves are joined."""

import random
from datetime import UTC, datetime

import numpy as np
import pytest

from core.clock import ManualClock
from core.errors import ScorerRefused, ScorerUnavailable
from core.metrics import Metrics
from core.ports import ScoreBatch
from stream.worker.scoring import PatientScorer, pause_s


class Telling:
    """Scores each text as its own number; takes `takes_s`, and refuses `poison`."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.takes_s = 0.0
        self.poison: set[str] = set()
        self.away = 0
        self.version = "m-1"
        self.heads: dict[int, tuple[str, ...]] = {}
        self.langs: list[str] = []

    async def score_batch(self, texts, langs):
        self.clock.advance(self.takes_s)
        if self.away:
            self.away -= 1
            raise ScorerUnavailable("asked to be away")
        if self.poison & set(texts):
            raise ScorerRefused("poison")
        self.langs += langs
        values = np.array([[float(text)] for text in texts], dtype=np.float32)
        heads = self.heads.get(len(texts), ("sentiment", "topics"))
        return ScoreBatch(self.version, values[:, 0] > 2, dict.fromkeys(heads, values))

    async def is_ready(self):
        return True

    async def close(self):
        """Nothing to close."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def _texts(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_waits_double_from_a_tenth_of_a_second_to_five_and_are_never_under_a_quarter() -> None:
    for attempt, longest_s in enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)):
        waits_s = [pause_s(attempt, random.Random(seed)) for seed in range(200)]
        assert min(waits_s) >= longest_s / 4
        assert max(waits_s) <= longest_s
        assert max(waits_s) - min(waits_s) > longest_s / 2
    assert pause_s(10_000, random.Random(1)) <= 5.0


async def test_a_batch_that_was_scored_is_told_with_its_size_and_time(clock: ManualClock) -> None:
    metrics, scorer = Metrics(), Telling(clock)
    patient = PatientScorer(scorer, clock, metrics)
    scorer.takes_s = 0.25
    await patient.score(_texts(3), ["en"] * 3)
    value = metrics.registry.get_sample_value
    assert value("groundswell_scorer_latency_seconds_sum") == 0.25
    assert value("groundswell_scorer_latency_seconds_count") == 1
    assert value("groundswell_batch_posts_sum") == 3
    assert value("groundswell_scorer_up") == 1
    assert value("groundswell_scorer_retries_total") == 0


async def test_a_scorer_that_is_away_is_shown_as_down_until_it_answers(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, scorer = Metrics(), Telling(clock)
    patient = PatientScorer(scorer, clock, metrics)
    await patient.score(_texts(1), ["en"])
    seen: list[tuple[float | None, float | None]] = []
    value = metrics.registry.get_sample_value
    sleep = clock.sleep

    async def watched(delay_s: float) -> None:
        seen.append((value("groundswell_scorer_up"), value("groundswell_scorer_retries_total")))
        await sleep(delay_s)

    monkeypatch.setattr(clock, "sleep", watched)
    scorer.away = 2
    await patient.score(_texts(2), ["en"] * 2)
    assert seen == [(0, 1), (0, 2)]
    assert value("groundswell_scorer_up") == 1
    assert value("groundswell_scorer_latency_seconds_count") == 2, "tries are no latency"


async def test_of_two_models_only_the_one_that_scored_last_is_shown(clock: ManualClock) -> None:
    metrics, scorer = Metrics(), Telling(clock)
    patient = PatientScorer(scorer, clock, metrics)
    value = metrics.registry.get_sample_value
    for version in ("m-1", "m-1", "m-2"):
        scorer.version = version
        await patient.score(_texts(1), ["en"])
    assert value("groundswell_model_info", {"model_version": "m-2", "engine": ""}) == 1
    assert value("groundswell_model_info", {"model_version": "m-1", "engine": ""}) is None


async def test_halves_are_joined_row_by_row_with_the_languages_they_came_with(
    clock: ManualClock,
) -> None:
    scorer = Telling(clock)
    scorer.poison = {"2", "5", "6"}
    patient = PatientScorer(scorer, clock, Metrics())
    langs = [f"l{number}" for number in range(7)]
    scored = await patient.score(_texts(7), langs)
    assert list(scored.unscored) == [2, 5, 6]
    assert scored.scores is not None
    assert scored.scores.heads["sentiment"][:, 0].tolist() == [0, 1, 3, 4]
    assert scored.scores.rated.tolist() == [False, False, True, True]
    assert scored.scores.model_version == "m-1"
    assert scorer.langs == ["l0", "l1", "l3", "l4"]


async def test_a_batch_of_which_nothing_can_be_scored_has_no_scores(clock: ManualClock) -> None:
    scorer = Telling(clock)
    scorer.poison = {"0", "1", "2"}
    scored = await PatientScorer(scorer, clock, Metrics()).score(_texts(3), ["en"] * 3)
    assert scored.scores is None
    assert list(scored.unscored) == [0, 1, 2]


async def test_a_head_that_one_half_lacks_is_left_out_of_both(clock: ManualClock) -> None:
    scorer = Telling(clock)
    scorer.poison = {"0"}
    scorer.heads = {1: ("topics",), 2: ("sentiment", "topics")}
    scored = await PatientScorer(scorer, clock, Metrics()).score(_texts(4), ["en"] * 4)
    assert scored.scores is not None
    assert list(scored.scores.heads) == ["topics"]
    assert scored.scores.heads["topics"][:, 0].tolist() == [1, 2, 3]
