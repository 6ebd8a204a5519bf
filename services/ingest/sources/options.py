"""What every source can be told, and how options are checked and explained.

A source's options are a Struct whose fields carry their bounds (`msgspec.Meta`) and whose docstring
has a line for each: both are what `groundswell sources show` prints.
"""

from __future__ import annotations

import inspect
import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from core.errors import ConfigError
from core.settings import Secret

PositiveFloat = Annotated[float, Meta(gt=0)]
NonNegativeFloat = Annotated[float, Meta(ge=0)]
PositiveInt = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]

_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
_ENTRY: Final = re.compile(r"(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<said>.+)")

Checked = TypeVar("Checked", bound=Struct)


class Manifest(Struct, frozen=True, kw_only=True):
    """What is said of a source of a network, in the `__init__.py` of its folder.

    Attributes:
        name: The registered name, `Post.source` and the metric label `source`.
        title: One sentence that says what it brings.
        needs: What has to be given before it starts, a sentence each.
        limits: What the platform allows or still has, a sentence each.
        memory: The file in which it remembers what Kafka has of it; "" if its cursor does.
        module: The optional package that it imports; "" for none.
        extra: The extra of this project that installs the package.
    """

    name: str
    title: str
    needs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    memory: str = ""
    module: str = ""
    extra: str = ""


class LiveLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds and times that every network source has; a table `limits` of its options.

    Attributes:
        max_buffered_items: Items read and not yet polled.
        max_buffered_bytes: The same, in received bytes.
        connect_timeout_s: For a connection and its handshake.
        idle_min_s, idle_max_s: Bounds of the adaptive idle limit.
        idle_initial_s: The idle limit until a stretch of the stream was seen.
        backoff_first_s, backoff_max_s: The longest first and the longest wait between attempts.
    """

    max_buffered_items: PositiveInt = 20_000
    max_buffered_bytes: PositiveInt = 33_554_432
    connect_timeout_s: PositiveFloat = 10.0
    idle_min_s: PositiveFloat = 5.0
    idle_max_s: PositiveFloat = 600.0
    idle_initial_s: PositiveFloat = 30.0
    backoff_first_s: PositiveFloat = 0.5
    backoff_max_s: PositiveFloat = 30.0

    def check(self) -> None:
        """Refuse what no type refuses.

        Raises:
            ConfigError: The shortest idle limit is over the longest.
        """
        if self.idle_min_s > self.idle_max_s:
            raise ConfigError(
                f"limits.idle_min_s = {self.idle_min_s}: expected at most limits.idle_max_s"
            )


class LiveOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every network source can be told; a source adds its own.

    Attributes:
        authors: `hashed`, or `public`: author ids are never hashed.
        limits: Bounds and times of every network source.
    """

    authors: Literal["hashed", "public"] = "hashed"
    limits: LiveLimits = LiveLimits()

    def check(self, secret: Secret) -> None:
        """Refuse what no type refuses, before anything is connected.

        Args:
            secret: The source's own token or key; empty if none is set.

        Raises:
            ConfigError: Names the option or setting that is missing or wrong.
        """
        return


def check_values(name: str, options: Checked) -> Checked:
    """Return options whose values are as their types say, also where Python built them.

    Args:
        name: Whose they are, for the message.
        options: As they were given.

    Raises:
        ConfigError: Names the option, its value and what was expected.
    """
    tree = msgspec.to_builtins(options)
    try:
        return msgspec.convert(tree, type(options))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {explain(error, tree)}") from error


def check_address(name: str, address: str, schemes: tuple[str, ...]) -> str:
    """Return the host of an address in an option.

    Args:
        name: The source and its option, for the message.
        address: As it was given.
        schemes: Those that will do, the best first.

    Raises:
        ConfigError: It is none, or of another scheme.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{name} = {address!r}: {error}") from error
    if parts.scheme not in schemes or not host:
        raise ConfigError(f"{name} = {address!r}: expected {' or '.join(schemes)}://HOST")
    return host


def check_secret_address(name: str, address: str, schemes: tuple[str, ...]) -> None:
    """Refuse an address that is none, or to which a secret would go in the clear.

    Args:
        name: The source and its option, for the message.
        address: As it was given.
        schemes: Those that will do, the best first; those without TLS only on this machine.

    Raises:
        ConfigError: Names the option.
    """
    host = check_address(name, address, schemes)
    if urlsplit(address).scheme in ("http", "ws") and not _is_loopback(host):
        raise ConfigError(
            f"{name} = {address!r}: expected {schemes[0]}, a secret would be readable on the way"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def explain(error: msgspec.ValidationError, tree: Mapping[str, Any]) -> str:
    """Return what is wrong with a tree of options: the key, its value and what was expected.

    Example:
        >>> try:
        ...     msgspec.convert({"idle_min_s": -1}, LiveLimits)
        ... except msgspec.ValidationError as error:
        ...     explain(error, {"idle_min_s": -1})
        'idle_min_s = -1: expected `float` > 0.0'
    """
    said = str(error)
    found = _PATH.search(said)
    if found is None:
        return said
    value: Any = tree
    for key in re.findall(r"[^.\[\]]+", found["path"]):
        try:
            value = value[int(key)] if isinstance(value, list | tuple) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return said
    expected = said[: found.start()]
    return f"{found['path']} = {value!r}: {expected[:1].lower()}{expected[1:]}"


def describe_options(kind: type[Struct]) -> list[tuple[str, str, str]]:
    """Return (option, default, meaning) of every option, from its Struct and docstring."""
    meanings: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        meanings |= _meanings(parent)
    return [
        (field.name, _shown(field), meanings.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]


def _meanings(kind: type) -> dict[str, str]:
    """Return option -> meaning, from the section `Attributes` of a class's own docstring."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    section = text.partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.sub(r"\n {8,}", " ", section)
    found: dict[str, str] = {}
    for line in entries.splitlines():
        entry = _ENTRY.match(line.strip())
        if entry is not None:
            found |= dict.fromkeys(entry["names"].split(", "), entry["said"])
    return found


def _shown(field: msgspec.structs.FieldInfo) -> str:
    default: Any = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if default is msgspec.NODEFAULT:
        return "required"
    tree = msgspec.to_builtins(default)
    return "a table" if isinstance(tree, dict) else msgspec.json.encode(tree).decode()
