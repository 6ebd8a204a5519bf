from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from core import reasons
from core.clock import ManualClock
from core.errors import InvalidAnswer, ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.metrics import Metrics
from core.ports import ScoreBatch
from core.retry import LONGEST_PAUSE_S
from core.routes import AUDITED, READ, SENT, Routes, agreed_bit
from core.settings import WorkerSettings
from stream.worker.adaptive_limit import LEAST_IN_FLIGHT, AdaptiveLimit
from stream.worker.scoring import REFUSED, PatientScorer, Unscored


class Scripted:
    """Scores a text by its length; refuses batches with a poisoned text; is away at first.

    A text that begins with "wrong" has a wrong row.
    """

    def __init__(self, poison: str = "\0", away: int = 0, error: Exception | None = None) -> None:
        self.poison = poison
        self.away = away
        self.error = error or ScorerUnavailable("asked to be away")
        self.calls: list[int] = []

    async def score_batch(self, texts, langs):
        assert len(texts) == len(langs)
        self.calls.append(len(texts))
        if self.away:
            self.away -= 1
            raise self.error
        if self.poison in texts:
            raise ScorerRefused("poison")
        values = np.array([[len(text)] * 3 for text in texts], dtype=np.float32)
        wrong = {row: f"NaN {row}" for row, text in enumerate(texts) if text.startswith("wrong")}
        return ScoreBatch("m-1", np.ones(len(texts), dtype=bool), {"sentiment": values}, wrong)

    async def is_ready(self):
        return self.away == 0

    async def close(self):
        """Nothing to close."""


def _patient(scorer: Scripted) -> tuple[PatientScorer, ManualClock, Metrics]:
    clock, metrics = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Metrics()
    return PatientScorer(scorer, clock, metrics), clock, metrics


async def test_an_empty_batch_is_not_sent():
    scorer = Scripted()
    patient, _, _ = _patient(scorer)
    assert (await patient.score([], [])).scores is None
    assert scorer.calls == []


async def test_a_scorer_that_is_away_is_waited_for_and_nothing_is_skipped():
    scorer = Scripted(away=7)
    patient, clock, metrics = _patient(scorer)
    scored = await patient.score(["a", "bb"], ["", ""])
    assert scored.unscored == {}
    assert scored.scores is not None
    assert scored.scores.heads["sentiment"][:, 0].tolist() == [1, 2]
    assert len(scorer.calls) == 8
    assert 0 < clock.monotonic() <= 7 * LONGEST_PAUSE_S
    assert metrics.registry.get_sample_value("groundswell_scorer_retries_total") == 7
    assert metrics.registry.get_sample_value("groundswell_scorer_up") == 1


async def test_the_post_that_makes_the_scorer_fail_is_found_by_halving():
    scorer = Scripted(poison="bad")
    patient, _, _ = _patient(scorer)
    texts = ["x" * (i + 1) for i in range(100)]
    texts[17] = texts[63] = "bad"
    scored = await patient.score(texts, [""] * 100)
    assert scored.unscored == {17: REFUSED, 63: REFUSED}
    assert scored.scores is not None
    kept = [len(t) for i, t in enumerate(texts) if i not in (17, 63)]
    assert scored.scores.heads["sentiment"][:, 0].tolist() == kept
    assert len(scorer.calls) < 40  # 2 log2(100) rounds, not a hundred calls


async def test_a_lone_refused_post_leaves_no_scores():
    patient, _, _ = _patient(Scripted(poison="bad"))
    scored = await patient.score(["bad"], [""])
    assert scored.scores is None
    assert scored.unscored == {0: REFUSED}


async def test_an_invalid_answer_is_waited_for_counted_and_never_halved():
    scorer = Scripted(away=3, error=InvalidAnswer("a row too many"))
    patient, clock, metrics = _patient(scorer)
    scored = await patient.score(["a", "bb"], ["", ""])
    assert scored.unscored == {}
    assert scorer.calls == [2] * 4
    assert clock.monotonic() > 0
    value = metrics.registry.get_sample_value
    assert value("groundswell_scorer_invalid_answers_total") == 3
    assert value("groundswell_scorer_retries_total") == 3


async def test_only_the_rows_that_are_wrong_have_no_scores():
    patient, _, metrics = _patient(Scripted())
    scored = await patient.score(["a", "wrong", "ccc", "wrong again"], [""] * 4)
    assert scored.unscored == {
        1: Unscored(reasons.INVALID_SCORE, "NaN 1"),
        3: Unscored(reasons.INVALID_SCORE, "NaN 3"),
    }
    assert scored.scores is not None
    assert scored.scores.heads["sentiment"][:, 0].tolist() == [1, 3]
    assert scored.scores.wrong == {}
    assert metrics.registry.get_sample_value("groundswell_scorer_up") == 1


