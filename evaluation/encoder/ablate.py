"""What was tried for sentiment: one change at a time, each on the same small budget.

    python -m evaluation.encoder.ablate --data ../shared/data --json tried.json
    python -m evaluation.encoder.ablate --data ../shared/data control rank-8     # these only

Every arm trains sentiment alone for the same number of steps on a part of the training posts (the
same part for the same seed) and is judged on the same held-out posts: the validation split, and
training posts that no seed draws. No test is read. An arm that has left its record is not trained
again. Needs torch.

Shapes: `N` held-out posts, `C` classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from core.report import write_report
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured, Rows, bootstrap
from evaluation.encoder.masked import pretrain
from evaluation.options import DataFolder, JsonFile
from models.backbone import MINILM_ID, MINILM_SHA256, Backbone, find_backbone
from models.encoder.batches import TokenisedTask, plan_passes, tokenise
from models.encoder.distil import load_teacher
from models.encoder.heads import sentiment
from models.encoder.heads.base import plain_posts
from models.encoder.model import PostEncoder
from models.encoder.run import CHOSEN, RECORD_FILE, TrainingRun, predict, record_of
from models.encoder.schedule import TrainingSettings
from models.encoder.soft import SoftLesson
from models.encoder.train import fit
from models.metrics import accuracy, macro_recall

HEAD: Final = "sentiment"
CONTROL: Final = "control"
SEEDS: Final = {CONTROL: 20171, "seed-2": 20172, "seed-3": 20173}
"""Arm -> seed of its weights, its posts and their order."""
UNSEEN_POSTS: Final = 4_000
FULL_RATE: Final = 2e-4
"""Learning rate of full fine-tuning: adapters bear five times as much."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One change to the training of sentiment alone."""

    what: str
    rank: int = 16
    learning_rate: float = 1e-3
    smoothing: float | None = None
    seed: int = SEEDS[CONTROL]
    is_pretrained: bool = False
    """Begins from masked-LM on posts without labels, of as many steps again."""
    teachers: tuple[str, ...] = ()
    """Arms whose mean answer it learns besides the labels."""

    def settings(self, passes: float, bf16: bool) -> TrainingSettings:
        """Of a run that goes `passes` times over the posts."""
        return TrainingSettings(
            epochs=1,
            passes={HEAD: passes},
            bf16=bf16,
            seed=self.seed,
            learning_rate=self.learning_rate,
            lora_rank=self.rank,
            # Scaling alpha / rank stays 1, so the learning rate means the same for any rank.
            lora_alpha=float(max(1, self.rank)),
            label_smoothing=self.smoothing,
        )


ARMS: Final = {
    CONTROL: Arm("LoRA of rank 16, as shipped"),
    "seed-2": Arm("the same, another seed", seed=SEEDS["seed-2"]),
    "seed-3": Arm("the same, a third seed", seed=SEEDS["seed-3"]),
    "rank-8": Arm("LoRA of rank 8", rank=8),
    "rank-32": Arm("LoRA of rank 32", rank=32),
    "full": Arm("full fine-tuning", rank=0, learning_rate=FULL_RATE),
    "smoothing": Arm("label smoothing 0.1", smoothing=0.1),
    "masked": Arm("masked-LM on unlabelled posts first", is_pretrained=True),
    "student": Arm("taught by the ensemble besides labels", teachers=tuple(SEEDS)),
}
JOINED: Final = {
    "ensemble": "mean probability of the three seeds",
    "soup": "mean weights of the three seeds",
}
"""Arms that are made of the three seeds without training."""


def folder_of(arm: str, out: Path) -> Path:
    """Return where an arm's weights are."""
    return out / arm / CHOSEN


def load_arm(arm: str, out: Path, backbone: Backbone) -> PostEncoder:
    """Return a trained arm, adapters merged."""
    settings = ARMS[arm].settings(1.0, False)
    return load_teacher(folder_of(arm, out), backbone, settings)


def _logits(model: PostEncoder, token_ids: tuple[tuple[int, ...], ...], bf16: bool) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        return predict(model, HEAD, token_ids)


def _answers(run: TrainingRun, teachers: Sequence[str], out: Path) -> Tensor:
    """Return the teachers' mean logits (posts, C) for the posts that are seen, 0 elsewhere."""
    task = run.tasks[0]
    seen = sorted({row for _, rows in run.steps for row in rows})
    asked = tuple(task.token_ids[row] for row in seen)
    found = torch.zeros(len(task.token_ids), run.model.head(HEAD).logit_count())
    for teacher in teachers:
        found[seen] += _logits(load_arm(teacher, out, run.backbone), asked, run.settings.bf16)
    return found / len(teachers)


def train_arm(
    name: str, data_root: Path, out: Path, backbone: Backbone, passes: float, bf16: bool
) -> None:
    """Train an arm of `ARMS` and those that teach it; does nothing when it is there already."""
    if (folder_of(name, out) / RECORD_FILE).is_file():
        return
    arm = ARMS[name]
    settings = arm.settings(passes, bf16)
    for teacher in arm.teachers:
        train_arm(teacher, data_root, out, backbone, passes, bf16)
    start = None
    if arm.is_pretrained:
        steps = len(_batches(_training_posts(data_root, backbone), settings))
        start = pretrain(data_root, out / "masked-words", settings, backbone, steps)
    run = TrainingRun(data_root, out / name, settings, backbone, start)
    if arm.teachers:
        answers = _answers(run, arm.teachers, out)
        run.tasks = [replace(run.tasks[0], soft=(SoftLesson(HEAD, answers),))]
    fit(run)


