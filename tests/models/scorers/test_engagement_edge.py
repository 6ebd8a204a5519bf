"""What an engagement model answers is refused by name unless it can be an answer."""

from typing import Any

import numpy as np
import pytest

from core.config import build as settings_of
from core.errors import InvalidAnswer, ScorerUnavailable
from core.ports import EngagementAnswer
from models.scorers import ENGAGEMENT
from models.scorers.edge import Asked
from models.scorers.engagement_edge import checked_answer, distance_of, joined_answers
from testkit.scorers.engagement import NONSENSE_QUANTILES, EngagementFaults, FakeEngagement
from testkit.scorers.untrained import posts

ASKED = Asked("the model", 3, (), "m-1")
RIGHT = np.cumsum(np.ones((3, 3, 5), np.float32), axis=2)


def test_right_answer_is_taken_as_it_is() -> None:
    found = checked_answer(ASKED, np.array([[b"m-1"]] * 3, np.object_), RIGHT)
    assert found.model_version == "m-1"
    np.testing.assert_array_equal(found.quantiles, RIGHT)


def test_equal_quantiles_and_zero_are_right() -> None:
    assert not checked_answer(ASKED, "m-1", -0.0 * RIGHT).quantiles.view(np.uint32).any()


@pytest.mark.parametrize("kind", NONSENSE_QUANTILES)
async def test_each_kind_of_nonsense_is_refused(kind: str) -> None:
    model = FakeEngagement(faults=EngagementFaults(spoil=NONSENSE_QUANTILES[kind]))
    with pytest.raises(InvalidAnswer, match="fake engagement model answered 3 posts with QUANT"):
        await model.predict(*posts(3))
    model.faults.spoil = None
    assert (await model.predict(*posts(3))).quantiles.shape == (3, 3, 5)


@pytest.mark.parametrize(
    "versions",
    ["m-2", "", "m\n1", b"\xff", None, 1, np.array([b"m-1", b"m-2", b"m-1"]), np.array([b"m-1"])],
)
def test_wrong_version_is_refused(versions: object) -> None:
    with pytest.raises(InvalidAnswer, match="MODEL_VERSION"):
        checked_answer(ASKED, versions, RIGHT)


def test_parts_of_two_models_are_no_answer() -> None:
    one, other = EngagementAnswer("m-1", RIGHT), EngagementAnswer("m-2", RIGHT)
    with pytest.raises(InvalidAnswer, match="changed within a batch"):
        joined_answers("the model", [one, other])
    assert len(joined_answers("the model", [one, one]).quantiles) == 6


def test_distance_of_two_models_is_of_medians_and_of_widths() -> None:
    wider = RIGHT.copy()
    wider[:, 0, 4] += 2
    wider[:, 1] += 0.5
    found = distance_of(EngagementAnswer("m-1", RIGHT), EngagementAnswer("m-2", wider))
    assert found.posts == 3
    np.testing.assert_allclose(found.medians, [0, 1.5, 0])
    np.testing.assert_allclose(found.widths, [6, 0, 0])
    with pytest.raises(InvalidAnswer, match="expected 3"):
        distance_of(EngagementAnswer("m-1", RIGHT), EngagementAnswer("m-2", wider[:2]))


async def test_registry_gives_the_model_that_the_settings_name() -> None:
    settings = settings_of({"forecasts": {"kind": "fake"}})
    model: Any = ENGAGEMENT.get(settings.forecasts.kind)(settings.forecasts, settings.scorer)
    assert await model.is_ready()
    assert (await model.predict(*posts(2))).model_version.startswith("fake")
    model.faults.is_down = True
    assert not await model.is_ready()
    with pytest.raises(ScorerUnavailable):
        await model.predict(*posts(2))
