"""What describes a trained student: `student.json` beside its weights. Needs no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from models.encoder.config import EncoderConfig, HeadConfig

STUDENT_CONFIG_FILE: Final = "student.json"
STUDENT_WEIGHTS_FILE: Final = "student.safetensors"
TRAINED: Final = "trained"
"""The folder of the weights, inside that of a training."""
TRAINING_FILE: Final = "training.json"


class Answers(StrEnum):
    """Who answers, from the dearest to the cheapest."""

    ENCODER = "encoder"
    CASCADE = "cascade"
    STUDENT = "student"


class StudentShape(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the network: numbers of channels, and pieces that a filter spans."""

    pieces: int = 30_522
    table: int = 128
    first: int = 96
    first_span: int = 5
    second_span: int = 3
    groups: int = 4
    hidden: int = 128


class StudentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything but the weights.

    Attributes:
        version: Its own, a digest of weights and of all that follows.
        teacher: The version of the encoder's weights whose answers it learned; it stands beside
            no other.
        shape: The sizes of the network.
        heads: The encoder's heads, calibrated so that the student's probabilities are the
            encoder's in the mean.
        least_sure: Head -> the sureness below which the encoder is asked.
        audit_share: The share of texts that the encoder is always asked about, in [0, 1].
        answers: Who answers where it was built: `CASCADE`, or `STUDENT`, which sends on nothing
            but what is audited.
        chosen_on: For people, the posts that chose calibration and sureness.
    """

    version: str = ""
    teacher: str
    shape: StudentShape = StudentShape()
    heads: tuple[HeadConfig, ...]
    least_sure: dict[str, float]
    audit_share: float = 0.01
    answers: Answers = Answers.CASCADE
    chosen_on: str = ""


def load_student_config(folder: Path) -> StudentConfig:
    """Read `student.json` of a weights folder or of a built model.

    Raises:
        ConfigError: There is none, or it is not one.
    """
    file = folder / STUDENT_CONFIG_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=StudentConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file}: {error}: it is no student's description") from error


def save_student_config(config: StudentConfig, folder: Path) -> None:
    """Write `student.json`, readable and with a stable order."""
    text = msgspec.json.format(msgspec.json.encode(config), indent=2)
    (folder / STUDENT_CONFIG_FILE).write_bytes(text + b"\n")


def check_beside(student: StudentConfig, encoder: EncoderConfig) -> None:
    """Refuse a student beside an encoder that is not its teacher.

    Raises:
        ConfigError: It learned from another, or has other heads.
    """
    if encoder.version.partition(".")[0] != student.teacher:
        raise ConfigError(
            f"the student learned from {student.teacher} and cannot stand beside "
            f"{encoder.version}: train it again with `groundswell models train student`"
        )
    ours = [(head.name, head.labels) for head in student.heads]
    if ours != [(head.name, head.labels) for head in encoder.heads]:
        raise ConfigError(f"the student has the heads {ours}, not those of {encoder.version}")
