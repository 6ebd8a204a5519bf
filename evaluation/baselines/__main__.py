"""Train and measure a baseline on the official participation test.

python -m evaluation.baselines centroid --data ../shared/data
python -m evaluation.baselines roberta --checkpoint FOLDER --task layered --set epochs=3
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer

from core.errors import ConfigError
from core.ports import ScoreBatch
from core.report import write_report
from evaluation.baselines.shown import TASKS
from evaluation.encoder.__main__ import print_all, refusing, write_all
from evaluation.encoder.context import Context
from evaluation.encoder.participation import Answer, constant_answers, sections_of
from evaluation.encoder.tables import Evaluation
from evaluation.options import DataFolder, JsonFile, OutFolder, Resamples

HEAVY: Final = ("roberta", "llm-zero", "llm-sft", "llm-dpo")
PACKAGES: Final = ("numpy", "scikit-learn", "openvino", "torch", "transformers", "tokenizers")
_INTRODUCTION: Final = """# Baseline: {name}

Official participation test, whole; 95 % bootstrap intervals over posts. Cuts were chosen on
training posts, no setting on the test.
"""


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Return `NAME=VALUE` words as a mapping.

    Raises:
        ConfigError: A word has no `=`.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise ConfigError(f"--set wants NAME=VALUE, not {pair!r}")
        found[name.strip()] = value.strip()
    return found


def answers_of(
    name: str, data: Path, checkpoint: str | None, task: str, settings: dict[str, str]
) -> tuple[list[Answer], dict[str, object]]:
    """Return what a baseline says of the test, and the settings it was trained with.

    Raises:
        ConfigError: There is no such baseline, or it lacks its checkpoint.
    """
    from evaluation.baselines.light import LIGHT

    if name in LIGHT:
        if settings:
            raise ConfigError(f"baseline {name} has no settings")
        return LIGHT[name](data), {}
    if name not in HEAVY:
        raise ConfigError(f"no baseline {name!r}; expected {', '.join((*LIGHT, *HEAVY))}")
    if checkpoint is None:
        raise ConfigError(f"baseline {name} starts from a pretrained model: name it --checkpoint")
    from evaluation.baselines.heavy import HEAVY_RUNS

    return HEAVY_RUNS[name](data, checkpoint, task, settings)


def measure_answers(
    answers: Sequence[Answer], truth: Sequence[int], context: Context
) -> Evaluation:
    """Return the two tables of participation, the baseline's rows first."""
    levels = np.asarray(truth, np.int64)
    others = [*answers[1:], *constant_answers(len(levels))]
    sections = sections_of(answers[0], others, levels, context)
    return Evaluation("baseline", sections)


def main(
    name: Annotated[str, typer.Argument(help="Which baseline.")],
    data: DataFolder,
    checkpoint: Annotated[
        str | None, typer.Option(help="Folder or hub name of the pretrained checkpoint.")
    ] = None,
    task: Annotated[str, typer.Option(help="binary, direct or layered.")] = "layered",
    json_file: JsonFile = None,
    out: OutFolder = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting as NAME=VALUE.")
    ] = None,
    resamples: Resamples = 1_000,
) -> None:
    """Train and measure a baseline on the official participation test."""
    if task not in TASKS:
        raise typer.BadParameter(f"--task is one of {', '.join(TASKS)}, not {task!r}")
    with refusing():
        chosen = parse_settings(settings or ())
        answers, used = answers_of(name, data, checkpoint, task, chosen)
        from models.encoder.heads import participation

        context = Context(data, _nobody, resamples)
        found = measure_answers(answers, participation.test(data).labels, context)
    print_all([found])
    if out is not None:
        write_all([found], out, _INTRODUCTION.format(name=name), f"baseline-{name}")
    if json_file is not None:
        facts = {"baseline": name, "task": task, "cuts": {a.key: a.cut for a in answers}, **used}
        write_report(
            json_file,
            f"models baseline {name}",
            found.figures(),
            settings=msgspec.to_builtins(facts),
            packages=PACKAGES,
            seed=context.seed,
        )


def _nobody(texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
    raise AssertionError("a baseline brings its own probabilities")


if __name__ == "__main__":
    typer.run(main)
