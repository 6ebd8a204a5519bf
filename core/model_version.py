"""How the version of a served post encoder is put together: NAME.BITS.ENGINE."""

from __future__ import annotations

import re
from typing import Final

_SERVED: Final = re.compile(r".+\.[0-9a-f]{12}\.([a-z0-9-]+)\Z")


def served_version(built: str, engine: str) -> str:
    """Return the version of what an engine says of a built model: other engines give other bits.

    Example:
        >>> served_version("post-encoder-1.539b9683f8be", "openvino-int8")
        'post-encoder-1.539b9683f8be.openvino-int8'
    """
    return f"{built}.{engine}"


def is_of_build(version: str, built: str) -> bool:
    """Tell whether a served version is of a build, by whichever of its engines.

    Example:
        >>> is_of_build("a.539b9683f8be.openvino-int8", "a.539b9683f8be")
        True
        >>> is_of_build("a.539b9683f8be0", "a.539b9683f8be")
        False
    """
    return version == built or version.startswith(f"{built}.")


def engine_of(version: str) -> str:
    """Return the engine that a served version names, empty if it names none.

    Example:
        >>> engine_of("post-encoder-1.539b9683f8be.openvino-int8"), engine_of("fake-1")
        ('openvino-int8', '')
    """
    found = _SERVED.match(version)
    return found[1] if found else ""
