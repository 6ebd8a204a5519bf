"""What is shipped was trained as it says, is small, and better than the floor where it counts."""

import json
from typing import Any

import msgspec
import pytest

from models.build_engagement import ENGAGEMENT_MODELS, weights_of
from models.engagement.config import load_engagement_config
from models.engagement.training.variants import Variant, variant_of
from models.serving.engagement import open_engagement
from testkit.scorers.untrained import posts

JUDGED = ("congress", "leaders", "accounts", "musk", "facebook")
VARIANT = {"engagement": "shipped", "engagement_transformer": "transformer_shipped"}


def record(model: str) -> dict[str, Any]:
    return json.loads((weights_of(model) / "training.json").read_text())


@pytest.mark.parametrize("model", ENGAGEMENT_MODELS)
def test_weights_are_small_and_of_the_run_that_is_told(model: str) -> None:
    folder, told = weights_of(model), record(model)
    assert (folder / "model.safetensors").stat().st_size < 1_500_000
    assert load_engagement_config(folder).version == told["version"]
    assert msgspec.convert(told["variant"], Variant) == variant_of(VARIANT[model])
    card = (folder / "README.md").read_text()
    assert told["version"] in card
    for figures in told["figures"].values():
        assert f"{figures['skill']:.3f}" in card
    assert open_engagement(folder, is_built=False).predict(*posts(3)).shape == (3, 3, 5)


def test_shipped_figures_meet_the_promise() -> None:
    figures = record("engagement")["figures"]
    skills = [figures[name]["skill"] for name in JUDGED]
    assert sum(skills) / len(skills) >= 0.09
    assert min(skills) >= 0.03
    for name, share in (("congress", 0.9), ("leaders", 0.9), ("accounts", 0.72)):
        assert figures[name]["authors_positive_share"] >= share
