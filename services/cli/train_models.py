"""Trainings of several parts: what the model server's environment makes, and what torch does."""

from __future__ import annotations

from pathlib import Path

from services.cli.model_environments import (
    REPOSITORY,
    TRAINED,
    TRAINED_STUDENT,
    WEIGHTS,
    existing,
    options,
    run_module,
)


def train_student(
    data: Path,
    out: Path,
    seed: int | None,
    threads: int,
    weights: Path | None,
    pythons: tuple[Path, Path],
) -> None:
    """Ask the built encoder where its answers are missing, train, calibrate and put in place."""
    folder = TRAINED_STUDENT if out == TRAINED else out
    asked = options(data=existing(data), out=folder, repository=REPOSITORY, threads=threads or None)
    run_module(pythons[0], "setup", "models.student.labelling", asked)
    learned = options(out=folder, seed=seed, threads=threads or None)
    run_module(pythons[1], "setup-train", "models.student.train", learned)
    packed = options(data=data, repository=REPOSITORY, weights=weights or WEIGHTS / "post-student")
    run_module(pythons[0], "setup", "models.student.pack", [folder, *packed])


_ENGAGEMENT_FOLDERS = {"transformer_shipped": "engagement-transformer"}


def train_engagement(
    data: Path,
    sets: str | None,
    variant: str,
    threads: int,
    weights: Path | None,
    pythons: tuple[Path, Path],
) -> None:
    """Make the encoder's scores where they are missing, then train."""
    scored = options(data=existing(data), sets=sets)
    run_module(pythons[0], "setup", "models.engagement.training.heads", scored)
    folder = weights or WEIGHTS / _ENGAGEMENT_FOLDERS.get(variant, "engagement")
    arguments = options(
        data=data, sets=sets, variant=variant, threads=threads or None, weights=folder
    )
    run_module(pythons[1], "setup-train", "models.engagement.training.train", arguments)
