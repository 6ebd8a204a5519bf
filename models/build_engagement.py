"""The shipped engagement models into the model repository, beside the post encoder.

Nothing is compiled: the weights are copied under a version that names their bits, in a second.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from core.folders import shipped
from models.engagement.config import (
    ENGAGEMENT_CONFIG,
    ENGAGEMENT_TENSORS,
    load_engagement_config,
    save_engagement_config,
)
from models.engagement.features import FEATURES, SEQUENCE
from models.engagement.layout import LEVELS, OUTCOMES, TARGETS
from models.serving.engagement import open_engagement
from models.serving.place import FIRST_VERSION, bits_of, move_into_place

ENGAGEMENT_MODELS: Final = ("engagement", "engagement_transformer")
"""The names of the models as they are served; the folder of the weights has a dash for each `_`."""
_WEIGHTS: Final = Path(__file__).resolve().parent / "weights"
_TEMPLATE: Final = shipped("deploy", "triton", "model_repository", "engagement")


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
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{output.name}.") as scratch:
        made, place = Path(scratch) / model, output / model
        version = _make(made, model, source, template)
        if files_in(place) == files_in(made):
            return version, True
        open_engagement(made / FIRST_VERSION)
        move_into_place(made, place)
    return version, False


def _make(made: Path, model: str, weights: Path, template: Path) -> str:
    """Make the model's folder; returns its version."""
    served = made / FIRST_VERSION
    served.mkdir(parents=True)
    shutil.copyfile(weights / ENGAGEMENT_TENSORS, served / ENGAGEMENT_TENSORS)
    shutil.copyfile(template / FIRST_VERSION / "model.py", served / "model.py")
    config = load_engagement_config(weights)
    config = msgspec.structs.replace(config, version=f"{config.version}.{bits_of(served)}")
    save_engagement_config(config, served)
    text = (template / "config.pbtxt").read_text(encoding="utf-8")
    for written, filled in (
        ('name: "engagement"\n', f'name: "{model}"\n'),
        ('string_value: "unbuilt"', f'string_value: "{config.version}"'),
        ("[ features ]", f"[ {len(FEATURES)} ]"),
        ("[ posts, numbers ]", f"[ {OUTCOMES}, {len(SEQUENCE)} ]"),
        ("[ targets, levels ]", f"[ {len(TARGETS)}, {len(LEVELS)} ]"),
    ):
        text = text.replace(written, filled)
    (made / "config.pbtxt").write_text(text, encoding="utf-8")
    return config.version


def files_in(folder: Path) -> dict[str, bytes]:
    """Return what a model's folder holds; {} where there is none."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
