"""Composition root: from `Settings` to the real store and scorer."""

from __future__ import annotations

from msgspec.structs import replace

from core.clock import SystemClock
from core.errors import ConfigError
from core.metrics import Metrics
from core.ports import Scorer
from core.settings import Settings
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore


def make_store(settings: Settings) -> RedisStore:
    """Return the store that the settings name; it connects on first use."""
    return RedisStore(settings.redis, Horizons.of(settings.windows, settings.worker))


def make_scorer(settings: Settings) -> Scorer:
    """Return the scorer that `scorer.kind` names.

    Raises:
        ConfigError: no such scorer; the message has the nearest one.
    """
    from models.scorers import SCORERS  # with numpy: closer's and exporter's stores need neither

    return SCORERS.get(settings.scorer.kind)(settings.scorer)


def make_live_scorer(settings: Settings, metrics: Metrics) -> Scorer:
    """Return the scorer of a worker, with a second model beside it if there is to be one.

    Raises:
        ConfigError: no such scorer, or the second model is the first.
    """
    scorer, asked = make_scorer(settings), settings.scorer
    if not asked.shadow_model:
        return scorer
    if (asked.shadow_model, asked.shadow_version) == (asked.model, asked.version):
        raise ConfigError(
            f"scorer.shadow_model = {asked.shadow_model!r}, scorer.shadow_version = "
            f"{asked.shadow_version!r}: that is the model that scores; name another"
        )
    from stream.worker.shadow import ShadowScorer

    second = replace(asked, model=asked.shadow_model, version=asked.shadow_version)
    shadow = make_scorer(replace(settings, scorer=second))
    return ShadowScorer(scorer, shadow, asked.shadow_share, SystemClock(), metrics)
