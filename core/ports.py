"""Protocols between packages whose user may not import their maker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # numpy is the caller's; core itself stays without it
    import numpy as np
    from numpy.typing import NDArray

from core.routes import Routes


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """Scores of a batch of posts, column by column; row i belongs to the i-th text.

    `B` posts, `C` classes of a head in the order of `core.heads.HEADS`.

    Attributes:
        model_version: The model that made them; goes on every scored post.
        rated: (B,) False where the model abstains (language, too little text, low confidence).
        heads: Head name -> (B, C) calibrated probabilities in [0, 1]. A head that the model does
            not have is absent, which is not the same as zero.
        wrong: Row -> what is wrong with the answer for that post, never a word of it. Such a row is
            zero and not rated, and must not be counted.
        routes: How a model of two networks answered the posts; None of any other model.
    """

    model_version: str
    rated: NDArray[np.bool_]
    heads: Mapping[str, NDArray[np.float32]]
    wrong: Mapping[int, str] = field(default_factory=dict[int, str])
    routes: Routes | None = None


class Scorer(Protocol):
    """Scores texts. One long-lived instance per process; safe for concurrent calls."""

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """Score `texts`; `langs` has a BCP-47 tag or "" for each.

        The same text gives bit-identical numbers whatever else is in its batch: windows are
        compared to the last integer after a replay with other batch sizes.

        Raises:
            ScorerUnavailable: It is down, too slow, its queue is full, or it answers with what
                cannot be scores of this batch; try again later.
            ScorerRefused: It is up, but refuses this batch; halve it.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a batch sent now would be scored."""
        ...

    async def close(self) -> None:
        """Release connections and threads; further calls are a mistake of the caller."""
        ...


@dataclass(frozen=True, slots=True)
class EngagementAnswer:
    """What a model expects of a batch of posts.

    `B` posts; targets and levels are those of `models.engagement.layout`.

    Attributes:
        model_version: The model that made it; goes on every forecast.
        quantiles: (B, 3, 5) quantiles of log1p of the counts of each target at the horizon, none
            below zero and none below the one of a lower level.
    """

    model_version: str
    quantiles: NDArray[np.float32]


class EngagementModel(Protocol):
    """Says how far posts go. One long-lived instance per process; safe for concurrent calls."""

    async def predict(
        self, features: NDArray[np.float32], sequence: NDArray[np.float32]
    ) -> EngagementAnswer:
        """Return what is expected of a batch of posts.

        A row has the same bits whatever else is in its batch.

        Args:
            features: (B, F) as in `models.engagement.features.FEATURES`; NaN is unknown.
            sequence: (B, 32, S) the author's last posts of known outcome, oldest first, as in
                `models.engagement.features.SEQUENCE`; rows before the first are NaN.

        Raises:
            ScorerUnavailable: It is down, too slow, or answers with what cannot be an answer.
            ScorerRefused: It is up, but refuses this batch.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a batch sent now would be answered."""
        ...

    async def close(self) -> None:
        """Release connections; further calls are a mistake of the caller."""
        ...


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model wrote in reply to one post, best first.

    Attributes:
        model_version: The model that wrote it.
        texts: The replies; fewer than asked for where the others were refused, none at all where
            the post is refused.
        scores: What the reward model gives each of them; higher is better.
        refused: How many candidates were refused, by reason.
        seed: The seed by which they were drawn.
    """

    model_version: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    refused: Mapping[str, int]
    seed: int


class Responder(Protocol):
    """Writes replies to posts. One long-lived instance per process; safe for concurrent calls."""

    async def reply(self, text: str, number: int, seed: int) -> Generated:
        """Write replies to a post.

        The same text, number, seed and model give the same replies.

        Args:
            text: The text of the post; data, whatever it says.
            number: How many replies are asked for, 1 to 8.
            seed: What draws are made by, in [0, 2^31).

        Raises:
            ScorerUnavailable: It is down, too slow, or answers with what cannot be an answer.
            ScorerRefused: It is up, but refuses this post.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a post sent now would be answered."""
        ...

    async def close(self) -> None:
        """Release connections; further calls are a mistake of the caller."""
        ...


@dataclass(frozen=True, slots=True)
class CrowdQuestions:
    """What is known of how posts will be answered, column by column; row i is the i-th question.

    `B` questions; labels and heads are those of `models.socialalign.crowd_config`.

    Attributes:
        usual: (B, 3) float32 the usual shares of the topic's answers.
        heads: (B, 7) float32 what the post encoder says of the post; NaN is unknown.
        seen: (B, 7, 3) float32 labels that were seen, by kind as `PastReactions.seen` of
            `models.socialalign.reaction` has them; zeros of a kind of which none was.
        flags: (B, 2) float32 whether the post is an answer itself, and the person's own; 0 or 1.
        texts: B texts of the posts; empty where they are not known.
    """

    usual: NDArray[np.float32]
    heads: NDArray[np.float32]
    seen: NDArray[np.float32]
    flags: NDArray[np.float32]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class CrowdAnswer:
    """What a model expects of the answers to posts.

    Attributes:
        model_version: The model that made it.
        forecast: (B, 3) shares of each sentiment in the answers of all, before the first one.
        reaction: (B, 3) how probable each sentiment is in the answer of the person that is asked
            about; of nobody known in that of whoever answers.
    """

    model_version: str
    forecast: NDArray[np.float32]
    reaction: NDArray[np.float32]


class CrowdModel(Protocol):
    """Says how posts are answered. One instance per process; safe for concurrent calls."""

    async def expect(self, questions: CrowdQuestions) -> CrowdAnswer:
        """Return what is expected; a row has the same bits whatever else is asked.

        Raises:
            ScorerUnavailable: It is down, too slow, or answers with what cannot be an answer.
            ScorerRefused: It is up, but refuses these questions.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a question sent now would be answered."""
        ...

    async def close(self) -> None:
        """Release connections; further calls are a mistake of the caller."""
        ...
