"""A damaged file of a model is refused by its name, with what to do; nothing is raised besides."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from core.errors import ConfigError
from models.build_crowd import CROWD_WEIGHTS
from models.build_engagement import weights_of
from models.build_student import STUDENT_WEIGHTS
from models.encoder.config import EncoderConfig, load_config
from models.popalm.config import load_responder_config
from models.popalm.reward import REWARD_WEIGHTS, Reward
from models.serving.crowd import open_crowd
from models.serving.engagement import open_engagement
from models.serving.engine_choice import (
    Circumstances,
    EngineChoice,
    Trial,
    read_choice,
    write_choice,
)
from models.serving.reference import REFERENCE_FILE, TrialTexts, load_reference
from models.serving.student import open_student

WEIGHTS: Final = Path(CROWD_WEIGHTS).parent
ENCODER: Final = load_config(WEIGHTS / "post-encoder")
Tensors = dict[str, NDArray[Any]]


def _open_student(folder: Path) -> object:
    return open_student(folder, ENCODER)


def _crowd(folder: Path) -> object:
    return open_crowd(folder, is_built=False)


def _engagement(folder: Path) -> object:
    return open_engagement(folder, is_built=False)


OPENED: Final[dict[str, tuple[Path, str, str, Callable[[Path], object]]]] = {
    "crowd": (CROWD_WEIGHTS, "config.json", "model.safetensors", _crowd),
    "engagement": (weights_of("engagement"), "config.json", "model.safetensors", _engagement),
    "transformer": (
        weights_of("engagement_transformer"), "config.json", "model.safetensors", _engagement,
    ),
    "student": (STUDENT_WEIGHTS, "student.json", "student.safetensors", _open_student),
    "reward": (REWARD_WEIGHTS / "en", "config.json", "model.safetensors", Reward.load),
}  # fmt: skip
DESCRIBED: Final[dict[str, tuple[Path, str, Callable[[Path], object]]]] = {
    **{name: (folder, file, open_it) for name, (folder, file, _, open_it) in OPENED.items()},
    "post encoder": (WEIGHTS / "post-encoder", "config.json", load_config),
    "responder": (WEIGHTS / "responder", "config.json", load_responder_config),
}

BYTES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "cut short": lambda whole: whole[: len(whole) // 2],
    "another's": lambda _: b"\x00\x01PK nothing of the kind",
    "zeros": lambda whole: bytes(len(whole)),
    "no UTF-8": lambda whole: whole.replace(b'": "', b'": "\xff', 1).replace(b'":"', b'":"\xff', 1),
    "nested": lambda _: b'{"version":' + b"[" * 100_000,
    "nested in what is not read": lambda whole: b'{"\xff":' + b"[" * 100_000 + whole,
    "NaN": lambda _: b'{"version": NaN}',
    "a list": lambda _: b"[1, 2]",
    "null": lambda _: b"null",
}


def _refused(open_it: Callable[[Path], object], folder: Path, file: str) -> str:
    with pytest.raises(ConfigError) as caught:
        open_it(folder)
    said = str(caught.value)
    assert str(folder) in said
    assert file in said
    assert "groundswell models build" in said
    return said


@pytest.mark.parametrize("damage", BYTES)
@pytest.mark.parametrize("name", DESCRIBED)
def test_a_damaged_description_is_refused_by_its_name(
    name: str, damage: str, tmp_path: Path
) -> None:
    source, file, open_it = DESCRIBED[name]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    open_it(tmp_path)
    (tmp_path / file).write_bytes(BYTES[damage]((source / file).read_bytes()))
    _refused(open_it, tmp_path, file)
    (tmp_path / file).unlink()
    _refused(open_it, tmp_path, file)
    (tmp_path / file).mkdir()
    _refused(open_it, tmp_path, file)


@pytest.mark.parametrize("damage", ["empty", "cut short", "another's", "zeros", "missing"])
@pytest.mark.parametrize("name", OPENED)
def test_a_tensor_file_of_other_bytes_is_refused_by_its_name(
    name: str, damage: str, tmp_path: Path
) -> None:
    source, _, file, open_it = OPENED[name]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    if damage == "missing":
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(BYTES[damage]((source / file).read_bytes()))
    _refused(open_it, tmp_path, file)


def _not_finite(values: NDArray[Any]) -> NDArray[Any]:
    changed = values.copy()
    changed.reshape(-1)[-1] = np.nan
    return changed


FREE: Final = "learnt_posts"
"""A reward may have learnt from any number of posts."""
CHANGES: Final[dict[str, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "longer": lambda values: np.concatenate([values, values]),
    "flat": lambda values: values.reshape(-1, *([1] * values.ndim)),
    "without axes": lambda values: np.zeros((), values.dtype),
    "empty": lambda values: values[:0],
    "of another type": lambda values: values.astype(
        np.float32 if values.dtype.kind in "iu" else np.int64
    ),
    "NaN": _not_finite,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", OPENED)
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(
    name: str, change: str, tmp_path: Path
) -> None:
    source, _, file, open_it = OPENED[name]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    whole = load_file(source / file)
    names = sorted(whole, key=lambda one: whole[one].size)
    # The smallest, the largest, and one of each number of axes: of many layers all are alike.
    for chosen in {names[0], names[-1], *{whole[one].ndim: one for one in names}.values()}:
        if change == "NaN" and whole[chosen].dtype.kind != "f":
            continue
        if chosen == FREE and change in ("longer", "empty"):
            continue
        save_file(whole | {chosen: CHANGES[change](whole[chosen])}, tmp_path / file)
        _refused(open_it, tmp_path, file)


@pytest.mark.parametrize("name", OPENED)
def test_a_tensor_that_is_missing_or_unknown_is_named(name: str, tmp_path: Path) -> None:
    source, _, file, open_it = OPENED[name]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    whole = load_file(source / file)
    for one in sorted(whole, key=lambda one: whole[one].size)[-2:]:
        save_file({n: values for n, values in whole.items() if n != one}, tmp_path / file)
        _refused(open_it, tmp_path, file)
    save_file(whole | {"stranger": np.zeros(3, np.float32)}, tmp_path / file)
    assert "stranger" in _refused(open_it, tmp_path, file)


def _described(folder: Path, file: str) -> dict[str, Any]:
    return msgspec.json.decode((folder / file).read_bytes())


def _head(**changes: object) -> dict[str, object]:
    calibration = {"scale": [1], "bias": [0]}
    return {"name": "a", "labels": ["b"], "calibration": calibration} | changes


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("student", {"audit_share": 7}, "audit_share"),
        ("student", {"audit_share": "often"}, "audit_share"),
        ("student", {"least_sure": {"sentiment": 0.5}}, "least_sure"),
        ("student", {"least_sure": {"sentiment": None}}, "least_sure"),
        ("student", {"heads": []}, "heads"),
        ("student", {"answers": "nobody"}, "answers"),
        ("student", {"shape": {"groups": 0}}, "groups"),
        ("student", {"shape": {"groups": 7}}, "groups"),
        ("student", {"shape": {"first_span": 4}}, "odd"),
        ("student", {"shape": {"pieces": 2**70}}, "table"),
        ("engagement", {"kind": "gru"}, "kind"),
        ("engagement", {"horizon_s": -1}, "horizon_s"),
        ("transformer", {"heads": 0}, "heads"),
        ("transformer", {"heads": 3}, "heads"),
        ("crowd", {"version": 1}, "version"),
        ("post encoder", {"max_tokens": 0}, "max_tokens"),
        ("post encoder", {"max_tokens": 10**9}, "max_tokens"),
        ("post encoder", {"lora_rank": 0}, "lora_rank"),
        ("post encoder", {"heads": []}, "heads"),
        ("post encoder", {"heads": 2 * [_head()]}, "once"),
        ("post encoder", {"heads": [_head(labels=["b", "c"])]}, "scales and biases"),
        ("post encoder", {"heads": [_head(labels=[])]}, "scales and biases"),
        ("post encoder", {"heads": [_head(activation="tanh")]}, "activation"),
        ("post encoder", {"heads": [_head(cut=1)]}, "cut"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_is_refused_by_its_key(
    name: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    source, file, open_it = DESCRIBED[name]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_bytes(msgspec.json.encode(_described(source, file) | change))
    with pytest.raises(ConfigError, match=said) as caught:
        open_it(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("damage", BYTES)
def test_a_damaged_record_of_the_engine_is_refused_by_its_name(damage: str, tmp_path: Path) -> None:
    circumstances = Circumstances(processor="p", model="m", packages={"a": "1"}, wanted="auto")
    choice = EngineChoice(
        engine="x", why="as set", circumstances=circumstances, trials=(Trial(engine="x"),)
    )
    assert write_choice(tmp_path, choice)
    assert read_choice(tmp_path) == choice
    file = tmp_path / "engine.json"
    file.write_bytes(BYTES[damage](file.read_bytes()))
    _refused(read_choice, tmp_path, file.name)


def test_a_record_of_an_engine_that_was_refused_is_none(tmp_path: Path) -> None:
    text = (
        b'{"engine":"x","why":"","trials":[{"engine":"x","refused":"slow"}],"circumstances":'
        b'{"processor":"p","model":"m","packages":{},"wanted":"auto"}}'
    )
    (tmp_path / "engine.json").write_bytes(text)
    with pytest.raises(ConfigError, match="found fit"):
        read_choice(tmp_path)
    (tmp_path / "engine.json").unlink()
    assert read_choice(tmp_path) is None


def _reference(config: EncoderConfig, folder: Path) -> Tensors:
    rows, rng = 3, np.random.default_rng(4)
    widths = {"post_embedding": config.embedding_size}
    widths |= {f"logits_{head.name}": head.logits for head in config.heads}
    outputs = {n: rng.normal(size=(rows, w)).astype(np.float32) for n, w in widths.items()}
    TrialTexts([[1, 2, 3], [4], [5, 6]], outputs).save(folder)
    with np.load(folder / REFERENCE_FILE) as found:
        return {name: found[name] for name in found.files}


@pytest.mark.parametrize("damage", ["empty", "cut short", "another's", "zeros", "a list"])
def test_a_reference_of_other_bytes_is_refused_by_its_name(damage: str, tmp_path: Path) -> None:
    _reference(ENCODER, tmp_path)
    assert load_reference(tmp_path, ENCODER).token_ids == [[1, 2, 3], [4], [5, 6]]
    file = tmp_path / REFERENCE_FILE
    file.write_bytes(BYTES[damage](file.read_bytes()))
    _refused(lambda folder: load_reference(folder, ENCODER), tmp_path, REFERENCE_FILE)


def test_a_reference_with_one_byte_changed_is_refused_or_read(tmp_path: Path) -> None:
    _reference(ENCODER, tmp_path)
    file = tmp_path / REFERENCE_FILE
    whole, refused = file.read_bytes(), 0
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load_reference(tmp_path, ENCODER)
        except ConfigError:
            refused += 1
    assert refused > len(range(0, len(whole), 97)) // 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lengths": np.array([1, 1])}, "output.post_embedding of shape"),
        ({"lengths": np.array([3, 1, 1])}, "6 ids, expected 5"),
        ({"lengths": np.array([6, 1, -1])}, "lengths of texts"),
        ({"lengths": np.array([3.0, 1.0, 2.0])}, "expected integers"),
        ({"lengths": np.array([[3, 1, 2]])}, "lengths of shape"),
        ({"ids": np.array([1, 2, 3, 4, 5, -6])}, "none of them below zero"),
        ({"ids": np.array([1, 2, 3, 4, 5, 6], object)}, "cannot be read"),
        ({"output.post_embedding": np.full((3, 384), np.nan, np.float32)}, "not finite"),
        ({"output.logits_sentiment": np.zeros((3, 2), np.float32)}, "logits_sentiment of shape"),
        ({"output.logits_moods": np.zeros((3, 2), np.float32)}, "unknown: output.logits_moods"),
    ],
)
def test_a_reference_that_cannot_be_is_refused_by_what_is_wrong(
    change: Mapping[str, NDArray[Any]], said: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / REFERENCE_FILE, **(_reference(ENCODER, tmp_path) | change))
    with pytest.raises(ConfigError, match=said) as caught:
        load_reference(tmp_path, ENCODER)
    assert "models build --force" in str(caught.value)
