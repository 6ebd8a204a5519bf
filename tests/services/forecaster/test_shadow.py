"""A second engagement model is compared beside the first, and nothing of it reaches a forecast."""

import asyncio
import random

import numpy as np
import pytest

from core.clock import ManualClock
from core.errors import ConfigError
from core.forecast_settings import ForecastSettings
from core.metrics import Metrics
from core.ports import EngagementAnswer
from core.settings import Settings
from models.engagement.features import BASES, FEATURES, SEQUENCE
from models.engagement.items import Planned, Told
from models.engagement.layout import OUTCOMES
from services.bootstrap import make_engagement_shadow
from services.forecaster.asking import PatientModel
from services.forecaster.process import in_each_partition
from services.forecaster.shadow import EngagementShadow
from testkit.builders import NOON
from testkit.scorers.engagement import EngagementFaults, FakeEngagement

POSTS = 5


class Higher(FakeEngagement):
    """Expects a half more, in logs, of every post."""

    async def predict(self, features: np.ndarray, sequence: np.ndarray) -> EngagementAnswer:
        answer = await super().predict(features, sequence)
        return EngagementAnswer("higher", answer.quantiles + np.float32(0.5))


def planned() -> Planned:
    features = np.zeros((POSTS, len(FEATURES)), np.float32)
    features[:, list(BASES)] = 2.0
    sequence = np.zeros((POSTS, OUTCOMES, len(SEQUENCE)), np.float32)
    return Planned(POSTS, features, sequence, [])


async def served(second: FakeEngagement, asked: int = 1) -> tuple[Metrics, list[EngagementAnswer]]:
    metrics, answers = Metrics(), []
    shadow = EngagementShadow(second, metrics)
    model = PatientModel(FakeEngagement(), ManualClock(NOON), metrics, random.Random(1), shadow)

    def use(_: Planned, answer: EngagementAnswer) -> Told:
        answers.append(answer)
        return Told([], [])

    for _ in range(asked):
        await model.ask(planned(), use)
    await shadow.settle()
    await shadow.close()
    return metrics, answers


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"groundswell_engagement_shadow_{name}", labels) or 0.0


async def test_distance_of_the_medians_is_exported_and_the_first_model_is_served() -> None:
    metrics, answers = await served(Higher())
    assert value(metrics, "posts_total") == POSTS
    for target in ("likes", "replies", "reposts"):
        assert value(metrics, "distance_micros_total", target=target) == POSTS * 500_000
    assert value(metrics, "info", model_version=answers[0].model_version, shadow_version="higher")


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        (EngagementFaults(is_down=True), "failed"),
        (EngagementFaults(spoil=lambda quantiles: quantiles * np.nan), "invalid"),
    ],
)
async def test_second_model_that_fails_is_counted_and_holds_nobody_up(
    faults: EngagementFaults, cause: str
) -> None:
    metrics, answers = await served(FakeEngagement(faults=faults))
    assert len(answers) == 1
    assert value(metrics, "skipped_posts_total", cause=cause) == POSTS
    assert value(metrics, "posts_total") == 0


async def test_batches_that_come_while_one_is_compared_are_skipped() -> None:
    gate = asyncio.Event()

    class Slow(FakeEngagement):
        async def predict(self, features: np.ndarray, sequence: np.ndarray) -> EngagementAnswer:
            await gate.wait()
            return await super().predict(features, sequence)

    metrics = Metrics()
    shadow = EngagementShadow(Slow(), metrics)
    first = await FakeEngagement().predict(planned().features, planned().sequence)
    for _ in range(3):
        shadow.begin(planned(), first)
    gate.set()
    await shadow.settle()
    assert value(metrics, "skipped_posts_total", cause="busy") == 2 * POSTS
    assert value(metrics, "posts_total") == POSTS
    await shadow.close()


def test_model_that_is_its_own_shadow_is_refused_by_key_and_value() -> None:
    settings = Settings(forecasts=ForecastSettings(shadow_model="engagement"))
    with pytest.raises(ConfigError, match=r"forecasts\.shadow_model = 'engagement'"):
        make_engagement_shadow(settings, Metrics())
    assert make_engagement_shadow(Settings(), Metrics()) is None


@pytest.mark.parametrize(("whole", "share"), [(10, 2), (3, 1), (0, 0), (4, 1)])
def test_a_partition_has_its_share_of_the_hours_budget(whole: int, share: int) -> None:
    asked = ForecastSettings(events_per_hour=whole)
    assert in_each_partition(asked, 4).events_per_hour == share
