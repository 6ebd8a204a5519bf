import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from core.clock import ManualClock
from core.errors import ConfigError, ScorerRefused, ScorerUnavailable
from core.heads import HEADS
from core.metrics import Metrics
from core.ports import ScoreBatch
from core.settings import ScorerSettings, Settings
from services.bootstrap import make_shadow
from stream.worker.batching import PostBudget
from stream.worker.scoring import PatientScorer, Scored
from stream.worker.steps.compare_shadow import (
    MAX_BATCHES,
    CompareShadow,
    ShadowComparison,
    distances,
    other_labels,
)
from stream.worker.steps.decode_posts import DECODED
from stream.worker.steps.decode_posts import TEXTS as TEXT_COLUMN
from stream.worker.steps.score import SCORED, Score
from testkit.builders import NOON, make_post
from testkit.scorers.fake import FakeScorer, Faults
from testkit.scorers.nonsense import ANSWER_KINDS, ROW_KINDS, spoil_rows
from testkit.stream import batch_of

TEXTS = [f"the trains are late again, for the {number}th time" for number in range(200)]
LANGS = ["en"] * len(TEXTS)


class OtherModel(FakeScorer):
    """Another model: it reads texts from behind; waits when it is told to."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        super().__init__(version="fake-2")
        self.gate = gate
        self.asked: list[str] = []
        self.is_closed = False

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        self.asked += texts
        if self.gate is not None:
            await self.gate.wait()
        return await super().score_batch([text[::-1] for text in texts], langs)

    async def close(self) -> None:
        self.is_closed = True


class Bench:
    """The steps `Score` and `CompareShadow` of a chain, with two models."""

    def __init__(
        self, shadow: FakeScorer, share: float = 1.0, first: FakeScorer | None = None
    ) -> None:
        self.metrics, clock = Metrics(), ManualClock(NOON)
        self.shadow = ShadowComparison(shadow, share, clock, self.metrics)
        patient = PatientScorer(first or FakeScorer(), clock, self.metrics)
        self.steps = Score(patient, PostBudget(1_000)), CompareShadow(self.shadow)

    async def score(self, texts: list[str]) -> Scored:
        batch = batch_of(b"")
        batch[DECODED] = [make_post(n, text=text, lang="en") for n, text in enumerate(texts)]
        batch[TEXT_COLUMN] = texts
        await self.steps[0].run(batch)
        self.steps[1].run(batch)
        return batch[SCORED]

    def value(self, name: str, **labels: str) -> float:
        found = self.metrics.registry.get_sample_value(f"groundswell_shadow_{name}", labels)
        return found or 0.0


def same(scored: Scored, other: ScoreBatch) -> bool:
    one = scored.scores
    return (
        one is not None
        and one.model_version == other.model_version
        and all(np.array_equal(one.heads[head], other.heads[head]) for head in HEADS)
    )


async def test_the_scores_are_the_first_models_to_the_last_bit() -> None:
    bench = Bench(OtherModel())
    found = await bench.score(TEXTS)
    assert same(found, await FakeScorer().score_batch(TEXTS, LANGS))
    await bench.shadow.settle()
    assert bench.value("posts_total") == len(TEXTS)
    assert bench.value("info", model_version="fake-1", shadow_version="fake-2") == 1


async def test_disagreement_of_each_head_is_that_of_the_obvious_loop() -> None:
    bench = Bench(OtherModel())
    await bench.score(TEXTS)
    await bench.shadow.settle()
    one = await FakeScorer().score_batch(TEXTS, LANGS)
    other = await OtherModel().score_batch(TEXTS, LANGS)
    for head, labels in HEADS.items():
        apart = differs = 0.0
        for a, b in zip(one.heads[head].tolist(), other.heads[head].tolist(), strict=True):
            gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
            if head in ("topics", "problem"):
                apart += sum(gaps) / len(labels)
                differs += [x >= 0.5 for x in a] != [y >= 0.5 for y in b]
            else:
                apart += sum(gaps) / 2
                differs += a.index(max(a)) != b.index(max(b))
        assert bench.value("compared_posts_total", head=head) == len(TEXTS)
        assert bench.value("distance_total", head=head) == pytest.approx(apart)
        assert bench.value("label_disagreements_total", head=head) == differs
        assert apart > 0


async def test_a_model_agrees_with_itself() -> None:
    bench = Bench(FakeScorer())
    await bench.score(TEXTS)
    await bench.shadow.settle()
    for head in HEADS:
        assert bench.value("distance_total", head=head) == 0
        assert bench.value("label_disagreements_total", head=head) == 0
    assert bench.value("rating_disagreements_total") == 0


async def test_about_the_asked_share_is_sampled_and_a_text_always_or_never() -> None:
    shadows = OtherModel(), OtherModel()
    for shadow, size in zip(shadows, (200, 7), strict=True):
        bench = Bench(shadow, share=0.25)
        for at in range(0, len(TEXTS), size):
            await bench.score(TEXTS[at : at + size])
            await bench.shadow.settle()
    assert shadows[0].asked == shadows[1].asked
    assert 30 <= len(shadows[0].asked) <= 70
    nothing = OtherModel()
    await Bench(nothing, share=0.0).score(TEXTS)
    assert nothing.asked == []


@pytest.mark.parametrize("faults", [Faults(is_down=True), Faults(refuse_marker="trains")])
async def test_a_second_model_that_fails_is_counted_and_nothing_else(faults: Faults) -> None:
    bench = Bench(FakeScorer(faults=faults))
    with pytest.raises((ScorerUnavailable, ScorerRefused)):
        await FakeScorer(faults=faults).score_batch(TEXTS, LANGS)  # the fault is real
    found = await bench.score(TEXTS)
    assert same(found, await FakeScorer().score_batch(TEXTS, LANGS))
    await bench.shadow.settle()
    assert bench.value("skipped_posts_total", cause="failed") == len(TEXTS)
    assert bench.value("posts_total") == 0


@pytest.mark.parametrize("kind", ANSWER_KINDS)
async def test_an_invalid_answer_of_the_second_model_is_counted_and_nothing_else(kind: str) -> None:
    bench = Bench(FakeScorer(faults=Faults(spoil=ANSWER_KINDS[kind])))
    found = await bench.score(TEXTS)
    assert same(found, await FakeScorer().score_batch(TEXTS, LANGS))
    await bench.shadow.settle()
    assert bench.value("skipped_posts_total", cause="invalid") == len(TEXTS)
    assert bench.value("posts_total") == 0


@pytest.mark.parametrize("kind", ROW_KINDS)
async def test_wrong_rows_of_either_model_are_not_compared(kind: str) -> None:
    def spoilt(*rows: int) -> FakeScorer:
        return FakeScorer(faults=Faults(spoil=lambda answer: spoil_rows(kind, answer, rows)))

    bench = Bench(spoilt(3, 9, 11), first=spoilt(1, 3))
    found = await bench.score(TEXTS)
    assert list(found.unscored) == [1, 3]
    await bench.shadow.settle()
    # Of the sample, which lacks the rows 1 and 3, the second model spoils three more.
    assert bench.value("skipped_posts_total", cause="invalid") == 3
    assert bench.value("posts_total") == len(TEXTS) - 5
    for head in HEADS:
        assert bench.value("compared_posts_total", head=head) == len(TEXTS) - 5
        assert bench.value("distance_total", head=head) == 0


async def test_a_slow_second_model_holds_nobody_up_and_a_bounded_number_of_posts() -> None:
    gate = asyncio.Event()
    bench = Bench(OtherModel(gate))
    for _ in range(MAX_BATCHES + 3):
        await bench.score(TEXTS[:10])
    assert bench.value("skipped_posts_total", cause="busy") == 30
    gate.set()
    await bench.shadow.settle()
    assert bench.value("posts_total") == 10 * MAX_BATCHES


async def test_a_first_model_that_is_away_is_waited_for_and_the_second_is_not_asked() -> None:
    shadow, away = OtherModel(), FakeScorer(faults=Faults(is_down=True))
    bench = Bench(shadow, first=away)
    scoring = asyncio.create_task(bench.score(TEXTS))
    for _ in range(20):
        await asyncio.sleep(0)
    assert shadow.asked == []
    assert not scoring.done()
    away.faults.is_down = False
    await scoring
    await bench.shadow.settle()
    assert shadow.asked == TEXTS


async def test_posts_of_which_none_is_scored_are_not_compared() -> None:
    shadow = OtherModel()
    spoilt = FakeScorer(faults=Faults(spoil=lambda answer: spoil_rows("nan", answer, range(3))))
    found = await Bench(shadow, first=spoilt).score(TEXTS[:3])
    assert found.scores is None
    assert shadow.asked == []


async def test_without_a_second_model_the_step_does_nothing() -> None:
    bench = Bench(OtherModel())
    bench.steps = bench.steps[0], CompareShadow(None)
    assert same(await bench.score(TEXTS), await FakeScorer().score_batch(TEXTS, LANGS))


async def test_closing_ends_what_the_second_model_does_not() -> None:
    shadow = OtherModel(asyncio.Event())
    bench = Bench(shadow)
    await bench.score(TEXTS[:3])
    await bench.shadow.close()
    assert shadow.is_closed
    assert not bench.shadow._comparisons


def test_distances_are_within_zero_and_one() -> None:
    yes, no = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    for head in ("emotion", "topics"):
        assert distances(head, yes, no).tolist() == [1.0]
        assert distances(head, yes, yes).tolist() == [0.0]
        assert other_labels(head, yes, no).tolist() == [True]


def test_the_first_model_is_no_shadow_of_itself() -> None:
    plain = Settings(scorer=ScorerSettings(kind="fake"))
    assert make_shadow(plain, Metrics()) is None
    beside = Settings(scorer=ScorerSettings(kind="fake", shadow_model="post_encoder"))
    with pytest.raises(ConfigError, match="that is the model that scores"):
        make_shadow(beside, Metrics())
    other = ScorerSettings(kind="fake", shadow_model="post_encoder", shadow_version="2")
    assert isinstance(make_shadow(Settings(scorer=other), Metrics()), ShadowComparison)
