"""A student of fewer layers, taught by the finished model what it computes for a post.

It keeps some layers of the backbone and begins from what the finished model learned for those. Its
lessons are the teacher's embedding, from which every head reads, and the teacher's answers; labels
have no say, so any text can teach. Needs torch.

Shapes: `N` posts, `D` embedding width.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from core.errors import ConfigError
from models.backbone import Backbone
from models.encoder.batches import TokenisedTask
from models.encoder.checkpoints import made_once
from models.encoder.distil import ask, load_teacher, posts_to_learn
from models.encoder.heads import training_of
from models.encoder.heads.base import UNLABELLED
from models.encoder.model import embed_all
from models.encoder.schedule import TrainingSettings, TrainingStage
from models.encoder.soft import SoftLesson
from models.encoder.tasks import passes_of

WHOLE: Final = "whole"
"""The teacher's name among those of a stage."""
EMBEDDINGS_FILE: Final = "teacher-embeddings.safetensors"
STUDENT: Final = TrainingStage(
    "student",
    1,
    1e-3,
    passes_of("student") | {UNLABELLED: 1.0},
    teachers=(WHOLE,),
    sentiment_posts=24_576,
    unlabelled_posts=8_192,
)
"""One epoch, so that the weights that are kept are the last ones."""


def chosen_layers(wanted: str, backbone: Path) -> tuple[int, ...]:
    """The layers that `wanted` names: `4` for so many at equal distances, `0,2,3,5` for those.

    Raises:
        ConfigError: it names none, or the checkpoint in the folder `backbone` has not so many.
    """
    settings = json.loads((backbone / "config.json").read_text(encoding="utf-8"))
    many = int(settings["num_hidden_layers"])
    try:
        numbers = sorted({int(part) for part in wanted.split(",")})
    except ValueError as error:
        raise ConfigError(f"layers are a count or numbers with commas, not {wanted!r}") from error
    if "," not in wanted:
        count = numbers[0]
        if not 1 <= count <= many:
            raise ConfigError(f"the backbone has {many} layers: keep 1 to {many}, not {count}")
        # First and last always: one reads the words' vectors, the other makes the embedding.
        numbers = [round(place * (many - 1) / max(1, count - 1)) for place in range(count)]
    if numbers[0] < 0 or numbers[-1] >= many:
        raise ConfigError(f"the backbone has layers 0 to {many - 1}, not {wanted}")
    return tuple(numbers)


def taught_by_whole(
    tasks: Sequence[TokenisedTask],
    data_root: Path,
    settings: TrainingSettings,
    backbone: Backbone,
    teacher: Path,
    folder: Path,
) -> list[TokenisedTask]:
    """The tasks' posts and unlabelled ones, with what the teacher computes for them; no labels.

    Args:
        tasks: Whose posts are learned from.
        data_root: Folder of the data sets.
        settings: Of the stage; how many posts are drawn, by which seed.
        backbone: The bare encoder, whole.
        teacher: Folder of the finished model's weights.
        folder: Of the run; embeddings are kept in it, so that a continued run does not ask again.
    """
    posts = posts_to_learn(tasks, data_root, settings, backbone.tokenizer)
    model = load_teacher(teacher, backbone, settings)

    def embed() -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
            return {task.name: embed_all(model, task.token_ids) for task in posts}

    embeddings = made_once(folder / EMBEDDINGS_FILE, embed)
    return [
        replace(
            task,
            lessons=(),
            embeddings=embeddings[task.name],
            soft=tuple(
                SoftLesson(
                    head, ask(model, embeddings[task.name], head), training_of(head).teacher_weight
                )
                for head in settings.heads
            ),
        )
        for task in posts
    ]
