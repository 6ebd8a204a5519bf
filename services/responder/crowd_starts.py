"""What was expected of each crowd when its event began: said once, and the same after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from zlib import crc32

import msgspec

from core.logs import get_logger
from core.responder_settings import ResponderSettings
from models.socialalign.crowd_start import CrowdStart
from services.responder.crowds_kept import Start, read_starts
from services.responder.followed import FollowedEvent

_log = get_logger(__name__)

STARTS: Final = "crowds-starts"
_PART: Final = f"{STARTS}:"
_PARTS: Final = 64
"""They are kept in so many parts, by the hash of the post: one that changes is written alone."""
_KEPT: Final = 4
"""So many times `responder.memory_s`: longer than events are read anew after a restart."""
_MOST: Final = 8
"""The same, in times of `responder.max_events`; the oldest go first."""


class CrowdStarts:
    """How the events that are followed began. Not thread-safe.

    Args:
        settings: The responder's settings.
    """

    def __init__(self, settings: ResponderSettings) -> None:
        self._settings = settings
        self._starts: dict[str, Start] = {}
        self._changed: set[int] = set()
        self._has_whole = False

    def add(self, event: FollowedEvent, start: CrowdStart | None) -> None:
        """Remember what is expected of an event that begins."""
        self._starts.pop(event.name, None)  # the oldest stand first
        self._starts[event.name] = (event.began_s, start)
        self._changed.add(_part(event.name))

    def of(self, event: FollowedEvent) -> Start | None:
        """Return how an event began; None if it has not, also if one of the same post is over."""
        kept = self._starts.get(event.name)
        is_same = kept is not None and event.began_s < kept[0] + 2 * self._settings.memory_s
        return kept if is_same else None

    def began_s(self, event: FollowedEvent) -> float:
        """Return when an event began; read anew from the middle on it seems to begin later."""
        kept = self.of(event)
        return event.began_s if kept is None else kept[0]

    def forget_before(self, clock_s: float) -> None:
        """Forget what no event that is read anew can be of.

        Args:
            clock_s: The stream's time, in seconds since 1970.
        """
        while self._starts:
            name, (began_s, _start) = next(iter(self._starts.items()))
            is_many = len(self._starts) > _MOST * self._settings.max_events
            if began_s >= clock_s - _KEPT * self._settings.memory_s and not is_many:
                return
            del self._starts[name]
            self._changed.add(_part(name))

    # -- restarts -----------------------------------------------------------------------------

    def stored(self) -> dict[str, bytes]:
        """Return what is to be kept for `restore`: the parts that have changed."""
        parts: dict[int, dict[str, Start]] = {number: {} for number in self._changed}
        for name, start in self._starts.items():
            if (number := _part(name)) in parts:
                parts[number][name] = start
        found = {f"{_PART}{number}": msgspec.json.encode(of) for number, of in parts.items()}
        if self._has_whole:  # of an earlier version, which kept all in one
            found[STARTS] = b"{}"
        return found

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take up what was kept; a part that cannot be read is said and left out.

        Args:
            stored: What `stored` gave, among other things.
        """
        found: dict[str, Start] = {}
        for name in sorted(stored):  # the whole of an earlier version first
            if name != STARTS and not name.startswith(_PART):
                continue
            try:
                read = read_starts(stored[name])
            except (ValueError, OverflowError, RecursionError) as error:
                _log.error("what is stored of crowds cannot be read and is learnt anew", name=name,
                           reason=str(error))  # fmt: skip
                continue
            if name == STARTS and read:
                self._has_whole = True
                self._changed.update(map(_part, read))
            found |= read
        self._starts = dict(sorted(found.items(), key=lambda one: one[1][0]))

    def is_kept(self) -> None:
        """Note that what `stored` gave last is kept."""
        self._changed.clear()
        self._has_whole = False


def _part(name: str) -> int:
    return crc32(name.encode()) % _PARTS
