"""A model that is a description and tensors, from its folder to what answers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.errors import ConfigError
from models.descriptions import HasVersion
from models.serving.place import check_bits
from models.tensors import Tensors, damaged, read_tensors

Config = TypeVar("Config", bound=HasVersion)
Service = TypeVar("Service")


def open_tensors(
    file: Path, config: Config, make: Callable[[Config, Tensors], Service], is_built: bool
) -> Service:
    """Load the tensors beside a description, and make of both what answers.

    Args:
        file: The file of the tensors.
        config: The description.
        make: Makes it, and raises `ConfigError` of tensors that are not those of its model.
        is_built: Whether the version must name the bits of the files, as a built one's does.

    Raises:
        ConfigError: The tensors are missing, cannot be read, are not those of such a model, or
            have other bits than the version names.
    """
    if is_built:
        check_bits(file.parent, config.version)
    tensors = read_tensors(file)
    try:
        return make(config, tensors)
    except ConfigError as error:
        raise damaged(file, f"cannot be used: {error}") from error
