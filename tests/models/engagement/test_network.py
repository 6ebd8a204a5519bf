"""A model's quantiles are in order and the same in any batch, whatever its numbers."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import ConfigError
from models.engagement.answer import quantiles_of
from models.engagement.config import (
    ENGAGEMENT_TENSORS,
    load_engagement_config,
    save_engagement_config,
)
from models.engagement.features import BASES, FEATURES, SEQUENCE
from models.engagement.layout import LEVELS, OUTCOMES, TARGETS
from models.serving import engagement
from models.serving.engagement import EngagementService, open_engagement
from testkit.scorers.untrained import perceptron_tensors, posts, service

KINDS = ("mlp", "transformer")


@pytest.mark.parametrize("kind", KINDS)
def test_row_has_the_same_bits_in_any_batch_and_order(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (features, sequence) = service(kind), posts(67)
    whole = model.predict(features, sequence)
    assert len(np.unique(whole[:, 0, 2])) > 30
    order = np.random.default_rng(0).permutation(67)
    np.testing.assert_array_equal(model.predict(features[order], sequence[order]), whole[order])
    for row in range(0, 67, 7):
        alone = model.predict(features[row : row + 1], sequence[row : row + 1])
        assert alone.tobytes() == whole[row : row + 1].tobytes()
    monkeypatch.setattr(engagement, "ROWS_AT_ONCE", 10)
    assert model.predict(features, sequence).tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_quantiles_are_in_order_and_not_below_zero(kind: str, rows: int) -> None:
    found = service(kind).predict(*posts(rows))
    assert found.dtype == np.float32
    assert found.shape == (rows, len(TARGETS), len(LEVELS))
    assert (np.diff(found, axis=2) >= 0).all()
    assert (found >= 0).all()


def test_steps_are_positive_whatever_a_network_says() -> None:
    numbers = np.random.default_rng(1).choice([-63.0, -1, 0, 1, 63], (500, 15))
    features = np.zeros((500, len(FEATURES)), np.float32)
    features[:, list(BASES)] = 100  # far above zero, so that nothing is cut off
    found = quantiles_of(numbers, features)
    assert (np.diff(found, axis=2)[found[:, :, :-1] > 0] > 0).all()
    np.testing.assert_allclose(found[:, :, 2] - 100, numbers.reshape(500, 3, 5)[:, :, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_holes_and_extremes_gives_numbers(kind: str) -> None:
    for value in (np.nan, np.inf, -np.inf, 1e30):
        features = np.full((2, len(FEATURES)), value, np.float32)
        features[:, list(BASES)] = 3
        sequence = np.full((2, OUTCOMES, len(SEQUENCE)), np.nan, np.float32)
        assert np.isfinite(service(kind).predict(features, sequence)).all()


def test_earlier_posts_matter_to_the_transformer_and_not_to_the_perceptron() -> None:
    features, sequence = posts(20)
    other = sequence.copy()
    other[:, -1, 0] += 1
    known = ~np.isnan(sequence[:, -1, 0])
    for kind, is_equal in (("mlp", True), ("transformer", False)):
        before = service(kind).predict(features, sequence)
        after = service(kind).predict(features, other)
        assert (before[known] == after[known]).all() == is_equal


def test_unknown_count_is_not_a_count_of_zero() -> None:
    features, sequence = posts(20)
    sequence[:, -1] = 0
    other = sequence.copy()
    other[:, -1, 0] = np.nan
    model = service("transformer")
    assert (
        (model.predict(features, sequence) != model.predict(features, other)).any(axis=(1, 2)).all()
    )


def test_wrong_shapes_are_refused() -> None:
    features, sequence = posts(3)
    for wrong in (
        (features[:, :-1], sequence),
        (features, sequence[:, :-1]),
        (features, sequence[:2]),
    ):
        with pytest.raises(ValueError, match="expected"):
            service("mlp").predict(*wrong)


def _saved(folder: Path, **changes: object) -> Path:
    model = service("mlp")
    folder.mkdir(exist_ok=True)
    save_file(perceptron_tensors(), folder / ENGAGEMENT_TENSORS)
    save_engagement_config(model.config, folder)
    if changes:
        save_engagement_config(msgspec.structs.replace(model.config, **changes), folder)
    return folder


def test_weights_of_a_folder_answer_as_they_did(tmp_path: Path) -> None:
    found = open_engagement(_saved(tmp_path), is_built=False)
    np.testing.assert_array_equal(found.predict(*posts(9)), service("mlp").predict(*posts(9)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": FEATURES[1:]}, "likes_base"),
        ({"features": FEATURES[::-1]}, "another order"),
        ({"sequence": (*SEQUENCE, "more")}, "more"),
        ({"levels": (0.1, 0.5, 0.9)}, "levels"),
        ({"targets": ("likes",)}, "targets"),
    ],
)
def test_model_of_other_inputs_or_outputs_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        open_engagement(_saved(tmp_path, **changes), is_built=False)


def test_folder_without_a_model_and_a_broken_file_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models build"):
        open_engagement(tmp_path)
    folder = _saved(tmp_path)
    (folder / ENGAGEMENT_TENSORS).write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_engagement(folder, is_built=False)
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_engagement_config(folder)


@pytest.mark.parametrize("name", ["w0", "b1", "w2", "centre"])
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    config = service("mlp").config
    tensors = perceptron_tensors()
    tensors[name] = tensors[name][..., :-1]
    with pytest.raises(ConfigError, match="shape"):
        EngagementService(config, tensors)
    del tensors[name]
    with pytest.raises(ConfigError):
        EngagementService(config, tensors)
