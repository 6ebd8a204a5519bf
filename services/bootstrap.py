"""Composition root: from `Settings` to the real store and scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from core.clock import SystemClock
from core.errors import ConfigError
from core.metrics import Metrics
from core.ports import CrowdModel, EngagementModel, Responder, Scorer
from core.settings import Settings
from stream.store.increments import Horizons
from stream.store.redis_store import RedisStore

if TYPE_CHECKING:  # with numpy: closer's and exporter's stores do without
    from services.forecaster.shadow import EngagementShadow
    from stream.worker.steps.compare_shadow import ShadowComparison


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


def make_engagement_model(settings: Settings) -> EngagementModel:
    """Return the engagement model that `forecasts.kind` names.

    Raises:
        ConfigError: no such model; the message has the nearest one.
    """
    from models.scorers import ENGAGEMENT

    return ENGAGEMENT.get(settings.forecasts.kind)(settings.forecasts, settings.scorer)


def make_engagement_shadow(settings: Settings, metrics: Metrics) -> EngagementShadow | None:
    """Return the comparison with a second engagement model, None if there is to be none.

    Raises:
        ConfigError: There is no such model, or the second one is the first.
    """
    asked = settings.forecasts
    if not asked.shadow_model:
        return None
    if asked.shadow_model == asked.model:
        raise ConfigError(
            f"forecasts.shadow_model = {asked.shadow_model!r}: expected another model than "
            "forecasts.model, or nothing"
        )
    from services.forecaster.shadow import EngagementShadow

    second = replace(settings, forecasts=replace(asked, model=asked.shadow_model, version=""))
    return EngagementShadow(make_engagement_model(second), metrics)


def make_responder(settings: Settings) -> Responder | None:
    """Return the model that writes replies, None if there is to be none.

    Raises:
        ConfigError: no such model; the message has the nearest one.
    """
    if not settings.responder.kind or not settings.responder.generated:
        return None
    from models.scorers import RESPONDERS

    return RESPONDERS.get(settings.responder.kind)(settings.responder, settings.scorer)


def make_crowd(settings: Settings) -> CrowdModel | None:
    """Return the model that is asked how crowds will answer, None if there is to be none.

    Raises:
        ConfigError: no such model; the message has the nearest one.
    """
    if not settings.responder.crowd_kind:
        return None
    from models.scorers import CROWDS

    return CROWDS.get(settings.responder.crowd_kind)(settings.scorer)


def make_shadow(settings: Settings, metrics: Metrics) -> ShadowComparison | None:
    """Return the comparison with a second model, None if there is to be none.

    Raises:
        ConfigError: There is no such scorer, or the second model is the first.
    """
    asked = settings.scorer
    if not asked.shadow_model:
        return None
    if (asked.shadow_model, asked.shadow_version) == (asked.model, asked.version):
        raise ConfigError(
            f"scorer.shadow_model = {asked.shadow_model!r}, scorer.shadow_version = "
            f"{asked.shadow_version!r}: that is the model that scores; name another"
        )
    from stream.worker.steps.compare_shadow import ShadowComparison

    second = replace(asked, model=asked.shadow_model, version=asked.shadow_version)
    shadow = make_scorer(replace(settings, scorer=second))
    return ShadowComparison(shadow, asked.shadow_share, SystemClock(), metrics)
