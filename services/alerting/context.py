"""When panes say nothing about the public: ingest is in trouble, a source fell silent, a new model.

Taken from what the closer can know: heartbeats counted, the sources in the windows of `all`, and
the model version that workers report with their progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from core.clock import epoch_ms
from core.schemas import Window
from core.settings import Settings
from stream.shifts.signals import JudgeContext
from stream.windows.layout import OTHER_STRATUM

ALL: Final = "all"

INGEST_UNHEALTHY: Final = "ingest_unhealthy"
WINDOWS_WITHHELD: Final = "windows_withheld"
SOURCE_MISSING: Final = "source_missing"
MODEL_CHANGED: Final = "model_changed"

MAX_SOURCES: Final = 32
MISSED_POSTS: Final = 25.0
"""Posts that a silent source should have brought before it counts as missing: by chance so many
stay out once in e^25."""
HALF_LIFE_PANES: Final = 30
GONE_AFTER_S: Final = 86_400
"""A source silent for so long is gone, and the rest is the public from now on."""
_KEPT: Final = 0.5 ** (1 / HALF_LIFE_PANES)


class SourceRate(msgspec.Struct, array_like=True):
    """What is known of a source.

    Attributes:
        posts: posts a pane, exponentially weighted.
        missed: posts expected since its last.
        silent_since_s: start of the first pane without a post of it; -1 while it speaks.
    """

    posts: float = 0.0
    missed: float = 0.0
    silent_since_s: int = -1


class Remembered(msgspec.Struct):
    """What survives the closer; bounded.

    Attributes:
        sources: source -> what is known of it.
        model_version: that of the last pane; "" if unknown.
        model_since_s: start of the first pane that it scored; -1 if it is the first one known.
    """

    sources: dict[str, SourceRate] = msgspec.field(default_factory=dict[str, SourceRate])
    model_version: str = ""
    model_since_s: int = -1


@dataclass(slots=True)
class PaneConditions:
    """What is going on beside the windows; one pane after the other.

    Attributes:
        settings: of the closer.
        remembered: saved with the judge's state.
        healthy: posts reach the windows, as far as heartbeats show.
        reported: partition -> model version of its last batch.
        moved: partition -> cursor, and when it was seen to move (monotonic seconds).
    """

    settings: Settings
    remembered: Remembered = field(default_factory=Remembered)
    healthy: bool = True
    reported: dict[int, str] = field(default_factory=dict[int, str])
    moved: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])

    def note(self, partition: int, cursor: int, model_version: str, now_s: float) -> None:
        """Take note of how far a partition has come, and of what scored its last batch.

        Args:
            partition: its number.
            cursor: last applied offset of `posts`.
            model_version: "" if unknown.
            now_s: monotonic seconds.
        """
        if model_version:
            self.reported[partition] = model_version
        known = self.moved.get(partition)
        if known is None:
            # Where it is says nothing of whether it moves.
            self.moved[partition] = (cursor, float("-inf"))
        elif cursor > known[0]:
            self.moved[partition] = (cursor, now_s)

    def note_heartbeats(self, ages_s: Mapping[int, float], now_s: float) -> None:
        """Decide from the ages of the last heartbeats whether posts reach the windows.

        An old heartbeat alone may be one behind many posts: those move the cursor.

        Args:
            ages_s: partition -> seconds; none for a partition that never had one.
            now_s: monotonic seconds.
        """
        limit_s = self.settings.alerts.heartbeat_limit_s
        self.healthy = not any(
            age_s > limit_s and now_s - self.moved.get(partition, (-1, float("-inf")))[1] > limit_s
            for partition, age_s in ages_s.items()
        )

    def pane(
        self, start_s: int, window: Window | None, queries: int, *, is_whole: bool = True
    ) -> JudgeContext:
        """Return what the judge is told of the pane, after taking note of its sources.

        Args:
            start_s: its start.
            window: the window of `all` in it; None if nobody posted.
            queries: how many are watched.
            is_whole: Whether no window of it is withheld.
        """
        if is_whole or window is not None:
            self._note_sources(start_s, posts_by_source(window))
        self._note_version(start_s)
        return JudgeContext(
            queries=queries,
            healthy=self.healthy and is_whole,
            missing_sources=self.missing_sources,
            model_version=self.remembered.model_version,
        )

    @property
    def missing_sources(self) -> frozenset[str]:
        """Return the sources that should have spoken and did not."""
        sources = self.remembered.sources
        return frozenset(name for name, rate in sources.items() if rate.missed >= MISSED_POSTS)

    def causes(self, start_s: int, *, is_whole: bool = True) -> dict[str, bool]:
        """Return cause -> whether it keeps shifts from being told in the pane."""
        since_s = self.remembered.model_since_s
        return {
            INGEST_UNHEALTHY: not self.healthy,
            WINDOWS_WITHHELD: not is_whole,
            SOURCE_MISSING: bool(self.missing_sources),
            MODEL_CHANGED: since_s >= 0
            and start_s - since_s < self.settings.shifts.model_silence_s,
        }

    def _note_sources(self, start_s: int, found: dict[str, int]) -> None:
        sources = self.remembered.sources
        for name, posts in found.items():
            if name in sources or len(sources) < MAX_SOURCES:
                rate = sources.setdefault(name, SourceRate(posts=float(posts)))
                rate.posts = _KEPT * rate.posts + (1 - _KEPT) * posts
                rate.missed, rate.silent_since_s = 0.0, -1
        for name in [name for name in sources if name not in found]:
            rate = sources[name]
            if rate.silent_since_s < 0:
                rate.silent_since_s = start_s
            rate.missed += rate.posts
            if rate.missed < MISSED_POSTS:
                rate.posts *= (
                    _KEPT  # a quiet source may become quieter; a missing one is not learnt
                )
            if start_s - rate.silent_since_s >= GONE_AFTER_S or rate.posts < 0.01:
                del sources[name]

    def _note_version(self, start_s: int) -> None:
        remembered = self.remembered
        versions = set(self.reported.values())
        # While a promotion is under way both score; the new one counts once it is the only one.
        version = versions.pop() if len(versions) == 1 else ""
        if version and version != remembered.model_version:
            if remembered.model_version:
                remembered.model_since_s = start_s
            remembered.model_version = version


def posts_by_source(window: Window | None) -> dict[str, int]:
    """Return source -> posts of a window of `all`; strata beyond the cap are nobody's.

    Example:
        >>> posts_by_source(None)
        {}
    """
    found: dict[str, int] = {}
    for name, counts in window.strata.items() if window else ():
        source = name.split("|", 1)[0]
        if source != OTHER_STRATUM and counts.posts > 0:
            found[source] = found.get(source, 0) + counts.posts
    return found


def start_of(window: Window) -> int:
    """Return the start of a window in seconds since 1970."""
    return epoch_ms(window.start) // 1000
