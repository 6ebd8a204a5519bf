"""What a head's file says of its training: posts, loss, selection, calibration, official test.

Shapes: `N` posts, `C` classes, `L` logits of a head.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.encoder.data import LabelledTexts, TaggedTexts

UNLABELLED: Final = "unlabelled"
"""Posts without labels from where participation was collected; teachers are asked about them."""
Target = int | tuple[float, ...]
"""A class, or an answer for each of several questions."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one head learns from posts: a target and a weight per post."""

    head: str
    targets: tuple[Target, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TaskPosts:
    """Raw texts and what is learned from them; the first lesson is that of the posts' own head."""

    texts: tuple[str, ...]
    lessons: tuple[Lesson, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class CalibrationSample:
    """Posts, what is true of them, and how they differ from the place of use.

    Attributes:
        texts: The posts.
        truth: (N,) class or level; (N, C) 0 and 1 where classes are independent.
        said: For people, what this is.
        prior: The shares of the classes (or of no and yes) where the model is used; empty where the
            sample itself has them.
        shift: (L,) log odds to start from: how training weighed the answers, undone.
        is_deployed: Whether the posts are from the place of use itself, so that class shares are
            to be learned from them.
    """

    texts: tuple[str, ...]
    truth: NDArray[np.int64]
    said: str
    prior: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    is_deployed: bool = False


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure that its authors published on the same test; not measured here."""

    title: str
    measure: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class OfficialTest:
    """The posts that a head is measured on, for the final figures only.

    Attributes:
        title: For people, whose test it is.
        posts: Reads it from the folder of the data sets.
        learned: Reads the training posts, which the floors beside the model learn from.
        unread: The class that a post without letters is counted as; "" for none.
        evaluation: The function that measures the head on it, as "module:attribute".
    """

    title: str
    posts: Callable[[Path], Any]
    learned: Callable[[Path], Any]
    unread: str = ""
    evaluation: str = "evaluation.encoder.single_label:evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTraining:
    """How a head is trained, chosen, calibrated and measured.

    Attributes:
        figure: Logits (N, L) and truth to what an epoch is chosen by, in [0, 1], more is better.
        train: The posts that teach the head, from the folder of the data sets and the fold that is
            held out, which only a head without an official validation split needs; None where the
            posts of another head teach it.
        validation: The posts by which epochs are chosen, likewise; never trained on.
        taught_by: The head whose posts teach this one as well, where it has none of its own.
        sample: Reads the posts that the shipped calibration is fitted to.
        label_smoothing: How far targets are moved from certainty.
        most_weight: The most that one answer may count more than the other in training, so that
            rare ones are heard and the rarest are not all noise; 1 leaves all equal.
        passes: Stage -> how often an epoch of it goes over the posts; 1 for one that is not named.
        teacher_weight: How much the head's teacher counts beside labels, in distillation.
        teacher_asked: The heads about whose posts that teacher is asked, or `UNLABELLED`.
        test: The official test; None where there is none, so that nothing is measured.
        published: What others have reached on it.
    """

    figure: Callable[[NDArray[np.floating[Any]], NDArray[np.integer[Any]]], float]
    train: Callable[[Path, int], TaskPosts] | None = None
    validation: Callable[[Path, int], TaskPosts] | None = None
    taught_by: str = ""
    sample: Callable[[Path], CalibrationSample] | None = None
    label_smoothing: float = 0.0
    most_weight: float = 1.0
    passes: Mapping[str, float] = field(default_factory=dict[str, float])
    teacher_weight: float = 0.5
    teacher_asked: tuple[str, ...] = ()
    test: OfficialTest | None = None
    published: tuple[PublishedFigure, ...] = ()


def plain_posts(head: str, posts: LabelledTexts | TaggedTexts) -> TaskPosts:
    """Posts that teach one head, each counting as much as any other."""
    return TaskPosts(posts.texts, (Lesson(head, posts.labels, (1.0,) * len(posts)),))


def plain_sample(posts: LabelledTexts | TaggedTexts, said: str) -> CalibrationSample:
    """Posts that look like those of the place of use; `{}` in `said` becomes their number."""
    return CalibrationSample(
        posts.texts, np.asarray(posts.labels), said.format(f"{len(posts):,} posts")
    )
