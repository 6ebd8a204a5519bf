"""Which crowds are said to have turned: enough evidence, and few enough in an hour.

A turn is told when the evidence has passed `responder.turn_evidence` after any answer that was not
looked at before, and the hour's budget of its query is not spent. It is over when the evidence is
below two thirds of that, when its post is followed no more, or when that is deleted. What was told
is read in the topic itself, so whoever takes over goes on from what was acknowledged, and the same
turn has the same `event_id` if it is told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from core.clock import epoch_ms
from core.crowd_schemas import CrowdTurned
from core.forecast_schemas import ForecastEvent
from core.logs import get_logger
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from models.socialalign.turns import CrowdPath
from services.forecaster.labels import BoundedLabels
from services.responder.crowd_told import Ended, turn_begins, turn_ends, turned_of
from services.responder.followed import FollowedEvent
from stream.store.response_texts import post_name

_log = get_logger(__name__)

OVER_AT: Final = 2 / 3
"""Of the evidence that begins a turn: below it the turn is over, and the next one may begin."""
HOUR_S: Final = 3_600
_HELD: Final = "crowds-held"
_NEVER: Final = float("-inf")


@dataclass(slots=True)
class _Post:
    """What was told of the turns of a post; times of answers in seconds since 1970.

    Attributes:
        told: The ids of its turns.
        firing: Those that are not over.
        after_s: Answers until then begin no turn: they were of one that is over.
        held_s: The same, of one that the budget has held back.
        is_held: One is held back now.
    """

    told: set[str] = field(default_factory=set[str])
    firing: dict[str, ForecastEvent] = field(default_factory=dict[str, ForecastEvent])
    after_s: float = _NEVER
    held_s: float = _NEVER
    is_held: bool = False

    def ends(self, ended: Ended, clock_s: float) -> list[ForecastEvent]:
        """Return the ends of its turns, of whose answers nothing is known any more."""
        return [turn_ends(one, None, ended, clock_s) for one in self.firing.values()]


class CrowdTurns:
    """The turns of all crowds that are followed. Not thread-safe.

    Args:
        settings: The responder's settings.
        metrics: The metrics of this process.

    Attributes:
        has_changed: There is something to be kept.
    """

    def __init__(self, settings: ResponderSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._labels = BoundedLabels(settings.max_events)
        self._posts: dict[str, _Post] = {}
        self._fired: dict[str, list[float]] = {}
        self.has_changed = False

    def read(self, event: ForecastEvent) -> None:
        """Take in what was told, by this process or an earlier one; again changes nothing."""
        name = post_name(event.source, event.post_id)
        post = self._posts.setdefault(name, _Post())
        if event.state == "resolved":
            post.told.add(event.event_id)
            post.firing.pop(event.event_id, None)
            if event.crowd is not None:
                post.after_s = max(post.after_s, epoch_ms(event.crowd.upto) / 1000)
        elif event.event_id not in post.told:
            post.told.add(event.event_id)
            post.firing[event.event_id] = event
            at_s = epoch_ms(event.decided_at) / 1000
            self._fired.setdefault(event.query, []).append(at_s)

    def look(self, event: FollowedEvent, began_s: float, clock_s: float) -> list[ForecastEvent]:
        """Return what is to be told of a post, to be given to `read` once it is.

        Also sets what its responses say of a turn.

        Args:
            event: The post that takes off, as it is now.
            began_s: When it took off, the same after a restart.
            clock_s: The stream's time, in seconds since 1970.
        """
        event.turned = None
        post = self._posts.setdefault(event.name, _Post())
        if event.withdrawn:
            return post.ends("deleted", clock_s)
        if event.crowd is None or (event.ended_s is not None and not post.firing):
            return post.ends("settled", clock_s)
        path, told = CrowdPath(event.crowd), list[ForecastEvent]()
        firing = list(post.firing.values())
        if not firing:
            firing = told = self._begin(post, event, path, began_s, clock_s)
        ended: Ended | None = "over" if self._is_over(path) else None
        if event.ended_s is not None:
            ended = "settled"
        for one in firing:
            now = _now_of(one, path)
            if ended is not None:
                told = [*told, turn_ends(one, now, ended, clock_s)]
            else:
                event.turned = now
        return told

    def _is_over(self, path: CrowdPath) -> bool:
        return path.now < OVER_AT * self._settings.turn_evidence

    def _begin(
        self, post: _Post, event: FollowedEvent, path: CrowdPath, began_s: float, clock_s: float
    ) -> list[ForecastEvent]:
        least, after_s = self._settings.turn_evidence, max(post.after_s, post.held_s)
        if (place := path.last_beyond(least, after_s)) is None:
            post.is_held = post.is_held and not self._is_over(path)
            return []
        query = event.topic or "all"
        if self._said(query, clock_s) >= self._settings.turns_per_hour:
            if not post.is_held:
                self._metrics.crowd_turns_held_back.labels(query=self._labels.label(query)).inc()
            self.has_changed |= path.upto_s > post.held_s
            post.is_held, post.held_s = True, path.upto_s
            return []
        post.is_held = False
        turned = turned_of(path.turned(place), place + 1, float(path.evidence[place]))
        return [turn_begins(
            turned, name=event.name, source=event.source, post_id=event.post_id, query=query,
            posted_s=event.posted_s, decided_s=clock_s, began_s=began_s, number=len(post.told),
        )]  # fmt: skip

    def _said(self, query: str, clock_s: float) -> int:
        """Return how many turns of a query were told in the last hour, and forget older ones."""
        told = [at_s for at_s in self._fired.get(query, ()) if at_s > clock_s - HOUR_S]
        self._fired[query] = told
        if not told:
            del self._fired[query]
        return len(told)

    def left(
        self, events: Container[str], is_gone: Callable[[str], bool], clock_s: float
    ) -> list[ForecastEvent]:
        """Return the ends of turns whose posts are not followed, and forget what is over of them.

        Args:
            events: The posts that are followed, or over but remembered.
            is_gone: Post -> whether it is deleted.
            clock_s: The stream's time, in seconds since 1970.
        """
        ends: list[ForecastEvent] = []
        for name, post in list(self._posts.items()):
            if name in events:
                continue
            ended: Ended = "deleted" if is_gone(name) else "settled"
            ends += post.ends(ended, clock_s)
            if not post.firing:
                self.has_changed |= post.held_s > _NEVER
                del self._posts[name]
        return ends

    def show(self, clock_s: float) -> None:
        """Set how many turns stand and were told in the last hour, by query."""
        firing: dict[str, int] = {}
        for post in self._posts.values():
            for one in post.firing.values():
                label = self._labels.label(one.query)
                firing[label] = firing.get(label, 0) + 1
        said: dict[str, int] = {}
        for query in list(self._fired):
            label = self._labels.label(query)
            said[label] = said.get(label, 0) + self._said(query, clock_s)
        for gauge, values in (
            (self._metrics.crowd_turns_firing, firing),
            (self._metrics.crowd_turn_budget_used, said),
        ):
            gauge.clear()
            for label, value in values.items():
                gauge.labels(query=label).set(value)

    # -- restarts -----------------------------------------------------------------------------

    def stored(self) -> dict[str, bytes]:
        """Return what is to be kept for `restore`: what was held back, which no topic says."""
        held = {name: post.held_s for name, post in self._posts.items() if post.held_s > _NEVER}
        return {_HELD: msgspec.json.encode(held)}

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take up what was kept; if it cannot be read that is said, and it may be told after all.

        Args:
            stored: What `stored` gave, among other things.
        """
        try:
            held = msgspec.json.decode(stored.get(_HELD, b"{}"), type=dict[str, float])
        except (ValueError, RecursionError) as error:
            _log.error("what is stored of turns held back cannot be read", reason=str(error))
            return
        for name, held_s in held.items():
            self._posts[name] = _Post(held_s=held_s, is_held=True)

    def is_kept(self) -> None:
        """Note that what `stored` gave last is kept."""
        self.has_changed = False


def _now_of(event: ForecastEvent, path: CrowdPath) -> CrowdTurned | None:
    """Return the answers of a turn by now; None if all of them are deleted."""
    if event.crowd is None:
        return None
    last = path.since(epoch_ms(event.crowd.since) / 1000)
    return None if last is None else turned_of(last, len(path.evidence), path.now)
