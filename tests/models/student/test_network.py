"""What torch trains is what numpy serves."""

import numpy as np
import pytest

pytestmark = pytest.mark.train

HEADS = {"sentiment": 3, "topics": 19, "problem": 1}


def test_both_programs_give_the_same_numbers() -> None:
    import torch

    from models.encoder.batches import pad
    from models.serving.student import StudentEngine
    from models.student.network import StudentNetwork
    from models.student.weights import TABLE, TRAINED_TABLE
    from testkit.scorers.made_student import SMALL

    torch.manual_seed(1)
    network = StudentNetwork(SMALL, HEADS, torch.randn(SMALL.pieces, SMALL.table)).eval()
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    state[TABLE] = state.pop(TRAINED_TABLE)
    rng = np.random.default_rng(1)
    posts = [rng.integers(0, SMALL.pieces, n).tolist() for n in (1, 2, 3, 8, 9, 31, 128)]
    served = StudentEngine(SMALL, state).infer(posts)
    with torch.no_grad():
        trained = network(*pad(posts))
    for head in HEADS:
        assert np.allclose(served[f"logits_{head}"], trained[head].numpy(), atol=1e-4), head


def test_a_cut_table_keeps_what_varies_most() -> None:
    from models.student.table import SPREAD, cut_table

    rng = np.random.default_rng(2)
    hidden = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 12))
    table = (hidden + 0.01 * rng.normal(size=(400, 12)) + 5).astype(np.float32)
    cut = cut_table(table, 3)
    assert cut.std() == pytest.approx(SPREAD, rel=1e-4)
    centred, small = table - table.mean(0), cut - cut.mean(0)
    # Distances between pieces stay in proportion.
    far, near = (
        np.linalg.norm(centred[1:] - centred[:-1], axis=1),
        np.linalg.norm(small[1:] - small[:-1], axis=1),
    )
    assert np.corrcoef(far, near)[0, 1] > 0.999
    assert np.array_equal(cut, cut_table(table, 3))
