"""What describes a trained student: `student.json` beside its weights. Needs no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from core.errors import ConfigError
from models.descriptions import read_description, write_description
from models.encoder.config import EncoderConfig, HeadConfig, check_heads

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


_Size = Annotated[int, Meta(ge=1)]


class StudentShape(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the network: numbers of channels, and pieces that a filter spans."""

    pieces: _Size = 30_522
    table: _Size = 128
    first: _Size = 96
    first_span: _Size = 5
    second_span: _Size = 3
    groups: _Size = 4
    hidden: _Size = 128

    def __post_init__(self) -> None:
        """Refuse sizes that make no network.

        Raises:
            ValueError: A filter has no middle, or the groups do not divide the first filters.
        """
        if self.first_span % 2 == 0 or self.second_span % 2 == 0:
            raise ValueError("first_span and second_span are expected to be odd")
        if self.first % self.groups:
            raise ValueError(f"first is {self.first}, expected a multiple of groups, {self.groups}")


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
    audit_share: Annotated[float, Meta(ge=0, le=1)] = 0.01
    answers: Answers = Answers.CASCADE
    chosen_on: str = ""

    def __post_init__(self) -> None:
        """Refuse a description that contradicts itself.

        Raises:
            ValueError: A head has no least sureness, or there is one of no head, or heads are none.
        """
        check_heads(self.heads)
        names = {head.name for head in self.heads}
        if names != set(self.least_sure):
            raise ValueError(
                f"least_sure is of {sorted(self.least_sure)}, expected {sorted(names)}"
            )


def load_student_config(folder: Path) -> StudentConfig:
    """Read `student.json` of a weights folder or of a built model.

    Raises:
        ConfigError: There is none, or it is not one.
    """
    return read_description(folder / STUDENT_CONFIG_FILE, StudentConfig, "student")


def save_student_config(config: StudentConfig, folder: Path) -> None:
    """Write `student.json`, readable and with a stable order."""
    write_description(config, folder / STUDENT_CONFIG_FILE)


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
