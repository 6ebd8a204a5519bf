"""Composition root: from `Settings` to the real store and scorer."""

from __future__ import annotations

from core.ports import Scorer
from core.settings import Settings
from models.scorers import SCORERS
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
    return SCORERS.get(settings.scorer.kind)(settings.scorer)
