import numpy as np
import pytest

from evaluation.encoder.crossvalidate import judge

pytestmark = pytest.mark.train


def test_gates_that_know_the_level_are_judged_perfect_and_their_opposite_is_not() -> None:
    levels = np.arange(40) % 5
    logits = np.where(np.arange(4) < levels[:, None], 4.0, -4.0).astype(np.float32)
    right, wrong = judge(logits, levels), judge(-logits, levels)
    assert right == pytest.approx({name: 1.0 for name in right})
    assert wrong["roc_auc"] == 0.0
    assert wrong["levels_macro_f1"] < 0.3
