"""One run of a large baseline: train what the task needs, ask the test, choose a cut. Needs torch.

`layered` trains a classifier of whether and one of which level (on true participants), `direct`
one of all five, `binary` only the first. The cut is chosen on the posts of one fold that is left
out of training for it, unless `cut=VALUE` is given.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import PARTICIPATION
from evaluation.baselines.language_model import LabelModel, LanguageModelSettings
from evaluation.baselines.prompts import BINARY, DIRECT, LEVEL, Question
from evaluation.baselines.sequence import SequenceClassifier, SequenceSettings
from evaluation.baselines.shown import Shown, cut_for_prior, load_shown
from evaluation.encoder.participation import Answer
from models.encoder.data import CROWD
from models.encoder.heads.participation import DEPLOYED_PARTICIPATION

LEVELS: Final = len(PARTICIPATION)
HELD_OUT_FOLD: Final = 0
QUESTIONS: Final = {"binary": BINARY, "direct": DIRECT, "level": LEVEL}
_TOLD_EVERY: Final = 50
Probabilities = NDArray[np.float32]
SettingsKind = TypeVar("SettingsKind", bound=msgspec.Struct)


class Trained(Protocol):
    """What answers about texts once it is trained."""

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return the probabilities (N, C) of raw texts."""
        ...


Train = Callable[[Question, Sequence[str], Sequence[int]], Trained]
"""A question, texts and class numbers to what has learned them."""


def settings_of(words: dict[str, str], kind: type[SettingsKind]) -> SettingsKind:
    """Return the settings of a kind from words.

    Raises:
        ConfigError: A name is unknown or a value does not fit.
    """
    try:
        return msgspec.convert(words, kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(field.name for field in msgspec.structs.fields(kind))
        raise ConfigError(f"--set: {error}; settings are {known}, sources, cut") from error


def _tell(step: int, steps: int, loss: float) -> None:
    if step % _TOLD_EVERY == 0 or step == steps:
        sys.stderr.write(f"step {step:,} of {steps:,}: loss {loss:.4f}\n")


def ask(
    task: str, train: Train, texts: Sequence[str], levels: Sequence[int], asked: Sequence[str]
) -> Probabilities:
    """Train what a task needs and give the probabilities of the levels (N, 5).

    Of the binary task the level is unknown: all that participate are on the first one.
    """
    if task == "direct":
        return train(DIRECT, texts, levels).probabilities(asked)
    gate = train(BINARY, texts, [int(level > 0) for level in levels]).probabilities(asked)
    rest = np.zeros((len(asked), LEVELS - 1), np.float32)
    rest[:, 0] = 1.0
    if task == "layered":
        inside = [row for row, level in enumerate(levels) if level > 0]
        level = train(LEVEL, [texts[row] for row in inside], [levels[row] - 1 for row in inside])
        rest = level.probabilities(asked)
    return np.concatenate([gate[:, :1], gate[:, 1:] * rest], axis=1).astype(np.float32)


def held_out_cut(task: str, train: Train, shown: Shown) -> float:
    """Return the cut of a model that saw neither the posts it is chosen on nor their relatives."""
    fold_of = np.asarray(shown.fold_of)
    known = shown.train.select(np.flatnonzero(fold_of != HELD_OUT_FOLD).tolist())
    rows = np.flatnonzero((fold_of == HELD_OUT_FOLD) & shown.is_crowd).tolist()
    asked = shown.train.select(rows)
    gate = "direct" if task == "direct" else "binary"
    found = ask(gate, train, known.texts, known.labels, asked.texts)
    return cut_for_prior(1 - found[:, 0], np.asarray(asked.labels) > 0, DEPLOYED_PARTICIPATION)


def run(
    key: str, data: Path, task: str, words: dict[str, str], kind: type[msgspec.Struct], trainer: Any
) -> tuple[list[Answer], dict[str, object]]:
    """Train, ask, choose a cut; `trainer(settings)` gives the `Train` of a baseline."""
    chosen = dict(words)
    sources = tuple(chosen.pop("sources", f"{CROWD}+synthetic").split("+"))
    fixed = chosen.pop("cut", None)
    settings = settings_of(chosen, kind)
    train: Train = trainer(settings)
    shown = load_shown(data, sources)
    found = ask(task, train, shown.train.texts, shown.train.labels, shown.test.texts)
    try:
        cut = float(fixed) if fixed is not None else held_out_cut(task, train, shown)
    except ValueError as error:
        raise ConfigError(f"cut is a number, not {fixed!r}") from error
    used = {"sources": list(sources), **msgspec.to_builtins(settings)}
    return [Answer(key, f"{key}, {task}", found, cut)], used


def run_sequence(
    data: Path, checkpoint: str, task: str, words: dict[str, str]
) -> tuple[list[Answer], dict[str, object]]:
    """An encoder fine-tuned whole."""

    def trainer(settings: SequenceSettings) -> Train:
        def train(
            question: Question, texts: Sequence[str], labels: Sequence[int]
        ) -> SequenceClassifier:
            made = SequenceClassifier(checkpoint, len(question.labels), settings)
            made.fit(texts, labels, _tell)
            return made

        return train

    return run("roberta", data, task, words, SequenceSettings, trainer)


def _language_model(
    key: str, data: Path, checkpoint: str, task: str, words: dict[str, str]
) -> tuple[list[Answer], dict[str, object]]:
    def trainer(settings: LanguageModelSettings) -> Train:
        def train(question: Question, texts: Sequence[str], labels: Sequence[int]) -> LabelModel:
            made = LabelModel(checkpoint, question, settings)
            if key != "llm-zero":
                made.fit_answers(texts, labels, _tell)
            if key == "llm-dpo":
                made.fit_preferences(texts, labels, _tell)
            return made

        return train

    return run(key, data, task, words, LanguageModelSettings, trainer)


HEAVY_RUNS: Final[dict[str, Callable[..., tuple[list[Answer], dict[str, object]]]]] = {
    "roberta": run_sequence,
    **{
        key: lambda data, checkpoint, task, words, key=key: _language_model(
            key, data, checkpoint, task, words
        )
        for key in ("llm-zero", "llm-sft", "llm-dpo")
    },
}
