"""Shares as people are shown them beside the counted ones: corrected, with an interval.

The corrections ship with the weights and hold for their scores only; what scored a pane is said by
the closer (`stream.windows.records.ScoringModel`). The judge of shifts goes on with counted shares:
it compares a window with those before it, and a correction that is wrong here is wrong in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from core.errors import ConfigError
from core.heads import COUNTED_HEADS
from core.logs import get_logger
from core.quantification import (
    CORRECTIONS_FILE,
    Corrections,
    corrected_intervals,
    load_corrections,
)
from core.schemas import Interval
from core.settings import Settings
from stream.windows.summary import is_shown

_log = get_logger(__name__)

CorrectedShares = dict[str, dict[str, Interval]]
"""Head -> class -> corrected share with its 95 % interval."""

SHIPPED = "models/weights/post-encoder"


@dataclass(frozen=True, slots=True)
class ShareCorrector:
    """Corrects the shares of windows.

    Attributes:
        corrections: The corrections of a model; None corrects nothing.
        why: Why there are none though the settings ask for them; "" if they do not.
    """

    corrections: Corrections | None = None
    why: str = ""

    @classmethod
    def of(cls, settings: Settings) -> ShareCorrector:
        """Return what the settings ask for; without a file of corrections nothing is corrected."""
        if not settings.windows.corrected_shares:
            return cls()
        try:
            file = weights_folder(settings.scorer.weights) / CORRECTIONS_FILE
            return cls(load_corrections(file))
        except ConfigError as error:
            _log.warning("shares are shown as counted only", reason=str(error))
            return cls(None, str(error))

    @property
    def is_asked(self) -> bool:
        """Whether the settings ask for corrected shares."""
        return self.corrections is not None or bool(self.why)

    def missing(self, head: str, model_version: str) -> str:
        """Return why the shares of a head are not corrected, or "".

        Args:
            head: The head.
            model_version: The version that alone has scored the window; "" if that is not known.
        """
        if self.corrections is None:
            return self.why or "windows.corrected_shares is off"
        if not model_version:
            return "several models may have scored the window, or the closer has not said which"
        if self.corrections.head(head, model_version) is not None:
            return ""
        if head in self.corrections.heads:
            return f"scored by {model_version}, fitted to {self.corrections.model_version}"
        return f"no correction of {head} ships: too few held-out posts, or it made shares worse"

    def shares(self, counters: Mapping[str, int], model_version: str) -> CorrectedShares:
        """Return the corrected shares of a window, of the heads that people are shown.

        Args:
            counters: The counters of the window by name.
            model_version: As in `missing`.
        """
        found: CorrectedShares = {}
        if self.corrections is None:
            return found
        for head in COUNTED_HEADS:
            correction = self.corrections.head(head, model_version)
            if correction is None or not is_shown(counters, head):
                continue
            rated = counters.get(f"{head}_posts", counters.get("rated", 0))
            counts = [counters.get(f"{head}_{label}", 0) for label in correction.labels]
            intervals = corrected_intervals(counts, rated, correction)
            if intervals:
                found[head] = dict(zip(correction.labels, intervals, strict=True))
        return found


def weights_folder(weights: str) -> Path:
    """Return the folder of the weights that `scorer.weights` names; the shipped ones if empty.

    Raises:
        ConfigError: No weights ship with this installation.
    """
    if weights:
        return Path(weights)
    package = find_spec("models")  # found, not loaded: it needs what an exporter has no use for
    if package is None or package.origin is None:
        raise ConfigError("scorer.weights is empty, and no weights are installed here")
    return Path(package.origin).parent.parent / SHIPPED
