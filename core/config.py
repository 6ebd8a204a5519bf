"""Settings: one frozen tree, read once in `main`, passed down; nobody else reads the environment.

A TOML file first (`--config`, else `GROUNDSWELL_CONFIG`, else `configs/default.toml` if it is
there), then environment variables `GROUNDSWELL__<SECTION>__<FIELD>`. Unknown keys fail at start
with the nearest known name. Secrets come from the environment or a mounted file (`..._FILE`) and
print masked.
The tables of settings in `docs/settings.md` are held to this file by a test.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from core.errors import ConfigError
from core.folders import HOME_VARIABLE
from core.settings import Secret, Settings
from core.suggest import did_you_mean

PREFIX: Final = "GROUNDSWELL__"
_SECRET_WORDS: Final = re.compile("key|secret|password|token|credential", re.IGNORECASE)
DEFAULT_FILE: Final = Path("configs/default.toml")
_BELOW_HOME: Final = ".groundswell/"


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    fallback: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings of this process.

    Args:
        path: TOML file; None means `GROUNDSWELL_CONFIG`, then `configs/default.toml` if present.
        environ: The environment; None means this process's own.
        fallback: Variables such as those of a running local stack. They give way to the environment
            and to a file that was chosen, but not to the file of defaults.

    Raises:
        ConfigError: Something is wrong; it names the key, the value and what was expected; all
            faults in one message.
    """
    environment = os.environ if environ is None else environ
    chosen = path or (Path(p) if (p := environment.get("GROUNDSWELL_CONFIG")) else None)
    tree = _read_file(chosen)
    if fallback and chosen is None:
        _lay_over(tree, _from_environment(fallback))
    elif fallback:
        lower = _from_environment(fallback)
        _lay_over(lower, tree)
        tree = lower
    _lay_over(tree, _from_environment(environment))
    _lay_under(tree, environment.get(HOME_VARIABLE))
    return build(tree)


def _lay_under(tree: dict[str, Any], home: str | None) -> None:
    """Put the folders that nobody named below `GROUNDSWELL_HOME`, if that is set."""
    for section, kind in _sections().items() if home else ():
        fields: Any = tree.setdefault(section, {})
        for field in msgspec.structs.fields(kind):
            place = field.default if isinstance(field.default, str) else ""
            if place.startswith(_BELOW_HOME) and isinstance(fields, dict):
                found = Path(str(home), place.removeprefix(_BELOW_HOME))
                cast("dict[str, Any]", fields).setdefault(field.name, str(found))


def _lay_over(tree: dict[str, Any], upper: Mapping[str, Any]) -> None:
    """Put the fields of `upper` into `tree`, section by section; what is no table replaces."""
    for section, fields in upper.items():
        known: Any = tree.setdefault(section, {})
        if isinstance(known, dict) and isinstance(fields, Mapping):
            cast("dict[str, Any]", known).update(cast("Mapping[str, Any]", fields))
        elif isinstance(fields, Mapping):
            continue  # the file has a value where a table belongs: `build` says so
        else:
            tree[section] = fields


def build(tree: Mapping[str, Any]) -> Settings:
    """Check a tree of plain values and turn it into `Settings`.

    Raises:
        ConfigError: As in `load`.

    Example:
        >>> build({"windows": {"pane_s": 10}}).windows.pane_s
        10
    """
    faults = _unknown_keys(tree)
    if faults:
        raise ConfigError("\n".join(faults))
    sections: dict[str, Any] = {}
    for name, kind in get_type_hints(Settings).items():
        value = tree.get(name, {})
        if not isinstance(value, Mapping):
            faults.append(f"{name} = {value!r}: expected a table of settings")
            continue
        section, found = _build_section(name, kind, cast("Mapping[str, Any]", value))
        sections[name] = section
        faults.extend(found)
    if faults:
        raise ConfigError("\n".join(faults))
    settings = Settings(**sections)
    faults = settings.contradictions()
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        if not DEFAULT_FILE.exists():
            return {}
        path = DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"settings file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"settings file {path} cannot be read: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Collect `GROUNDSWELL__SECTION__FIELD` variables; `..._FILE` reads a mounted secret."""
    tree: dict[str, Any] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        parts = variable.removeprefix(PREFIX).lower().split("__")
        if len(parts) != 2 or not all(parts):
            raise ConfigError(f"{variable}: expected {PREFIX}<SECTION>__<FIELD>")
        section, field = parts
        if field.endswith("_file") and _is_secret(section, field.removesuffix("_file")):
            field = field.removesuffix("_file")
            try:
                text = Path(text).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{variable} = {text!r}: cannot be read: {error}") from error
            except UnicodeDecodeError:  # what it quotes is a part of the secret
                raise ConfigError(f"{variable} = {text!r}: expected a file in UTF-8") from None
        tree.setdefault(section, {})[field] = text
    return tree


def _sections() -> dict[str, type[msgspec.Struct]]:
    return get_type_hints(Settings)


def _is_secret(section: str, field: str) -> bool:
    kind = _sections().get(section)
    return kind is not None and get_type_hints(kind).get(field) is Secret


def _unknown_keys(tree: Mapping[str, Any]) -> list[str]:
    """Return a fault for every key that no setting has, with the nearest one that exists."""
    faults: list[str] = []
    sections = _sections()
    for section, fields in tree.items():
        if section not in sections:
            faults.append(f"unknown section [{section}]{did_you_mean(section, sections)}")
            continue
        if not isinstance(fields, Mapping):
            continue
        known = get_type_hints(sections[section])
        faults.extend(
            f"unknown setting {section}.{field} = {_shown(field, value)}"
            f"{did_you_mean(field, known)}"
            for field, value in cast("Mapping[str, Any]", fields).items()
            if field not in known
        )
    return faults


def _shown(field: str, value: Any) -> str:
    """Return a value as a message may show it: what may be a misspelt secret is not shown."""
    secrets = {
        name
        for section in _sections().values()
        for name, kind in get_type_hints(section).items()
        if kind is Secret
    }
    is_near = bool(get_close_matches(field.lower(), secrets, n=1, cutoff=0.6))
    return "********" if is_near or _SECRET_WORDS.search(field) else repr(value)


def _build_section(
    name: str, kind: type[msgspec.Struct], fields: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """Convert a section field by field, so that every fault is found and named at once."""
    hints, plain = get_type_hints(kind, include_extras=True), get_type_hints(kind)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field, raw in fields.items():
        expected = hints[field]
        if expected is Secret:
            values[field] = Secret(str(raw))
            continue
        is_text = isinstance(raw, str)
        parts = raw.split(",") if is_text and get_origin(plain[field]) is tuple else None
        given = raw if parts is None else [part.strip() for part in parts if part.strip()]
        try:
            # strict=False: the environment has only strings ("60", "true", "300, 3600")
            values[field] = msgspec.convert(given, expected, strict=not is_text)
            if isinstance(values[field], float) and not isfinite(values[field]):
                faults.append(f"{name}.{field} = {raw!r}: expected a finite number")
        except msgspec.ValidationError as error:
            said = f"{str(error)[:1].lower()}{str(error)[1:]}"
            if get_origin(expected) is Literal:
                said = f"expected {', '.join(map(str, get_args(expected)))}"
            faults.append(f"{name}.{field} = {raw!r}: {said}")
    return (kind(**values) if not faults else None), faults
