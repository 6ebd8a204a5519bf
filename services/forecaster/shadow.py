"""A second engagement model beside the first: compared on live posts, served nowhere."""

from __future__ import annotations

import asyncio
from typing import Final

from core.errors import GroundswellError, InvalidAnswer
from core.logs import get_logger
from core.metrics import Metrics
from core.ports import EngagementAnswer, EngagementModel
from models.engagement.items import Planned
from models.engagement.layout import TARGETS
from models.scorers.engagement_edge import distance_of

_log = get_logger(__name__)

_MICRO: Final = 1_000_000


class EngagementShadow:
    """Asks a second model what the first was asked, one batch at a time; it holds nobody up.

    Args:
        model: The second model; closed with the comparison.
        metrics: The metrics of this process.
    """

    def __init__(self, model: EngagementModel, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics
        self._comparison: asyncio.Task[None] | None = None
        self._versions: tuple[str, str] | None = None

    def begin(self, planned: Planned, first: EngagementAnswer) -> None:
        """Compare a batch in the background; while another is compared it is counted as skipped."""
        if not len(planned.features):
            return
        if self._comparison is not None and not self._comparison.done():
            self._skip("busy", len(planned.features))
            return
        self._comparison = asyncio.create_task(self._compare(planned, first))

    async def settle(self) -> None:
        """Wait until the comparison that was begun last has ended."""
        if self._comparison is not None:
            await self._comparison

    async def close(self) -> None:
        """End the comparison that is under way, if any, and close the second model."""
        if self._comparison is not None:
            self._comparison.cancel()
            await asyncio.gather(self._comparison, return_exceptions=True)
        await self._model.close()

    async def _compare(self, planned: Planned, first: EngagementAnswer) -> None:
        posts = len(planned.features)
        try:
            second = await self._model.predict(planned.features, planned.sequence)
            apart = distance_of(first, second)
        except Exception as error:  # of a second model nothing may reach the first
            self._skip("invalid" if isinstance(error, InvalidAnswer) else "failed", posts)
            if not isinstance(error, GroundswellError):
                _log.warning("the engagement shadow failed", error=type(error).__name__)
            return
        self._note((first.model_version, second.model_version))
        self._metrics.engagement_shadow_posts.inc(apart.posts)
        for target, total in zip(TARGETS, apart.medians.tolist(), strict=True):
            label = self._metrics.engagement_shadow_distance_micros.labels(target=target)
            label.inc(round(total * _MICRO))

    def _note(self, versions: tuple[str, str]) -> None:
        if versions != self._versions:
            info = self._metrics.engagement_shadow_info
            info.clear()
            info.labels(model_version=versions[0], shadow_version=versions[1]).set(1)
            self._versions = versions

    def _skip(self, cause: str, posts: int) -> None:
        self._metrics.engagement_shadow_skipped_posts.labels(cause=cause).inc(posts)
