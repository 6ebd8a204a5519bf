"""What a responder made as columns, in the shape in which a server answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.ports import Generated


def reply_columns(made: Generated) -> dict[str, NDArray[Any]]:
    """Return the columns by name; texts as UTF-8."""
    return {
        "REPLIES": np.array([text.encode("utf-8", "replace") for text in made.texts], np.object_),
        "SCORES": np.array(made.scores, np.float32),
        "REASONS": np.array([name.encode() for name in made.refused], np.object_),
        "REFUSED": np.array(list(made.refused.values()), np.int32),
        "DRAWN_BY": np.array([made.seed], np.int64),
        "MODEL_VERSION": np.array([made.model_version.encode()], np.object_),
    }
