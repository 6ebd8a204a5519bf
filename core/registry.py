"""Name -> "module:attribute", resolved on use: a heavy import stays out until it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from core.errors import ConfigError
from core.suggest import did_you_mean


class Registry:
    """Named parts of one kind (sources, scorers, heads), each by its dotted place.

    Example:
        >>> shapes = Registry("shape")
        >>> shapes.add("fraction", "fractions:Fraction")
        >>> shapes.get("fraction").__name__
        'Fraction'
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._places: dict[str, str] = {}

    def add(self, name: str, place: str) -> None:
        """Register `name` at `place` ("module:attribute").

        Raises:
            ConfigError: The name is taken, or the place has no colon.
        """
        if name in self._places:
            raise ConfigError(f"{self.kind} {name!r} is registered twice")
        if ":" not in place:
            raise ConfigError(
                f"{self.kind} {name!r}: {place!r} is not of the form module:attribute"
            )
        self._places[name] = place

    def names(self) -> tuple[str, ...]:
        """Return the registered names in order of registration."""
        return tuple(self._places)

    def get(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            ConfigError: There is no such name, and the message has the nearest one; or the package
                that it stands in is not installed here.
        """
        if name not in self._places:
            raise ConfigError(
                f"unknown {self.kind} {name!r}; expected one of {', '.join(self._places)}"
                + did_you_mean(name, self._places)
            )
        module, _, attribute = self._places[name].partition(":")
        package = module.partition(".")[0]
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise ConfigError(
                f"{self.kind} {name!r} needs the package {package!r}, which is not installed here:"
                " it is there in a checkout of the project"
            ) from error