async def test_a_batch_of_wrong_rows_leaves_no_scores():
    patient, _, _ = _patient(Scripted())
    scored = await patient.score(["wrong"] * 3, [""] * 3)
    assert scored.scores is None
    assert list(scored.unscored) == [0, 1, 2]


async def test_wrong_rows_keep_their_places_when_a_batch_is_halved():
    patient, _, _ = _patient(Scripted(poison="bad"))
    texts = ["x" * (i + 1) for i in range(40)]
    texts[3] = texts[29] = "wrong"
    texts[31] = "bad"
    scored = await patient.score(texts, [""] * 40)
    assert {row: why.reason for row, why in scored.unscored.items()} == {
        3: reasons.INVALID_SCORE,
        29: reasons.INVALID_SCORE,
        31: reasons.SCORER_REFUSED,
    }
    assert scored.scores is not None
    kept = [len(t) for i, t in enumerate(texts) if i not in (3, 29, 31)]
    assert scored.scores.heads["sentiment"][:, 0].tolist() == kept


class Slow(Scripted):
    """Takes a second a post, and nobody waits for more than four."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    async def score_batch(self, texts, langs):
        self.clock.advance(min(len(texts), 4))
        if len(texts) > 4:
            self.calls.append(len(texts))
            raise ScorerTimedOut("4 s")
        return await super().score_batch(texts, langs)


async def test_a_batch_that_is_too_much_in_its_time_is_halved_and_not_sent_again_for_ever():
    clock, metrics = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), Metrics()
    scorer = Slow(clock)
    limit = AdaptiveLimit(WorkerSettings(), clock, metrics)
    patient = PatientScorer(scorer, clock, metrics, limit=limit)
    scored = await patient.score(["x" * (i + 1) for i in range(16)], [""] * 16)
    assert scored.unscored == {}
    assert scored.scores is not None
    assert scored.scores.heads["sentiment"][:, 0].tolist() == list(range(1, 17))
    assert scorer.calls == [16, 8, 4, 4, 8, 4, 4]
    assert metrics.registry.get_sample_value("groundswell_scorer_timeouts_total") == 3
    assert limit.in_flight_posts() == LEAST_IN_FLIGHT


async def test_a_single_post_that_is_not_answered_in_time_is_waited_for():
    patient, _, _ = _patient(Scripted(away=3, error=ScorerTimedOut("4 s")))
    scored = await patient.score(["a"], [""])
    assert scored.unscored == {}
    assert scored.scores is not None


async def test_a_batch_whose_halves_were_scored_by_two_models_is_scored_again():
    class Replaced(Scripted):
        async def score_batch(self, texts, langs):
            scores = await super().score_batch(texts, langs)
            version = "m-1" if len(self.calls) <= 2 else "m-2"  # replaced after the first half
            return ScoreBatch(version, scores.rated, scores.heads)

    scorer = Replaced(poison="bad")
    patient, _, _ = _patient(scorer)
    scored = await patient.score(["a", "bb", "bad", "cccc"], [""] * 4)
    assert scored.scores is not None
    assert scored.scores.model_version == "m-2"
    assert scored.scores.heads["sentiment"][:, 0].tolist() == [1, 2, 4]
    assert scored.unscored == {2: REFUSED}


class OfTwoNetworks(Scripted):
    """Answers with routes: a text of one letter is sent on and audited."""

    async def score_batch(self, texts, langs):
        scores = await super().score_batch(texts, langs)
        audited = READ | SENT | AUDITED | agreed_bit("sentiment")
        bits = np.array([audited if len(text) == 1 else READ for text in texts], np.uint16)
        return replace(scores, routes=Routes(bits, 0.25, 0.5))


async def test_how_a_model_of_two_networks_answered_is_counted():
    patient, _, metrics = _patient(OfTwoNetworks())
    await patient.score(["a", "bb", "wrong"], ["", "", ""])
    await patient.score(["b"], [""])

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"groundswell_cascade_{name}_total", labels)

    assert value("read_posts") == 4
    assert value("sent_posts") == value("audited_posts") == 2
    assert value("agreed_posts", head="sentiment") == 2
    assert (value("seconds", network="student"), value("seconds", network="encoder")) == (0.5, 1)


async def test_of_a_model_of_one_network_no_routes_are_counted():
    patient, _, metrics = _patient(Scripted())
    await patient.score(["a"], [""])
    assert metrics.registry.get_sample_value("groundswell_cascade_read_posts_total") == 0
