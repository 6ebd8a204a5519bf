"""The shipped engagement models into the model repository, beside the post encoder.

Nothing is compiled: the weights are copied under a version that names their bits, in a second.
"""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from core.errors import ConfigError
from core.folders import shipped
from models.build_copied import CopiedModel, build_copied
from models.engagement.config import (
    ENGAGEMENT_CONFIG,
    ENGAGEMENT_TENSORS,
    EngagementConfig,
    load_engagement_config,
    save_engagement_config,
)
from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.layout import LEVELS, OUTCOMES, TARGETS
from models.serving.engagement import open_engagement

ENGAGEMENT_MODELS: Final = ("engagement", "engagement_transformer")
"""The names of the models as they are served; the folder of the weights has a dash for each `_`."""
_WEIGHTS: Final = Path(__file__).resolve().parent / "weights"
_TEMPLATE: Final = shipped("deploy", "triton", "model_repository", "engagement")
_NAMED: Final = 'name: "{}"\n'
_WIDTHS: Final = (
    ("[ features ]", f"[ {len(FEATURES)} ]"),
    ("[ posts, numbers ]", f"[ {OUTCOMES}, {len(SEQUENCE)} ]"),
    ("[ targets, levels ]", f"[ {len(TARGETS)}, {len(LEVELS)} ]"),
)
"""What Triton is told of the widths of inputs and outputs."""


def weights_of(model: str) -> Path:
    """Return the folder of the shipped weights of a model."""
    return _WEIGHTS / model.replace("_", "-")


def build_engagement(
    output: Path, model: str, weights: Path | None = None, template: Path = _TEMPLATE
) -> tuple[str, bool]:
    """Make a repository hold an engagement model.

    Args:
        output: The Triton model repository; other models in it are not touched.
        model: The name that the model is served by.
        weights: The folder of its weights; the shipped ones if None.
        template: Triton's configuration and `model.py`.

    Returns:
        The version, and whether it was there already.

    Raises:
        ConfigError: The weights are missing, or are not those of a model of this program.
    """
    source = weights or weights_of(model)
    if not (source / ENGAGEMENT_CONFIG).is_file():
        raise ConfigError(
            f"{source} holds no weights: train first with `groundswell models train engagement`"
        )
    copied: CopiedModel[EngagementConfig] = CopiedModel(
        ENGAGEMENT_TENSORS, load_engagement_config, save_engagement_config,
        lambda config, version: replace(config, version=version), open_engagement,
        ((_NAMED.format(_TEMPLATE.name), _NAMED.format(model)), *_WIDTHS),
    )  # fmt: skip
    return build_copied(copied, output / model, source, template)
