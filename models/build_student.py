"""Who answers in a model that is built: the encoder alone, or a student before it.

The student is put into the built model, or taken out of it, without building the encoder again. The
model's version changes with it, since its scores do.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from models.build_record import RECORD_FILE, read_record, write_record
from models.encoder.config import load_config, save_config
from models.serving.place import FIRST_VERSION, bits_of, move_into_place
from models.student.config import (
    STUDENT_CONFIG_FILE,
    STUDENT_WEIGHTS_FILE,
    Answers,
    StudentConfig,
    check_beside,
    load_student_config,
    save_student_config,
)
from models.student.weights import load_student_weights

STUDENT_WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / "post-student"
ROUTE_OUTPUTS: Final = (
    'output { name: "ROUTE" data_type: TYPE_UINT16 dims: [ 1 ] }\n'
    'output { name: "COST" data_type: TYPE_FP32 dims: [ 2 ] }\n'
)
"""What a model with a student declares to Triton besides its heads."""


def answers_named(name: str) -> Answers:
    """Return who answers, by the name of a setting or an option.

    Raises:
        ConfigError: There is no such choice.
    """
    try:
        return Answers(name)
    except ValueError as error:
        raise ConfigError(f"answers are by {', '.join(Answers)}, not {name!r}") from error


def choose_answers(place: Path, answers: Answers, weights: Path = STUDENT_WEIGHTS) -> str:
    """Make a built model (the folder with `config.pbtxt`) answer so; return its version.

    Args:
        place: The model's folder in its repository.
        answers: Who is to answer.
        weights: The folder of the student's weights.

    Raises:
        ConfigError: The student is wanted and is not there, is damaged, or learned from another
            encoder.
    """
    served = place / FIRST_VERSION
    wanted = _wanted(weights, answers)
    present = load_student_config(served) if has_student(place) else None
    if present == wanted:
        _declare(place)
        return load_config(served).version
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    repository = place.parent
    with tempfile.TemporaryDirectory(
        dir=repository.parent, prefix=f"{repository.name}."
    ) as scratch:
        made = Path(scratch) / place.name
        shutil.copytree(place, made, copy_function=os.link)
        version = _exchange(made, wanted, weights)
        move_into_place(made, place)
    return version


def _wanted(weights: Path, answers: Answers) -> StudentConfig | None:
    if answers is Answers.ENCODER:
        return None
    for name in (STUDENT_CONFIG_FILE, STUDENT_WEIGHTS_FILE):
        if not (weights / name).is_file():
            raise ConfigError(
                f"{weights / name} is not there, and the student is to answer: train it with "
                "`groundswell models train student`, or let the encoder answer"
            )
    return msgspec.structs.replace(load_student_config(weights), answers=answers)


def _exchange(made: Path, wanted: StudentConfig | None, weights: Path) -> str:
    """Put the student into a copy of a built model, or take it out; return the new version."""
    served = made / FIRST_VERSION
    config = load_config(served)
    for name in (STUDENT_CONFIG_FILE, STUDENT_WEIGHTS_FILE):
        (served / name).unlink(missing_ok=True)
    if wanted is not None:
        check_beside(wanted, config)
        load_student_weights(weights / STUDENT_WEIGHTS_FILE, wanted.shape, wanted.heads)
        shutil.copyfile(weights / STUDENT_WEIGHTS_FILE, served / STUDENT_WEIGHTS_FILE)
        save_student_config(wanted, served)
    old = config.version
    new = f"{old.rpartition('.')[0]}.{bits_of(served)}"
    record = read_record(made) | {"version": new}
    text = (made / "config.pbtxt").read_text(encoding="utf-8")
    # They are links to the files of the model that is in use: never written through.
    for file in (served / "config.json", served / RECORD_FILE, made / "config.pbtxt"):
        file.unlink()
    save_config(msgspec.structs.replace(config, version=new), served)
    write_record(made, record)
    (made / "config.pbtxt").write_text(text.replace(f'"{old}"', f'"{new}"'), encoding="utf-8")
    _declare(made)
    return new


def has_student(place: Path) -> bool:
    """Tell whether a student stands before the encoder in a built model's folder."""
    return (place / FIRST_VERSION / STUDENT_CONFIG_FILE).is_file()


def with_routes(text: str, is_wanted: bool) -> str:
    """Return Triton's configuration of a model with what a student declares, or without."""
    return text.replace(ROUTE_OUTPUTS, "") + (ROUTE_OUTPUTS if is_wanted else "")


def _declare(place: Path) -> None:
    """Declare the outputs of a model with a student to Triton, or take them back."""
    file = place / "config.pbtxt"
    text = file.read_text(encoding="utf-8")
    declared = with_routes(text, has_student(place))
    if declared != text:
        file.write_text(declared, encoding="utf-8")
