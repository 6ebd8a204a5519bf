"""The table ``[queries.<name>.alerts]`` of the catalog, read with every mistake named.

::

    [queries.flood-relief.alerts]
    thresholds = { opinion = 15.0, volume = 30.0 }   # nats; other kinds: the settings' `shifts.*`
    direction = "down"                               # "up", "down" or "both"
    mute = ["mix"]                                   # kinds; true mutes all of them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from core.suggest import did_you_mean
from stream.shifts.kinds import KINDS
from stream.shifts.rules import NO_RULES, AlertRules, Directions

Complain = Callable[[str, object, str], None]
"""(key, what was found, what was expected): takes note of a mistake."""

_KINDS: Final = tuple(kind.name for kind in KINDS)
_KEYS: Final = ("thresholds", "direction", "mute")
_DIRECTIONS: Final = ("both", "up", "down")
_MOST_NATS: Final = 10_000.0


def read_alert_rules(key: str, value: object, complain: Complain) -> AlertRules:
    """Return the rules of the table at `key`; without rules where it holds mistakes."""
    if not isinstance(value, dict):
        complain(key, value, f"a table of some of {', '.join(_KEYS)}")
        return NO_RULES
    table = cast("dict[str, object]", value)
    for unknown in [name for name in table if name not in _KEYS]:
        near = did_you_mean(unknown, _KEYS)
        complain(f"{key}.{unknown}", unknown, f"one of {', '.join(_KEYS)}{near}")
    direction = table.get("direction", "both")
    if direction not in _DIRECTIONS:
        complain(f"{key}.direction", direction, "up, down or both")
    return AlertRules(
        _thresholds(f"{key}.thresholds", table.get("thresholds", {}), complain),
        cast("Directions", direction),
        _muted(f"{key}.mute", table.get("mute", False), complain),
    )


def _thresholds(key: str, value: object, complain: Complain) -> dict[str, float]:
    if not isinstance(value, dict):
        complain(key, value, "a table of kind = nats")
        return {}
    found: dict[str, float] = {}
    for kind, nats in cast("dict[str, object]", value).items():
        if kind not in _KINDS:
            near = did_you_mean(kind, _KINDS)
            complain(f"{key}.{kind}", kind, f"a kind of {', '.join(_KINDS)}{near}")
        elif isinstance(nats, bool) or not isinstance(nats, int | float) or not _is_nats(nats):
            complain(f"{key}.{kind}", nats, f"evidence in nats, above 0, at most {_MOST_NATS:g}")
        else:
            found[kind] = float(nats)
    return found


def _is_nats(value: float) -> bool:
    return 0 < value <= _MOST_NATS  # false of NaN, and exact for an integer of any size


def _muted(key: str, value: object, complain: Complain) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset(_KINDS) if value else frozenset()
    names = cast("list[object]", value if isinstance(value, list) else [])
    wrong = [name for name in names if name not in _KINDS]
    if wrong or not isinstance(value, list):
        found = wrong[0] if wrong else cast("object", value)
        near = did_you_mean(str(found), _KINDS)
        complain(key, found, f"true, false or a list of some of {', '.join(_KINDS)}{near}")
        return frozenset()
    return frozenset(str(name) for name in names)
