from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import save_file
from transformers import BertConfig, BertModel

from core.errors import ConfigError
from core.heads import HEADS
from models.assemble import fill_skeleton, is_placeholder, merge_adapters, model_weights, to_half
from models.encoder.export import SKELETON_FILE, export_skeleton
from models.encoder.model import (
    ADAPTER_FILE,
    HEADS_FILE,
    PostEncoder,
    adapt,
    load_backbone,
    save_weights,
)
from models.serving.engines import EMBEDDING, LOGITS_PREFIX, ONNX_FILE, OnnxRuntimeEngine

pytestmark = pytest.mark.train

WIDTH = 16
ALL_HEADS = list(HEADS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random backbone, trained weights and skeleton, saved as the real ones are."""
    made = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=50, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(made / "backbone")
    export_skeleton(made / "backbone", WIDTH, ALL_HEADS, made)
    return made


@pytest.fixture(scope="module")
def trained(folder: Path) -> PostEncoder:
    model = PostEncoder(load_backbone(folder / "backbone"), WIDTH, ALL_HEADS)
    adapt(model, rank=4, alpha=8.0)
    torch.manual_seed(6)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    save_weights(model, folder)
    return model.eval()


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    ids = np.array([[2, 7, 9, 3, 0], [2, 11, 12, 13, 3], [2, 3, 0, 0, 0]], np.int64)
    return {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)}


def assembled(folder: Path) -> onnx.ModelProto:
    tensors = model_weights(
        folder / "backbone" / "model.safetensors",
        folder / ADAPTER_FILE,
        folder / HEADS_FILE,
        scaling=2.0,
    )
    return fill_skeleton(folder / SKELETON_FILE, tensors)


def run(model: onnx.ModelProto, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, batch))


def test_assembled_model_computes_what_torch_computes(
    folder: Path, trained: PostEncoder, batch: dict[str, np.ndarray]
) -> None:
    with torch.no_grad():
        embedding, logits = trained(*(torch.from_numpy(value) for value in batch.values()))
    found_embedding, *found_logits = run(assembled(folder), batch)
    np.testing.assert_allclose(found_embedding, embedding.numpy(), atol=2e-5)
    for name, found in zip(ALL_HEADS, found_logits, strict=True):
        np.testing.assert_allclose(found, logits[name].numpy(), atol=2e-5)


def test_a_model_of_fewer_layers_is_assembled_from_the_whole_backbone(
    folder: Path, batch: dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = PostEncoder(load_backbone(folder / "backbone", layers=(1,)), WIDTH, ALL_HEADS).eval()
    adapt(model, rank=4, alpha=8.0)
    save_weights(model, tmp_path)
    export_skeleton(folder / "backbone", WIDTH, ALL_HEADS, tmp_path, layers=(1,))
    tensors = model_weights(
        folder / "backbone" / "model.safetensors",
        tmp_path / ADAPTER_FILE,
        tmp_path / HEADS_FILE,
        scaling=2.0,
    )
    graph = fill_skeleton(tmp_path / SKELETON_FILE, tensors)
    names = {tensor.name for tensor in graph.graph.initializer}
    assert any("layer.1." in name for name in names)
    assert not any("layer.0." in name for name in names)
    with torch.no_grad():
        embedding, _ = model(*(torch.from_numpy(value) for value in batch.values()))
    np.testing.assert_allclose(run(graph, batch)[0], embedding.numpy(), atol=2e-5)


def test_onnx_runtime_engine_gives_every_text_its_own_row(
    folder: Path, trained: PostEncoder, tmp_path: Path
) -> None:
    onnx.save_model(assembled(folder), tmp_path / ONNX_FILE)
    texts = [[2, *range(5, 5 + n), 3] for n in (9, 1, 30, 4, 1)]
    found = OnnxRuntimeEngine(tmp_path / ONNX_FILE).infer(texts)
    for row, ids in enumerate(texts):
        with torch.no_grad():
            embedding, logits = trained(torch.tensor([ids]), torch.ones(1, len(ids)).long())
        np.testing.assert_allclose(found[EMBEDDING][row], embedding[0].numpy(), atol=2e-5)
        for name in ALL_HEADS:
            np.testing.assert_allclose(
                found[LOGITS_PREFIX + name][row], logits[name][0].numpy(), atol=2e-5
            )


def test_half_precision_stays_near(
    folder: Path, trained: PostEncoder, batch: dict[str, np.ndarray]
) -> None:
    full = assembled(folder)
    half = to_half(full)
    kinds = {t.data_type for t in half.graph.initializer}
    assert onnx.TensorProto.FLOAT not in kinds
    for whole, approximate in zip(run(full, batch), run(half, batch), strict=True):
        assert approximate.dtype == np.float32
        np.testing.assert_allclose(approximate, whole, atol=0.02)


def test_skeleton_carries_no_weights_and_no_paths(folder: Path) -> None:
    raw = (folder / SKELETON_FILE).read_bytes()
    skeleton = onnx.load_model_from_string(raw)
    placeholders = [t for t in skeleton.graph.initializer if is_placeholder(t)]
    assert len(placeholders) == len(
        list(PostEncoder(load_backbone(folder / "backbone"), WIDTH, ALL_HEADS).parameters())
    )
    assert b"/site-packages/" not in raw
    assert b".py" not in raw


def test_weights_of_another_shape_are_refused(folder: Path, trained: PostEncoder) -> None:
    with pytest.raises(ConfigError, match="different trainings"):
        fill_skeleton(folder / SKELETON_FILE, {})


def test_merging_adds_in_one_order_whatever_the_library_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    base, a, b = (rng.standard_normal(shape, np.float32) for shape in ((6, 5), (3, 5), (6, 3)))
    prefix = "base_model.model.layer"
    adapter = {f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}
    found = merge_adapters({"layer.weight": base}, adapter, 0.5)["layer.weight"]
    for row, column in np.ndindex(found.shape):
        total = 0.0  # a plain program in double precision
        for k in range(3):
            total += float(b[row, k]) * float(a[k, column])
        assert found[row, column] == base[row, column] + np.float32(0.5) * np.float32(total)


def test_adapter_for_another_backbone_is_refused(tmp_path: Path) -> None:
    value = np.ones((2, 2), np.float32)
    save_file({"a.weight": value}, tmp_path / "b.safetensors")
    with pytest.raises(ConfigError, match="does not have"):
        merge_adapters({"a.weight": value}, {"base_model.model.other.bias": value}, 1.0)
