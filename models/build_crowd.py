"""The shipped crowd model into the model repository, beside the post encoder.

Nothing is compiled: the weights are copied under a version that names their bits, in a second.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from core.folders import shipped
from models.build_engagement import files_in
from models.serving.crowd import open_crowd
from models.serving.place import FIRST_VERSION, bits_of, move_into_place
from models.socialalign.crowd_config import (
    CROWD_CONFIG,
    CROWD_TENSORS,
    load_crowd_config,
    save_crowd_config,
)

CROWD: Final = "crowd"
CROWD_WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / CROWD
_TEMPLATE: Final = shipped("deploy", "triton", "model_repository", CROWD)


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
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{output.name}.") as scratch:
        made, place = Path(scratch) / CROWD, output / CROWD
        version = _make(made, weights, template)
        if files_in(place) == files_in(made):
            return version, True
        open_crowd(made / FIRST_VERSION)
        move_into_place(made, place)
    return version, False


def _make(made: Path, weights: Path, template: Path) -> str:
    """Make the model's folder; returns its version."""
    served = made / FIRST_VERSION
    served.mkdir(parents=True)
    shutil.copyfile(weights / CROWD_TENSORS, served / CROWD_TENSORS)
    shutil.copyfile(template / FIRST_VERSION / "model.py", served / "model.py")
    config = load_crowd_config(weights)
    config = msgspec.structs.replace(config, version=f"{config.version}.{bits_of(served)}")
    save_crowd_config(config, served)
    text = (template / "config.pbtxt").read_text(encoding="utf-8")
    text = text.replace('string_value: "unbuilt"', f'string_value: "{config.version}"')
    (made / "config.pbtxt").write_text(text, encoding="utf-8")
    return config.version
