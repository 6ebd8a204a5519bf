"""The shipped crowd model into the model repository, beside the post encoder.

Nothing is compiled: the weights are copied under a version that names their bits, in a second.
"""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from core.errors import ConfigError
from core.folders import shipped
from models.build_copied import CopiedModel, build_copied
from models.serving.crowd import open_crowd
from models.socialalign.crowd_config import (
    CROWD_CONFIG,
    CROWD_TENSORS,
    CrowdConfig,
    load_crowd_config,
    save_crowd_config,
)

CROWD: Final = "crowd"
CROWD_WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / CROWD
_TEMPLATE: Final = shipped("deploy", "triton", "model_repository", CROWD)
_COPIED: Final[CopiedModel[CrowdConfig]] = CopiedModel(
    CROWD_TENSORS, load_crowd_config, save_crowd_config,
    lambda config, version: replace(config, version=version), open_crowd,
)  # fmt: skip


def build_crowd(
    output: Path, weights: Path = CROWD_WEIGHTS, template: Path = _TEMPLATE
) -> tuple[str, bool]:
    """Make a repository hold the crowd model.

    Args:
        output: The Triton model repository; other models in it are not touched.
        weights: The folder of its weights.
        template: Triton's configuration and `model.py`.

    Returns:
        The version, and whether it was there already.

    Raises:
        ConfigError: The weights are missing, or are not those of a model of this program.
    """
    if not (weights / CROWD_CONFIG).is_file():
        raise ConfigError(f"{weights} holds no weights of a crowd model")
    return build_copied(_COPIED, output / CROWD, weights, template)
