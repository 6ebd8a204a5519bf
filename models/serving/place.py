"""Where a built model is in a model repository; for whoever opens one."""

from pathlib import Path
from typing import Final

MODEL_NAME: Final = "post_encoder"
FIRST_VERSION: Final = "1"
"""The folder that `groundswell models build` fills."""


def built_model(
    repository: Path | str, model: str = MODEL_NAME, version: str = FIRST_VERSION
) -> Path:
    """The version folder of a model, whether something was built there or not.

    >>> built_model("repository").as_posix()
    'repository/post_encoder/1'
    """
    return Path(repository) / model / version
