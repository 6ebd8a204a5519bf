"""Which release of ours runs."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final

VARIABLE: Final = "GROUNDSWELL_VERSION"
"""An image, in which nothing is installed, says by it what it was built as."""


def release() -> str:
    """Return the version that is installed, else what the image was built as."""
    try:
        return version("groundswell")
    except PackageNotFoundError:
        return os.environ.get(VARIABLE) or "not installed"
