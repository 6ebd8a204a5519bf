"""The student is put into a built model and taken out again, and the version tells."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from safetensors.numpy import save_file

from core.errors import ConfigError
from core.routes import READ
from models.build import MODEL_NAME, build
from models.build_student import ROUTE_OUTPUTS, answers_named, choose_answers
from models.encoder.config import load_config
from models.serving.place import bits_of
from models.serving.post_encoder import open_service
from models.student.config import (
    STUDENT_CONFIG_FILE,
    STUDENT_WEIGHTS_FILE,
    Answers,
    save_student_config,
)
from models.student.weights import TABLE, TRAINED_TABLE, packed
from testkit.scorers.made_student import SMALL, made_config, made_weights

pytestmark = pytest.mark.server


@pytest.fixture
def place(built_repository: Path, tmp_path: Path) -> Path:
    """A built model that a test may change, in a repository of its own."""
    place = tmp_path / "repository" / MODEL_NAME
    shutil.copytree(built_repository / MODEL_NAME, place)
    return place


@pytest.fixture
def student(place: Path, tmp_path: Path) -> Path:
    """A folder of weights of a made-up student of the built encoder."""
    config = load_config(place / "1")
    folder = tmp_path / "student"
    folder.mkdir()
    tensors = made_weights(SMALL, config.heads)
    tensors[TRAINED_TABLE] = tensors.pop(TABLE)
    save_file(packed(tensors), folder / STUDENT_WEIGHTS_FILE)
    teacher = config.version.partition(".")[0]
    save_student_config(made_config(teacher, config.heads, 0.6), folder)
    return folder


def test_a_student_is_put_in_and_taken_out(place: Path, student: Path) -> None:
    before = load_config(place / "1").version
    seen = {before}
    for answers in (Answers.CASCADE, Answers.STUDENT):
        version = choose_answers(place, answers, student)
        assert version not in seen
        seen.add(version)
        assert load_config(place / "1").version == version
        assert version.endswith(bits_of(place / "1"))
        text = (place / "config.pbtxt").read_text()
        assert ROUTE_OUTPUTS in text
        assert f'"{version}"' in text
        assert json.loads((place / "1" / "build.json").read_text())["version"] == version
        found = open_service(place / "1").score(["good morning to all of you", "1"], ["", "en"])
        assert found.routes is not None
        assert [int(bits) & READ for bits in found.routes.bits] == [READ, 0]
    assert choose_answers(place, Answers.ENCODER, student) == before
    assert "ROUTE" not in (place / "config.pbtxt").read_text()
    assert not (place / "1" / STUDENT_CONFIG_FILE).exists()
    assert open_service(place / "1").score(["good morning"], ["en"]).routes is None


def test_choosing_again_changes_nothing(place: Path, student: Path) -> None:
    version = choose_answers(place, Answers.CASCADE, student)
    stamp = (place / "1" / STUDENT_WEIGHTS_FILE).stat().st_mtime_ns
    assert choose_answers(place, Answers.CASCADE, student) == version
    assert (place / "1" / STUDENT_WEIGHTS_FILE).stat().st_mtime_ns == stamp
    assert build(place.parent).was_current, "the encoder need not be built again"


def test_a_build_alone_leaves_what_a_student_declares(place: Path, student: Path) -> None:
    choose_answers(place, Answers.CASCADE, student)
    file = place / "config.pbtxt"
    text, stamp = file.read_text(), file.stat().st_mtime_ns
    assert text.count(ROUTE_OUTPUTS) == 1
    assert build(place.parent).was_current
    assert (file.read_text(), file.stat().st_mtime_ns) == (text, stamp)


def test_a_student_of_another_encoder_is_refused_and_the_model_stays(
    place: Path, student: Path
) -> None:
    version = load_config(place / "1").version
    config = made_config("post-encoder-1+other", load_config(place / "1").heads, 0.6)
    save_student_config(config, student)
    with pytest.raises(ConfigError, match="cannot stand beside"):
        choose_answers(place, Answers.CASCADE, student)
    assert load_config(place / "1").version == version
    assert not list(place.parent.parent.glob("repository.*"))


def test_a_missing_or_broken_student_is_said(place: Path, student: Path) -> None:
    version = load_config(place / "1").version
    (student / STUDENT_WEIGHTS_FILE).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="cannot be read"):
        choose_answers(place, Answers.CASCADE, student)
    assert load_config(place / "1").version == version, "the model that was there stays"
    (student / STUDENT_WEIGHTS_FILE).unlink()
    with pytest.raises(ConfigError, match="train it with"):
        choose_answers(place, Answers.STUDENT, student)
    with pytest.raises(ConfigError, match="answers are by encoder, cascade, student"):
        answers_named("both")


def test_a_changed_student_is_another_model(place: Path, student: Path) -> None:
    version = choose_answers(place, Answers.CASCADE, student)
    config = made_config(version.partition(".")[0], load_config(place / "1").heads, 0.6)
    config = msgspec.structs.replace(config, version="post-student-1+next", audit_share=0.2)
    save_student_config(config, student)
    assert choose_answers(place, Answers.CASCADE, student) != version
