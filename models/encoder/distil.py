"""What teachers say of the posts of a stage, asked once before training and kept in its folder.

Training for several tasks at once costs each of them something: sentiment is forgotten in part, and
the embedding loses what the bare backbone knew of topics. So the stage that ships learns, besides
labels, from teachers that had one thing to do (`TEACHES`), also on posts that have no label for it.
Needs torch.

Shapes: `N` posts of a task, `L` logits of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.backbone import Backbone
from models.encoder import data as datasets
from models.encoder.batches import TokenisedTask, tokenise
from models.encoder.checkpoints import made_once
from models.encoder.heads import HEADS, participation, topics, training_of
from models.encoder.heads.base import UNLABELLED
from models.encoder.lora import merge
from models.encoder.model import (
    ADAPTER_FILE,
    HEADS_FILE,
    PostEncoder,
    adapt,
    embed_all,
    load_backbone,
    load_trained_state,
)
from models.encoder.refit import STRENGTH, fit_linear
from models.encoder.schedule import TrainingSettings
from models.encoder.soft import SoftLesson
from models.encoder.teachers import Views, cross_fitted, level_teacher, topic_teacher

TARGETS_FILE: Final = "teachers.safetensors"
ALONE: Final = "sentiment"
JOINT: Final = "joint"
"""The stages that teach: sentiment alone, and all tasks by their labels."""
REFIT_POSTS: Final = 4_096
"""Sentiment posts that the topics layer is fitted to, besides the labelled ones."""
TEACHES: Final = {name: training_of(name).teacher_asked for name in HEADS.names()}
"""Head -> the tasks whose posts its teacher is asked about."""
_OWN_TEACHERS: Final = ("sentiment", "topics", "participation")
"""Heads with a teacher of their own; the joint stage teaches the others."""


def load_teacher(folder: Path, backbone: Backbone, settings: TrainingSettings) -> PostEncoder:
    """The encoder of an earlier stage, with the heads that it has; adapters merged, for speed."""
    heads = load_file(folder / HEADS_FILE)
    names = sorted({name.partition(".")[0] for name in heads})
    width = int(heads[f"{names[0]}.linear.weight"].shape[1])
    model = PostEncoder(load_backbone(backbone.folder), width, names)
    adapt(model, settings.lora_rank, settings.lora_alpha)
    load_trained_state(model, load_file(folder / ADAPTER_FILE), heads)
    merge(model.backbone)
    return model.eval()


@torch.no_grad()
def ask(model: PostEncoder, embeddings: Tensor, head: str) -> Tensor:
    """Logits (N, L) of a head for embeddings by the same model."""
    return model.head(head).eval()(embeddings)


def _embed(model: PostEncoder, tasks: Sequence[TokenisedTask], is_bf16: bool) -> dict[str, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
        return {task.name: embed_all(model, task.token_ids) for task in tasks}


def refit_topics(
    model: PostEncoder,
    bare: PostEncoder,
    labelled: TokenisedTask,
    others: Sequence[tuple[int, ...]],
    is_bf16: bool,
) -> None:
    """Replace the topics layer by one fitted to labels and to the teacher's answers for `others`.

    A convex problem on the frozen encoder, like `refit.refit`; nothing else of the model changes.
    """
    lesson = next(lesson for lesson in labelled.lessons if lesson.head == "topics")
    tags = torch.tensor(lesson.targets).float()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
        teach = topic_teacher(embed_all(bare, labelled.token_ids), tags)
        said = teach(embed_all(bare, others)).sigmoid()
        embeddings = embed_all(model, (*others, *labelled.token_ids))
    weight, bias = fit_linear(embeddings, torch.cat([said, tags]), STRENGTH["topics"])
    layer = model.head("topics").linear
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _level_targets(views: Mapping[str, Views], data_root: Path, fold: int) -> tuple[Tensor, Tensor]:
    """Gate logits of the participation posts, cross-fitted, and of the unlabelled ones."""
    posts, _ = participation.split(data_root, fold)
    levels = torch.tensor(posts.labels)
    weights = torch.tensor([participation.SOURCE_WEIGHTS[source] for source in posts.sources])
    own = views["participation"]
    teach = level_teacher(own, levels, weights)
    return (
        cross_fitted(own, levels, weights, participation.training_folds(data_root, fold)),
        teach(views[UNLABELLED]),
    )


def ask_teachers(
    tasks: Sequence[TokenisedTask],
    data_root: Path,
    settings: TrainingSettings,
    backbone: Backbone,
    teachers: Mapping[str, Path],
) -> dict[str, Tensor]:
    """Logits (N, L) under `<task>/<head>`, for every task that a head's teacher is asked about.

    On unlabelled posts the levels are the mean of the cheap teacher and the joint stage; on the
    participation posts themselves the joint stage has nothing to add, since it learned their labels
    by heart.
    """
    found: dict[str, Tensor] = {}
    alone = load_teacher(teachers[ALONE], backbone, settings)
    tone = _embed(alone, tasks, settings.bf16)
    found |= {f"{name}/sentiment": ask(alone, tone[name], "sentiment") for name in tone}
    joint = load_teacher(teachers[JOINT], backbone, settings)
    inside = _embed(joint, tasks, settings.bf16)
    for head in (name for name in TEACHES if name not in _OWN_TEACHERS):
        found |= {f"{name}/{head}": ask(joint, inside[name], head) for name in inside}
    bare = PostEncoder(load_backbone(backbone.folder), tone[ALONE].shape[1], ())
    matter = _embed(bare, tasks, settings.bf16)
    tags = torch.tensor(topics.train(data_root).labels)
    teach = topic_teacher(matter["topics"], tags)
    found |= {f"{name}/topics": teach(matter[name]) for name in matter}
    views = {name: Views(tone[name], matter[name]) for name in ("participation", UNLABELLED)}
    own, others = _level_targets(views, data_root, settings.fold)
    found["participation/participation"] = own
    found[f"{UNLABELLED}/participation"] = (
        others + ask(joint, inside[UNLABELLED], "participation")
    ) / 2
    wanted = {f"{task}/{head}" for head, names in TEACHES.items() for task in names}
    return {name: logits.contiguous() for name, logits in found.items() if name in wanted}


def posts_to_learn(
    tasks: Sequence[TokenisedTask], data_root: Path, settings: TrainingSettings, tokenizer: Path
) -> list[TokenisedTask]:
    """The posts to learn from: some of sentiment, all of the other tasks, and unlabelled ones."""
    chosen = []
    for task in tasks:
        many = len(task.token_ids)
        if task.name == ALONE and 0 < settings.sentiment_posts < many:
            drawn = np.random.default_rng((settings.seed, 2)).permutation(many)
            task = task.select(sorted(drawn[: settings.sentiment_posts].tolist()))
        chosen.append(task)
    texts = datasets.reddit_unlabelled(data_root, settings.unlabelled_posts, settings.seed)
    ids = tokenise(texts, tokenizer, settings.max_tokens)
    return [*chosen, TokenisedTask(UNLABELLED, ids, ())]


def taught(
    tasks: Sequence[TokenisedTask],
    data_root: Path,
    settings: TrainingSettings,
    backbone: Backbone,
    teachers: Mapping[str, Path],
    folder: Path,
) -> list[TokenisedTask]:
    """The tasks with what teachers say of their posts, and the unlabelled posts as one more.

    Args:
        tasks: With the labels that the heads learn from.
        data_root: Folder of the data sets.
        settings: Of the stage; how many posts are drawn, by which seed.
        backbone: The bare encoder.
        teachers: Stage -> its weights; `sentiment` and `joint` are needed.
        folder: Of the run; the answers are kept in it, so that a continued run has the same.
    """
    posts = posts_to_learn(tasks, data_root, settings, backbone.tokenizer)
    answers = made_once(
        folder / TARGETS_FILE,
        lambda: ask_teachers(posts, data_root, settings, backbone, teachers),
    )
    return [
        replace(
            task,
            soft=tuple(
                SoftLesson(head, answers[f"{task.name}/{head}"], training_of(head).teacher_weight)
                for head, names in TEACHES.items()
                if task.name in names
            ),
        )
        for task in posts
    ]
