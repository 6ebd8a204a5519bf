"""What is known of a crowd before its first answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """What a model says of a crowd before its first answer.

    Attributes:
        shares: (C,) shares.
        version: The model's version.
        is_used: They are the forecast; else they are judged beside it.
        usual: (C,) usual shares of the topic, by which they are judged; empty as long as the
            source has not taken them in.
    """

    shares: Sequence[float]
    version: str
    is_used: bool = False
    usual: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class CrowdStart:
    """What is known of a crowd before its first answer.

    Attributes:
        topic: The topic of its event.
        forecast: (C,) the forecast: the usual shares of the topic, or what the model says.
        average: (C,) usual shares of all topics of the source.
        learnt: (K,) what is learnt of the strength of the source's forecasts.
        is_greyed: The forecast is not known to beat the average.
        model: What the model says; None where it was not asked or did not answer.
    """

    topic: str
    forecast: Sequence[float]
    average: Sequence[float]
    learnt: Sequence[float]
    is_greyed: bool
    model: ModelForecast | None = None
