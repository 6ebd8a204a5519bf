"""Which engine runs the network here, by which figures: the record beside a built model.

A restart finds the record and takes the same engine, whatever else the machine does meanwhile.
Another processor, other files or other packages have their engines tried anew. Standard library and
msgspec only: who shows the choice needs none of the engines.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from models.descriptions import read_description, write_description

AUTO: Final = "auto"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one engine.

    `refused` says why it cannot be taken, empty if it can. Of one that was not timed the figures
    are None. Processor microseconds a post; the mean cosine of its embeddings to those of fp32, and
    the largest mean difference of a head's probabilities.
    """

    engine: str
    refused: str = ""
    cpu_us: float | None = None
    posts_per_s: float | None = None
    cosine: float | None = None
    mean_gap: float | None = None


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice holds for; `model` is the version that was built, `wanted` what was set."""

    processor: str
    model: str
    packages: dict[str, str]
    wanted: str


class EngineChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that was taken, why, and what was found of all."""

    engine: str
    why: str
    circumstances: Circumstances
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        """Refuse an engine that was not found fit.

        Raises:
            ValueError: It was refused, or is not among those tried.
        """
        fit = [trial.engine for trial in self.trials if not trial.refused]
        if self.engine not in fit:
            raise ValueError(f"engine {self.engine!r}, expected one that was found fit: {fit}")

    def said(self) -> str:
        """Return the choice as a line for people."""
        others = [_said(trial) for trial in self.trials if trial.engine != self.engine]
        own = next((_said(trial) for trial in self.trials if trial.engine == self.engine), "")
        line = f"{own or self.engine}, {self.why}"
        return f"{line}; {'; '.join(others)}" if others else line


def _said(trial: Trial) -> str:
    if trial.refused:
        return f"{trial.engine} refused: {trial.refused}"
    if trial.cpu_us is None:
        return f"{trial.engine} not timed"
    return f"{trial.engine} {trial.cpu_us / 1000:.2f} ms of processor a post"


def choice_file(wanted: str = AUTO) -> str:
    """Return the name of the record of what was wanted.

    Example:
        >>> choice_file(), choice_file("openvino-fp32")
        ('engine.json', 'engine-openvino-fp32.json')
    """
    return "engine.json" if wanted == AUTO else f"engine-{wanted}.json"


def read_choice(folder: Path, wanted: str = AUTO) -> EngineChoice | None:
    """Return the record in a version folder; None where there is none.

    Raises:
        ConfigError: There is one, and it cannot be read or contradicts itself.
    """
    file = folder / choice_file(wanted)
    return read_description(file, EngineChoice, "choice of an engine") if file.exists() else None


def write_choice(folder: Path, choice: EngineChoice) -> bool:
    """Keep a choice for the next start; returns whether the folder could be written."""
    name = choice_file(choice.circumstances.wanted)
    made = folder / f"{name}.{os.getpid()}"
    try:
        write_description(choice, made)
        made.replace(folder / name)
    except OSError:  # a repository that is served is often mounted read-only
        with suppress(OSError):
            made.unlink(missing_ok=True)
        return False
    return True
