import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.errors import ConfigError
from models.encoder.batches import TokenisedTask
from models.encoder.model import ADAPTER_FILE, PostEncoder, adapt, load_backbone, load_start
from models.encoder.run import batch_loss
from models.encoder.schedule import TrainingSettings
from models.encoder.soft import SoftLesson, distance
from models.encoder.student import chosen_layers
from models.encoder.train import FINISHED, train_student

pytestmark = pytest.mark.train


@pytest.fixture
def six_layers(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 6}))
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("6", (0, 1, 2, 3, 4, 5)),
        ("4", (0, 2, 3, 5)),
        ("3", (0, 2, 5)),
        ("1", (0,)),
        ("5,0,1", (0, 1, 5)),
    ],
)
def test_a_count_keeps_layers_at_equal_distances_and_numbers_those(
    wanted: str, kept: tuple[int, ...], six_layers: Path
) -> None:
    assert chosen_layers(wanted, six_layers) == kept


@pytest.mark.parametrize("wanted", ["0", "7", "4,6", "-1,2", "four"])
def test_layers_that_are_not_there_are_refused(wanted: str, six_layers: Path) -> None:
    with pytest.raises(ConfigError, match="layers"):
        chosen_layers(wanted, six_layers)


def test_distance_is_nothing_from_itself_and_one_from_the_mean() -> None:
    teacher = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    assert distance(teacher, teacher).item() == 0
    mean = teacher.mean(0).expand(8, 4)
    assert distance(mean, teacher).item() == pytest.approx(1.0)
    assert distance(mean * 100, teacher * 100).item() == pytest.approx(1.0)


def test_a_student_begins_from_the_finished_models_own_layers() -> None:
    from models.backbone import find_backbone

    student = PostEncoder(load_backbone(find_backbone().folder, layers=(0, 5)), 384, ["sentiment"])
    adapt(student, 16, 16.0)
    load_start(student, FINISHED)
    found = dict(student.backbone.named_parameters())
    whole = load_file(FINISHED / ADAPTER_FILE)
    name = "encoder.layer.5.output.dense.lora_A.weight"
    assert torch.equal(found[name], whole[f"base_model.model.{name}"])
    assert not any("layer.1." in name for name in found)


def test_a_student_that_says_and_computes_the_same_has_nothing_to_learn() -> None:
    class Echo(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
            hidden = input_ids[..., None].float().expand(-1, -1, 4)
            return type("Output", (), {"last_hidden_state": hidden})()

    model = PostEncoder(Echo(), 4, ["sentiment"]).eval()
    ids = ((3,), (5, 5), (9,))
    embeddings = torch.tensor([[3.0] * 4, [5.0] * 4, [9.0] * 4])
    with torch.no_grad():
        logits = model.head("sentiment")(embeddings)
    task = TokenisedTask("sentiment", ids, (), (SoftLesson("sentiment", logits),), embeddings)
    assert batch_loss(model, task, [0, 1, 2]).item() == pytest.approx(0.0, abs=1e-6)
    far = task.select([0, 1])
    assert far.embeddings is not None
    far.embeddings.add_(1.0)
    assert batch_loss(model, far, [0, 1]).item() > 0.5


def test_a_student_needs_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weights"):
        train_student(tmp_path, tmp_path, "4", TrainingSettings(), None, tmp_path / "none")
