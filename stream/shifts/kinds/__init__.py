"""The kinds of shift that are judged, a file and a line each.

To add one, write `stream/shifts/kinds/<name>.py` with a `KIND`, and append its name here. The order
is that of the slots in a stored state: append, never insert. `testkit.checks.shift_kinds` has what
every kind must pass.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from core.errors import ConfigError
from core.settings import ShiftSettings
from core.suggest import did_you_mean
from stream.shifts.kinds.base import ShiftKind, further_thresholds

_NAMES: Final = (
    "opinion",
    "mix",
    "volume",
    "brigading",
)


def _load() -> tuple[ShiftKind[Any], ...]:
    kinds: list[ShiftKind[Any]] = []
    for slot, name in enumerate(_NAMES):
        kind = import_module(f"{__name__}.{name}").KIND
        kind.slot = slot
        kinds.append(kind)
    return tuple(kinds)


KINDS: Final = _load()
NAMED: Final = {kind.name: kind for kind in KINDS}


def check_thresholds(settings: ShiftSettings) -> None:
    """Refuse thresholds of kinds that do not exist, or that have a setting of their own.

    Raises:
        ConfigError: `shifts.further_thresholds` is wrong.
    """
    allowed = [kind.name for kind in KINDS if not kind.setting]
    for name in further_thresholds(settings.further_thresholds):
        if name not in allowed:
            raise ConfigError(
                f"shifts.further_thresholds = {settings.further_thresholds!r}: {name!r} is no kind "
                f"of shift without a setting of its own, expected one of {allowed}"
                + did_you_mean(name, allowed)
            )
