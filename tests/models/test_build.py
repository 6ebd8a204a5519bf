import json
import shutil
from pathlib import Path

import pytest

from core.config import build as settings_of
from core.errors import ConfigError
from models.build import MODEL_NAME, WEIGHTS, build, chosen_weights
from models.encoder.config import load_config
from models.serving.agreement import Agreement
from models.serving.place import bits_of
from models.serving.post_encoder import open_service

pytestmark = pytest.mark.server


@pytest.fixture
def copy(built_repository: Path, tmp_path: Path) -> Path:
    """A repository with the built model in it, that a test may spoil."""
    repository = tmp_path / "repository"
    shutil.copytree(built_repository / MODEL_NAME, repository / MODEL_NAME)
    return repository


def test_repository_is_complete_and_carries_one_version(built_repository: Path) -> None:
    place = built_repository / MODEL_NAME
    assert {part.name for part in (place / "1").iterdir()} >= {
        "model.py", "engines", "tokenizer.json", "config.json", "build.json", "engine.json",
    }  # fmt: skip
    version = load_config(place / "1").version
    assert f'string_value: "{version}"' in (place / "config.pbtxt").read_text()
    record = json.loads((place / "1" / "build.json").read_text())
    assert record["version"] == version


def test_outputs_of_the_heads_are_declared_to_triton(built_repository: Path) -> None:
    text = (built_repository / MODEL_NAME / "config.pbtxt").read_text()
    for head in load_config(built_repository / MODEL_NAME / "1").heads:
        assert f'name: "{head.name}" data_type: TYPE_FP32 dims: [ {len(head.labels)} ]' in text


def test_building_again_does_nothing(copy: Path) -> None:
    parts = [part for part in (copy / MODEL_NAME).rglob("*") if part.is_file()]
    before = [part.stat().st_mtime_ns for part in parts]
    assert build(copy).was_current
    assert [part.stat().st_mtime_ns for part in parts] == before


def test_a_build_that_fails_leaves_the_old_model(copy: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(WEIGHTS, weights)
    (weights / "skeleton.onnx").write_bytes(b"not an onnx file")
    with pytest.raises(Exception, match=r".+"):
        build(copy, weights=weights)
    assert build(copy).was_current
    assert [part.name for part in copy.iterdir()] == [MODEL_NAME]
    assert not list(tmp_path.glob("repository.*"))


def test_a_wrong_backbone_is_refused(copy: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (backbone / name).write_text("{}")
    with pytest.raises(ConfigError, match="SHA-256"):
        build(copy, backbone_folder=backbone)


def test_no_weights_says_to_train(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models train"):
        build(tmp_path, weights=tmp_path)


def test_a_deployment_may_choose_other_weights_than_the_shipped_ones() -> None:
    assert chosen_weights(settings_of({})) == WEIGHTS
    chosen = settings_of({"scorer": {"weights": "students/four"}})
    assert chosen_weights(chosen) == Path("students/four")


def test_gpu_build_leaves_half_precision_onnx(tmp_path: Path) -> None:
    import onnx

    built = build(tmp_path / "gpu", device="gpu")
    served = tmp_path / "gpu" / MODEL_NAME / "1"
    assert built.version.endswith(f".{bits_of(served)}")
    assert (built.choice.engine, built.choice.why) == ("onnxruntime-fp16", "the only one built")
    model = onnx.load_model(served / "engines" / "onnxruntime-fp16" / "model.onnx")
    assert onnx.TensorProto.FLOAT not in {t.data_type for t in model.graph.initializer}
    assert "KIND_GPU" in (tmp_path / "gpu" / MODEL_NAME / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    "name",
    ["engines/openvino-int8/model.bin", "engines/onnxruntime-int8/model.onnx", "tokenizer.json"],
)
def test_a_model_whose_files_were_changed_after_the_build_is_not_opened(
    copy: Path, name: str
) -> None:
    file = copy / MODEL_NAME / "1" / name
    changed = bytearray(file.read_bytes())
    changed[len(changed) // 2] ^= 1
    file.write_bytes(changed)
    with pytest.raises(ConfigError, match="changed after the build"):
        open_service(copy / MODEL_NAME / "1")


def test_a_build_that_was_damaged_is_built_again_with_the_same_bits(copy: Path) -> None:
    version = load_config(copy / MODEL_NAME / "1").version
    (copy / MODEL_NAME / "1" / "tokenizer.json").write_text("{}")
    again = build(copy)
    assert (again.was_current, again.version) == (False, version)
    open_service(copy / MODEL_NAME / "1")


@pytest.mark.parametrize("name", ["config.json", "build.json"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"null", b"[1]", b"{}"])
def test_a_damaged_description_of_a_build_makes_the_next_one_build(
    copy: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object) -> None:
        raise ConfigError("it is made anew")

    monkeypatch.setattr("models.build._make_whole", made)
    (copy / MODEL_NAME / "1" / name).write_bytes(content)
    with pytest.raises(ConfigError, match="made anew"):
        build(copy)


def test_a_model_from_before_its_version_named_its_bits_is_not_opened(copy: Path) -> None:
    config = copy / MODEL_NAME / "1" / "config.json"
    version = load_config(config.parent).version
    config.write_text(config.read_text().replace(version, version.rpartition(".")[0]))
    with pytest.raises(ConfigError, match="models build"):
        open_service(config.parent)


def test_a_model_that_lost_too_much_is_refused() -> None:
    Agreement(cosine=0.995, mean_gap=0.01, largest_gap=0.1, same_class=0.98).check()
    with pytest.raises(ConfigError, match="differs too much"):
        Agreement(cosine=0.95, mean_gap=0.01, largest_gap=0.1, same_class=0.98).check()
    with pytest.raises(ConfigError, match="differs too much"):
        Agreement(cosine=0.995, mean_gap=0.05, largest_gap=0.1, same_class=0.98).check()
