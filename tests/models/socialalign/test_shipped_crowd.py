"""What is shipped was fitted as it says, is small, and its card speaks of it."""

import json

from models.build_crowd import CROWD_WEIGHTS
from models.serving.crowd import open_crowd
from models.socialalign.crowd_config import load_crowd_config


def test_weights_are_small_and_of_the_run_that_is_told() -> None:
    told = json.loads((CROWD_WEIGHTS / "training.json").read_text())
    assert (CROWD_WEIGHTS / "model.safetensors").stat().st_size < 600_000
    assert load_crowd_config(CROWD_WEIGHTS).version == told["version"]
    assert told["version"] in (CROWD_WEIGHTS / "README.md").read_text()
    assert open_crowd(CROWD_WEIGHTS, is_built=False).version == told["version"]
    assert all(len(digest) == 64 for digest in told["data"].values())
    assert told["answers"] > 10_000
    assert told["events"] > 500
