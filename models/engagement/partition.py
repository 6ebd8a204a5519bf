"""The forecasts of one partition: what is known, what is expected, and what came of it.

Synchronous, deterministic, without a clock or a store of its own: the same items give the same
state to the last byte, whatever the batches. The stream and the evaluation run this one code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from core.forecast_settings import ForecastSettings
from core.ports import EngagementAnswer
from models.engagement.items import (
    CountsSeen,
    Item,
    Planned,
    PostGone,
    PostSeen,
    SourceQuality,
    Sums,
    Told,
)

__all__ = [
    "CountsSeen", "ForecastPartition", "Item", "Planned", "PostGone", "PostSeen", "SourceQuality",
    "Sums", "Told",
]  # fmt: skip

Records = Mapping[str, Mapping[bytes, bytes]]
"""Kind of record -> field -> record, as they are kept."""
Changes = dict[str, dict[bytes, bytes | None]]
"""Kind of record -> field -> record to set, or None to delete."""


class ForecastPartition:
    """The state of one partition's forecasts, and all that happens to it.

    A batch is `take`, a question to the model, `finish`, then `changes` for the store; one at a
    time. After an error in between (no answer, a store that refuses) the same `Planned` may be
    finished later, or the partition thrown away and loaded anew.

    Args:
        settings: The settings of the forecaster.

    Attributes:
        counts: What was dropped, refused, guessed or shed, by name; whoever exports it may clear
            it. Names are in `COUNTED`.
        divisor: One author in so many times `settings.track_one_in` is tracked; the forecaster
            raises it when it sheds.
    """

    def __init__(self, settings: ForecastSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.divisor = 1

    @property
    def clock_s(self) -> float:
        """The latest event time seen, in seconds since 1970; 0 before the first."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """How many posts wait for their outcome."""
        raise NotImplementedError

    @property
    def authors(self) -> int:
        """How many authors are remembered."""
        raise NotImplementedError

    def load(self, records: Records) -> list[str]:
        """Take over what was kept; to be called once, before anything else.

        A record that cannot be used is left out, the rest lives.

        Returns:
            What was refused, a sentence each: kind, field, what was found and expected.
        """
        raise NotImplementedError

    def take(self, items: Sequence[Item]) -> Planned:
        """Take items in their order; nothing is published before `finish`.

        Posts that are not tracked, and counts of posts that are not pending, are taken and counted.
        """
        raise NotImplementedError

    def finish(self, planned: Planned, answer: EngagementAnswer | None) -> Told:
        """Make the forecasts of what was taken last.

        Args:
            planned: What `take` returned.
            answer: The model's answer for its posts; may be None where there is none.

        Raises:
            InvalidAnswer: The answer cannot be one for these posts; nothing has changed, so that
                another may be tried.
        """
        raise NotImplementedError

    def tick(self, now_s: float) -> Told:
        """Move the clock and settle what is due, without a post."""
        raise NotImplementedError

    def changes(self) -> Changes:
        """Return what has changed since the last call, for the store."""
        raise NotImplementedError

    def quality(self) -> list[SourceQuality]:
        """Return what the forecasts were worth, of each source and each query."""
        raise NotImplementedError
