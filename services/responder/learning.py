"""What is learnt of the likes of replies, by source, once they come no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final
from zlib import crc32

import msgspec

from core.logs import get_logger
from core.metrics import Metrics
from models.popalm.expected_likes import AGES_S, ExpectedLikes

_log = get_logger(__name__)

SAMPLED: Final = 128
"""Replies of an event that are learnt from: those of the least hashes, whenever they came."""
_MAX_SOURCES: Final = 64
_OTHER: Final = "other"
_CURVE: Final = "likes:"
_UPTO: Final = "learnt"


@dataclass(slots=True)
class ReplyLikes:
    """The likes of one reply, and those that it had by each age.

    Of totals and of single likes, of which a restart of ingest may bring some twice, the larger
    number counts.

    Attributes:
        at_s: When the reply was written, in seconds since 1970.
        totals, singles: Likes as the platform counts them, and single ones seen.
        seen: Age -> likes by then.
    """

    at_s: float
    totals: int = 0
    singles: int = 0
    seen: dict[float, int] = field(default_factory=dict[float, int])

    @property
    def now(self) -> int:
        """The likes by now."""
        return max(self.totals, self.singles)

    def take(self, likes: int | None, at_s: float) -> None:
        """Take in likes at a time: their number, or one more if that is None."""
        self.pass_to(at_s)
        if likes is None:
            self.singles += 1
        else:
            self.totals = likes

    def pass_to(self, at_s: float) -> None:
        """Note the likes by all ages that are over at a time."""
        for age in AGES_S[len(self.seen) :]:
            if at_s - self.at_s < age:
                return
            self.seen[age] = self.now


class LikeCurves:
    """`ExpectedLikes` of each source, and up to which event they were taught.

    An event is learnt from once, in the order of the time when its likes were complete; after a
    restart those that were learnt from already are left out, so the curves are the same.

    Args:
        metrics: The metrics of this process.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._curves: dict[str, ExpectedLikes] = {}
        self._upto: tuple[float, str] = (0.0, "")
        self.has_changed = False

    def of(self, source: str) -> ExpectedLikes:
        """Return what is learnt of a source; the sources beyond some share one."""
        return self._curves.setdefault(self._name(source), ExpectedLikes())

    def _name(self, source: str) -> str:
        is_full = source not in self._curves and len(self._curves) >= _MAX_SOURCES
        return _OTHER if is_full else source

    def learn(
        self, event: str, source: str, due_s: float, replies: Mapping[str, ReplyLikes], of: int
    ) -> None:
        """Learn from the replies of an event whose likes come no more.

        Args:
            event: The event.
            source: Its source.
            due_s: When its likes were complete; events come in this order.
            replies: Reply -> likes, of a sample of its replies.
            of: How many replies it had.
        """
        if (due_s, event) <= self._upto:
            return
        self._upto, self.has_changed = (due_s, event), True
        expected = self.of(source)
        in_order = sorted(replies.items(), key=lambda one: (one[1].at_s, one[0]))
        places = [
            number * max(of, len(in_order)) // len(in_order) for number in range(len(in_order))
        ]
        for likes in replies.values():
            likes.pass_to(due_s)
        level = expected.level((likes.now for likes in replies.values()), places)
        for place, (_, likes) in zip(places, in_order, strict=True):
            expected.learn(place, likes.now, likes.seen, level)
        self._metrics.responder_learnt_replies.labels(source=self._name(source)).inc(len(in_order))

    def stored(self) -> dict[str, bytes]:
        """Return what is to be kept for `restore`."""
        found = {f"{_CURVE}{name}": one.sums() for name, one in self._curves.items()}
        return {
            name: msgspec.json.encode(what) for name, what in {**found, _UPTO: self._upto}.items()
        }

    def is_kept(self) -> None:
        """Note that what `stored` gave last is kept."""
        self.has_changed = False

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take up what was kept; what cannot be read is said, and learnt anew."""
        for name, value in stored.items():
            try:
                if name == _UPTO:
                    self._upto = msgspec.json.decode(value, type=tuple[float, str])
                elif name.startswith(_CURVE):
                    sums = msgspec.json.decode(value, type=list[list[float]])
                    self.of(name.removeprefix(_CURVE)).restore(sums)
            except (msgspec.MsgspecError, ValueError) as error:
                _log.error("stored likes cannot be read and are learnt anew", name=name,
                           reason=str(error))  # fmt: skip


class LikesSample:
    """The replies of an event that are learnt from, the same in whatever order they come."""

    def __init__(self) -> None:
        self._greatest: list[tuple[int, str]] = []
        self.replies: dict[str, ReplyLikes] = {}

    def add(self, reply: str, likes: ReplyLikes) -> None:
        """Take in a reply, unless enough have lesser hashes."""
        if reply not in self.replies:
            heappush(self._greatest, (-crc32(reply.encode()), reply))
        self.replies[reply] = likes
        while len(self.replies) > SAMPLED:
            # Also what was removed meanwhile comes up here.
            self.replies.pop(heappop(self._greatest)[1], None)

    def remove(self, reply: str) -> None:
        """Forget a reply."""
        self.replies.pop(reply, None)
