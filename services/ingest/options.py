"""A source's own options: a TOML file, then what the command line says, checked in one go."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import msgspec

from core.errors import ConfigError
from core.suggest import did_you_mean
from services.ingest.sources.options import explain

Options = TypeVar("Options", bound=msgspec.Struct)


def load_options(
    kind: type[Options], path: Path | None, overrides: Mapping[str, Any] | None = None
) -> Options:
    """Return the options of a source.

    Args:
        kind: The Struct of the source's options.
        path: The TOML file; None means defaults only.
        overrides: The values that win over the file, tables key by key; None is left out.

    Raises:
        ConfigError: Names the file, the key and what was expected.
    """
    tree = read_toml(path) if path is not None else {}
    for key, value in (overrides or {}).items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            tree[key] = tree[key] | value
        elif value is not None:
            tree[key] = value
    known = get_type_hints(kind)
    for key in tree:
        if key not in known:
            raise ConfigError(
                f"{path or 'source options'}: unknown option {key!r}{did_you_mean(key, known)}"
            )
    _check_finite(tree, path)
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path or 'source options'}: {explain(error, tree)}") from error


def _check_finite(given: Mapping[str, Any], path: Path | None, within: str = "") -> None:
    """Refuse nan and inf: no bound holds against them, since every comparison with nan fails."""
    for key, value in given.items():
        if isinstance(value, dict):
            _check_finite(cast("dict[str, Any]", value), path, f"{within}{key}.")
        elif isinstance(value, float) and not isfinite(value):
            raise ConfigError(
                f"{path or 'source options'}: {within}{key} = {value}: expected a finite number"
            )


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file as plain values.

    Raises:
        ConfigError: It does not exist or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"source options {path}: there is no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"source options {path}: cannot be read: {error}") from error
