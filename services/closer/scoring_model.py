"""Which model's scores the panes are made of, kept in the store for whoever corrects shares."""

from __future__ import annotations

from core.logs import get_logger
from core.schemas import Progress
from core.settings import WindowSettings
from stream.store.closer_state import CloserState
from stream.store.increments import PartitionState
from stream.windows.records import ScoringModel

_log = get_logger(__name__)


class ModelWatch:
    """Says from which pane on one model alone has scored.

    Where two models may have had a part it says so: of such panes no share is corrected.

    Args:
        windows: The settings of event time.
        store: Keeps what is said.
    """

    def __init__(self, windows: WindowSettings, store: CloserState) -> None:
        self._settings = windows
        self._store = store
        self._reported: dict[int, str] = {}
        self._newest_ms = -1
        self._said: ScoringModel | None = None
        self._is_first = False

    async def take_over(self, epoch: int) -> None:
        """Begin from what the store says.

        Raises:
            StoreUnavailable: Try again.
        """
        self._reported, self._newest_ms = {}, -1
        self._said = await self._store.scoring_model()
        # Before the first closer nothing was counted but by the model that it hears of.
        self._is_first = epoch == 1 and self._said is None

    def note(self, partition: int, state: PartitionState, progress: Progress | None) -> None:
        """Take note of how far a partition has come, and of what scored its last batch."""
        newest_ms = state.watermark_ms + self._settings.allowed_lateness_s * 1000
        self._newest_ms = max(self._newest_ms, newest_ms)
        if progress is not None and progress.model_version:
            self._reported[partition] = progress.model_version

    async def save(self, epoch: int) -> None:
        """Say what has changed since the last call, if anything.

        Raises:
            StoreUnavailable: Try again.
        """
        versions = set(self._reported.values())
        version = versions.pop() if len(versions) == 1 else ""
        if not self._reported or (self._said is not None and version == self._said.version):
            return
        since_s = -1
        if not self._is_first:
            # A post of the model before may lie as late as the newest that was counted.
            since_s = (self._newest_ms // 1000 // self._settings.pane_s + 1) * self._settings.pane_s
        model = ScoringModel(version, since_s)
        if await self._store.set_scoring_model(epoch, model):
            _log.info("panes are scored by", model_version=version or "several", since_s=since_s)
            self._said, self._is_first = model, False