def _training_posts(data_root: Path, backbone: Backbone) -> TokenisedTask:
    posts = plain_posts(HEAD, sentiment.train(data_root))
    ids = tokenise(posts.texts, backbone.tokenizer, TrainingSettings().max_tokens)
    return TokenisedTask(HEAD, ids, posts.lessons)


def _batches(training: TokenisedTask, settings: TrainingSettings) -> list[list[int]]:
    """Return the rows of every step of an arm, as `schedule.plan` chooses them for one task."""
    lengths = [len(ids) for ids in training.token_ids]
    return plan_passes(lengths, settings.batch_posts, settings.seed, 0, settings.passes[HEAD])


def held_out(data_root: Path, backbone: Backbone, passes: float) -> TokenisedTask:
    """Return the validation posts and `UNSEEN_POSTS` training posts that no seed draws."""
    posts = plain_posts(HEAD, sentiment.validation(data_root))
    ids = tokenise(posts.texts, backbone.tokenizer, TrainingSettings().max_tokens)
    own = TokenisedTask(HEAD, ids, posts.lessons)
    training = _training_posts(data_root, backbone)
    seen = {
        row
        for arm in SEEDS
        for rows in _batches(training, ARMS[arm].settings(passes, False))
        for row in rows
    }
    unseen = [row for row in range(len(training.token_ids)) if row not in seen]
    drawn = np.random.default_rng(SEED).permutation(unseen)[:UNSEEN_POSTS]
    more = training.select(drawn.tolist())
    lesson = replace(
        own.lessons[0],
        targets=own.lessons[0].targets + more.lessons[0].targets,
        weights=own.lessons[0].weights + more.lessons[0].weights,
    )
    return TokenisedTask(HEAD, own.token_ids + more.token_ids, (lesson,))


@torch.no_grad()
def soup(models: Sequence[PostEncoder]) -> PostEncoder:
    """Return the first model with the mean of all their weights; adapters are merged before."""
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}
    models[0].load_state_dict(mean)
    return models[0]


def answers_of(
    name: str, held: TokenisedTask, out: Path, backbone: Backbone, bf16: bool
) -> NDArray[np.float32]:
    """Return the probabilities (N, C) of an arm for the held-out posts, kept beside its weights."""
    kept = out / name / "held-out.npy"
    if kept.is_file():
        return np.load(kept)
    if name == "ensemble":
        found = np.mean([answers_of(one, held, out, backbone, bf16) for one in SEEDS], axis=0)
    else:
        arms = list(SEEDS) if name == "soup" else [name]
        model = soup([load_arm(arm, out, backbone) for arm in arms])
        found = _logits(model, held.token_ids, bf16).softmax(1).numpy()
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(kept, found)
    return found


def judge(
    answers: Mapping[str, NDArray[np.float32]], truth: NDArray[np.int64]
) -> dict[str, dict[str, Measured]]:
    """Return arm -> its figures with intervals; beside the control on the same resampled posts."""
    predicted = {name: found.argmax(1) for name, found in answers.items()}

    def measures(name: str, rows: Rows) -> dict[str, float]:
        own = macro_recall(predicted[name][rows], truth[rows])
        beside = macro_recall(predicted[CONTROL][rows], truth[rows])
        return {
            "macro_recall": own,
            "over_control": own - beside,
            "accuracy": accuracy(predicted[name][rows], truth[rows]),
            "log_loss": float(-np.log(answers[name][rows, truth[rows]]).mean()),
        }

    return {
        name: bootstrap(lambda rows, arm=name: measures(arm, rows), len(truth)) for name in answers
    }


def main(
    data: DataFolder,
    arms: Annotated[list[str] | None, typer.Argument(help="Arms; none names all.")] = None,
    out: Annotated[Path, typer.Option(help="Weights of the arms.")] = Path(".groundswell/ablation"),
    json_file: JsonFile = None,
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    passes: Annotated[float, typer.Option(help="How often the posts are gone over.")] = 0.25,
    bf16: Annotated[bool, typer.Option(help="Autocast to bfloat16.")] = True,
) -> None:
    """Train the arms that are not there yet, judge them, and print and write the figures."""
    chosen = list(dict.fromkeys([CONTROL, *(arms or (*ARMS, *JOINED))]))
    unknown = sorted(set(chosen) - {*ARMS, *JOINED})
    if unknown:
        raise typer.BadParameter(f"no arm {unknown[0]!r}; expected {', '.join((*ARMS, *JOINED))}")
    found = find_backbone(MINILM_ID, MINILM_SHA256, backbone)
    for name in chosen:
        for one in SEEDS if name in JOINED else (name,):
            train_arm(one, data, out, found, passes, bf16)
    held = held_out(data, found, passes)
    truth = np.asarray(held.lessons[0].targets, np.int64)
    judged = judge({name: answers_of(name, held, out, found, bf16) for name in chosen}, truth)
    figures: dict[str, float] = {"held_out_posts": len(truth)}
    for name, measured in judged.items():
        what = ARMS[name].what if name in ARMS else JOINED[name]
        each = ", ".join(f"{measure} {value}" for measure, value in measured.items())
        typer.echo(f"{name:<10} {each}  {what}")
        for measure, value in measured.items():
            figures |= value.figures(f"{name}_{measure}")
        if name in ARMS:
            figures[f"{name}_seconds"] = record_of(folder_of(name, out))["seconds"]
    if json_file is not None:
        settings = {"arms": chosen, "passes": passes, "bf16": bf16, "resamples": RESAMPLES}
        write_report(
            json_file, "evaluation.encoder.ablate", figures,
            settings=settings, packages=("torch", "transformers"), seed=SEED,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
