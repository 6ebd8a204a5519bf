"""What the serving engine is compared with is what torch says."""

import json
from pathlib import Path

import pytest

from tests.models.popalm.training.parity import SAID, said_by_torch

pytestmark = pytest.mark.train


def test_file_of_what_torch_says_is_what_torch_says(tmp_path: Path) -> None:
    kept, now = json.loads(SAID.read_text()), said_by_torch(tmp_path)
    assert len(kept) == len(now)
    for before, after in zip(kept, now, strict=True):
        assert before["question"] == after["question"]
        assert before["reply"] == after["reply"]
        for weights in ("whole", "rounded"):
            assert before[weights] == pytest.approx(after[weights], abs=0.01), weights
        # Of two pieces that are as likely another build of torch may take the other.
        assert before["greedy"][0] == after["greedy"][0]
