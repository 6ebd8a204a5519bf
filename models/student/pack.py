"""From a finished training to the weights that ship: calibrate, choose how sure is sure enough.

    python -m models.student.pack .groundswell/training/student --data ../shared/data \
        --repository .groundswell/model_repository

Everything is chosen on posts that nobody trained on, no test among them: the posts without labels
that the training held out, and the validation posts of every head. Runs on the built encoder,
without torch.

Shapes: `N` posts, `C` classes of a head, `L` logits.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer

from core.errors import ConfigError
from models.build_student import STUDENT_WEIGHTS
from models.encoder.config import EncoderConfig, HeadConfig, load_config
from models.encoder.samples import held_out
from models.serving.calibration import probabilities
from models.serving.cascade import sureness
from models.serving.engines import LOGITS_PREFIX, InferenceEngine
from models.serving.normalise import normalise
from models.serving.place import built_model
from models.serving.post_encoder import TOKENIZER_FILE
from models.serving.student import StudentEngine
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine
from models.student.config import (
    STUDENT_WEIGHTS_FILE,
    TRAINED,
    TRAINING_FILE,
    StudentConfig,
    StudentShape,
    save_student_config,
)
from models.student.fitting import differs, expected_loss, fit_to_teacher, least_sureness
from models.student.lessons import Lessons, read_lessons
from models.student.texts import HELD_OUT
from models.student.weights import load_student_weights

FAMILY: Final = "post-student-1"
AUDIT_SHARE: Final = 0.01
MOST_LOST: Final = 0.015
"""The expected loss that the student may leave in each head, the mean over all posts. Of 0.005 to
0.03 the largest at which SemEval's and TweetEval's validation posts lose less than half a point of
macro recall and macro F1 by people's labels (0.3 and none; at 0.02 sentiment loses 0.8)."""


def _validation(
    data: Path, config: EncoderConfig, tokenizer: TextTokenizer, engine: InferenceEngine
) -> Lessons:
    """Return the validation posts of all heads, each once, with the encoder's answers."""
    texts: dict[str, None] = {}
    for head in config.heads:
        texts |= dict.fromkeys(normalise(text) for text in held_out(head.name, data).texts)
    ids = tokenizer.encode(list(texts))
    outputs = engine.infer(ids)
    return Lessons(
        tuple(np.asarray(each, np.uint16) for each in ids),
        {head.name: outputs[LOGITS_PREFIX + head.name] for head in config.heads},
    )


def joined(parts: list[Lessons]) -> Lessons:
    """Return the posts of several lessons as one."""
    return Lessons(
        tuple(each for part in parts for each in part.pieces),
        {n: np.concatenate([part.logits[n] for part in parts]) for n in parts[0].logits},
    )


def calibrate(
    config: EncoderConfig, engine: StudentEngine, lessons: Lessons, most_lost: float
) -> tuple[tuple[HeadConfig, ...], dict[str, float], dict[str, Any]]:
    """Return the student's heads, its least sureness of each, and what that gives on the posts."""
    said = engine.infer([each.tolist() for each in lessons.pieces])
    heads: list[HeadConfig] = []
    least: dict[str, float] = {}
    figures: dict[str, Any] = {}
    sent = np.zeros(len(lessons), np.bool_)
    for head in config.heads:
        logits = said[LOGITS_PREFIX + head.name]
        theirs = probabilities(lessons.logits[head.name], head)
        own = fit_to_teacher(head, logits.astype(np.float64), theirs)
        ours = probabilities(logits, own)
        lost, sure = expected_loss(ours, theirs, own, head), sureness(ours, own)
        limit = round(least_sureness(sure, lost, most_lost), 6)
        goes, apart = ~(sure >= limit), differs(ours, theirs, own, head)
        sent |= goes
        heads.append(own)
        least[head.name] = limit
        figures[head.name] = {
            "differs_alone": round(float(apart.mean()), 4),
            "differs_left": round(float((apart & ~goes).mean()), 4),
            "lost_alone": round(float(lost.mean()), 4),
            "lost_left": round(float((lost * ~goes).mean()), 4),
            "sent": round(float(goes.mean()), 4),
            "share_gap": round(float(np.abs(ours.mean(0) - theirs.mean(0)).max()), 5),
        }
    figures["sent_for_any"] = round(float(sent.mean()), 4)
    return tuple(heads), least, figures


def with_student_version(config: StudentConfig, weights: Path) -> StudentConfig:
    """Return `config` with the version that stands for these weights and this description."""
    digest = hashlib.sha256((weights / STUDENT_WEIGHTS_FILE).read_bytes())
    digest.update(msgspec.json.encode(msgspec.structs.replace(config, version="")))
    return msgspec.structs.replace(config, version=f"{FAMILY}+{digest.hexdigest()[:12]}")


def pack(
    training: Path, data: Path, repository: Path, weights: Path, most_lost: float
) -> tuple[StudentConfig, Mapping[str, Any]]:
    """Fill the folder `weights` from a training's folder; return the description and its figures.

    Raises:
        ConfigError: The training is not finished, or the encoder built is not its teacher.
    """
    record_file = training / TRAINED / TRAINING_FILE
    if not record_file.is_file():
        raise ConfigError(f"{training} holds no finished training of a student")
    record = json.loads(record_file.read_text())
    folder = built_model(repository)
    config = load_config(folder)
    if record["teacher"].partition(".")[0] != config.version.partition(".")[0]:
        raise ConfigError(f"{training} learned from {record['teacher']}, not {config.version}")
    weights.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(training / TRAINED / STUDENT_WEIGHTS_FILE, weights / STUDENT_WEIGHTS_FILE)
    shape = msgspec.convert(record["shape"], StudentShape)
    student = StudentEngine(
        shape, load_student_weights(weights / STUDENT_WEIGHTS_FILE, shape, config.heads)
    )
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    engine, _ = open_engine(folder, config)
    own = _validation(data, config, tokenizer, engine)
    lessons = joined([read_lessons(training, (HELD_OUT,)), own])
    heads, least, figures = calibrate(config, student, lessons, most_lost)
    found = StudentConfig(
        teacher=config.version.partition(".")[0], shape=shape, heads=heads, least_sure=least,
        audit_share=AUDIT_SHARE,
        chosen_on=f"{len(lessons) - len(own):,} unlabelled and {len(own):,} validation posts",
    )  # fmt: skip
    found = with_student_version(found, weights)
    save_student_config(found, weights)
    text = json.dumps(record | {"chosen": figures, "most_lost": most_lost}, indent=2)
    (weights / TRAINING_FILE).write_text(text + "\n")
    return found, figures


def main(
    training: Annotated[Path, typer.Argument(help="Folder of the training.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    repository: Annotated[Path, typer.Option(help="Model repository with the built encoder.")],
    weights: Annotated[Path, typer.Option(help="Folder to fill.")] = STUDENT_WEIGHTS,
    most_lost: Annotated[
        float, typer.Option(min=0, max=1, help="Expected loss that may be left, per head.")
    ] = MOST_LOST,
) -> None:
    """Fill the folder of shipped weights from a finished training."""
    try:
        config, figures = pack(training, data, repository, weights, most_lost)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"{weights}: {config.version}")


if __name__ == "__main__":
    typer.run(main)
