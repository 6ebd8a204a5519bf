"""What every evaluation of a head is given."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measure, bootstrap
from evaluation.encoder.floors import KEPT
from evaluation.encoder.scoring import Score
from evaluation.encoder.tables import Row


@dataclass(frozen=True, slots=True)
class Context:
    """Data, scorer and settings of a run.

    Attributes:
        data: The folder of the data sets.
        score: Scores texts.
        resamples: The number of bootstrap resamples.
        has_floors: Whether to fit floors as well.
        floors: Where fitted floors are kept; None keeps none.
        participation_cut: The probability from which a post is taken to participate; chosen on
            held-out posts and shipped with the model.
        topic_cut: The same for a topic to apply.
        seed: The seed of everything random.
    """

    data: Path
    score: Score
    resamples: int = RESAMPLES
    has_floors: bool = True
    floors: Path | None = KEPT
    participation_cut: float = 0.5
    topic_cut: float = 0.5
    seed: int = SEED

    def row(self, key: str, title: str, measure: Measure, posts: int) -> Row:
        """Return a row of a table: all measures with their intervals."""
        return Row(key, title, bootstrap(measure, posts, self.resamples, self.seed))


class HeadMissing(Exception):
    """The model that answers does not have the head; the evaluation goes on with others."""
