"""How crowds answer what is followed: the sentiment of replies held against what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Final

import msgspec

from core.heads import SENTIMENT
from core.logs import get_logger
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from models.socialalign.crowd_start import CrowdStart
from models.socialalign.live import LiveCrowd, SourceCrowds
from services.responder.crowd_starts import CrowdStarts
from services.responder.crowds_kept import read_source, read_upto
from services.responder.crowds_shown import show_crowds
from services.responder.followed import FollowedEvent
from services.responder.intake import AnswerRated
from services.responder.post_heads import RememberedHeads

_log = get_logger(__name__)

_MAX_SOURCES: Final = 64
_OTHER: Final = "other"
_OF_SOURCE: Final = "crowd:"
_UPTO: Final = "crowds-upto"


class FollowedCrowds:
    """The crowds of all events that are followed. Not thread-safe.

    What is expected of an event is said once, by what was learnt of events that were over by its
    beginning; an event is learnt from once, in the order of the time when it was. After a restart
    both are taken up, so the same is expected.

    Args:
        settings: The responder's settings.
        metrics: The metrics of this process.

    Attributes:
        starts: What was expected of each when it began.
        heads: What the post encoder says of the last posts.
        has_changed: There is something to be kept.
        evicted: Answers that were forgotten for want of room.
    """

    def __init__(self, settings: ResponderSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._sources: dict[str, SourceCrowds] = {}
        self._answers: dict[str, AnswerRated] = {}
        self._of_root: dict[str, dict[str, None]] = {}
        self.starts = CrowdStarts(settings)
        self.heads = RememberedHeads(settings.memory_posts)
        self._changed: set[str] = set()
        self._upto: tuple[float, str] = (0.0, "")
        self._has_learnt = False
        self.has_changed = False
        self._restored_upto_s = 0.0
        self.evicted = 0

    # -- answers ------------------------------------------------------------------------------

    def take(self, answer: AnswerRated, events: Mapping[str, FollowedEvent]) -> None:
        """Take in the sentiment of a reply, before or after its event begins."""
        if answer.heads:
            self.heads.add(answer.name, answer.ingested_s, answer.heads)
        known = self._answers.get(answer.name)
        if not answer.root:
            if known is None:
                # It may have been forgotten, be no answer to any event, or come before it is read.
                self._count("edit_of_unknown")
                return
            answer = replace(known, label=answer.label)
        elif known is not None:
            return  # a worker that was killed says it twice
        self._answers[answer.name] = answer
        self._of_root.setdefault(answer.root, {})[answer.name] = None
        while len(self._answers) > self._settings.memory_posts:
            self._forget(next(iter(self._answers)))
            self.evicted += 1
            self._count("forgotten")
        event = events.get(answer.root)
        if event is not None and event.crowd is not None:
            self._attach(event, event.crowd, answer)

    def remove(
        self, name: str, event: FollowedEvent | None, events: Mapping[str, FollowedEvent]
    ) -> None:
        """Forget a deleted reply.

        Args:
            name: The reply.
            event: The event to which it belongs, if that is known.
            events: All events.
        """
        self.heads.remove(name)
        known = self._forget(name)
        if event is None and known is not None:
            event = events.get(known.root)
        if event is not None and event.crowd is not None and event.crowd.remove(name):
            event.has_changed = True
            self._count("deleted")

    def look_again(self, event: FollowedEvent, after_s: float = float("-inf")) -> None:
        """Take in the remembered replies that came while an event took them.

        Args:
            event: The event.
            after_s: Those that ingest took until then were taken in before, seconds since 1970.
        """
        if event.crowd is None:
            return
        for name in self._of_root.get(event.name, ()):
            if self._answers[name].ingested_s > after_s:
                self._attach(event, event.crowd, self._answers[name])

    def cut(self, event: FollowedEvent) -> None:
        """Forget the replies that came after an event's end, now that it is known."""
        if event.crowd is None:
            return
        for name in self._of_root.get(event.name, ()):
            is_taken = event.takes(self._answers[name].ingested_s, self._settings.memory_s)
            if not is_taken and event.crowd.remove(name):
                event.has_changed = True

    def _attach(self, event: FollowedEvent, crowd: LiveCrowd, answer: AnswerRated) -> None:
        if not event.takes(answer.ingested_s, self._settings.memory_s):
            return
        dropped = crowd.dropped
        outcome = "copy" if answer.is_copy else "unrated" if answer.label is None else "counted"
        if answer.label is None or answer.is_copy:
            is_new = crowd.leave_out(answer.name, outcome)
        else:
            is_new = crowd.add(answer.name, answer.at_s, answer.label)
        event.has_changed |= is_new
        self._count(outcome, is_new)
        self._count("dropped", crowd.dropped - dropped)

    def _forget(self, name: str) -> AnswerRated | None:
        known = self._answers.pop(name, None)
        if known is not None:
            others = self._of_root[known.root]
            del others[name]
            if not others:
                del self._of_root[known.root]
        return known

    def _count(self, outcome: str, number: int = 1) -> None:
        if number:
            self._metrics.crowd_answers.labels(outcome=outcome).inc(number)

    # -- time ---------------------------------------------------------------------------------

    def unasked(self, events: Mapping[str, FollowedEvent]) -> list[FollowedEvent]:
        """Return the events of which nothing is expected yet, in the order of their times."""
        found = [
            event for event in events.values()
            if event.crowd is None and event.said is None and not event.withdrawn
            and self.starts.of(event) is None and event.began_s > self._restored_upto_s
        ]  # fmt: skip
        return sorted(found, key=lambda one: (one.began_s, one.name))

    def usual(self, event: FollowedEvent) -> Sequence[float]:
        """Return (C,) the usual shares of an event's topic, by what is learnt by now."""
        return self._of(event.source).usual(event.topic)

    def let_pass(
        self, events: Mapping[str, FollowedEvent], clock_s: float,
        before: FollowedEvent | None = None,
    ) -> None:  # fmt: skip
        """Begin what begins and learn from what is over, in the order of their times.

        Args:
            events: What is followed or over.
            clock_s: The stream's time, in seconds since 1970.
            before: The event before whose beginning it ends; None: nothing is left.
        """
        known = [event for event in events.values() if not event.withdrawn]
        due = [(event.began_s, True, event) for event in known if event.crowd is None]
        over = [(self._over_s(event), False, event) for event in known]
        due += [one for one in over if one[0] <= clock_s]
        last = (inf, True, "") if before is None else (before.began_s, True, before.name)
        for at_s, is_begin, event in sorted(due, key=lambda one: (one[0], one[1], one[2].name)):
            if (at_s, is_begin, event.name) >= last:
                break
            if is_begin:
                self._begin(event)
            else:
                self._learn(at_s, event)
        self._forget_before(clock_s)

    def _forget_before(self, clock_s: float) -> None:
        self.starts.forget_before(clock_s)
        self.heads.forget_before(clock_s - self._settings.memory_s)
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if oldest.ingested_s >= clock_s - self._settings.memory_s:
                break
            self._forget(oldest.name)

    def _begin(self, event: FollowedEvent) -> None:
        kept = self.starts.of(event)
        start = self._start_of(event) if kept is None else kept[1]
        if kept is None:
            self.starts.add(event, start)
            self.has_changed = True
        if start is not None:
            event.crowd, event.has_changed = LiveCrowd(start), True
            self.look_again(event)

    def _over_s(self, event: FollowedEvent) -> float:
        return self.starts.began_s(event) + 2 * self._settings.memory_s

    def _start_of(self, event: FollowedEvent) -> CrowdStart | None:
        """Return what is expected; None if what was taken up knows of what came after it began."""
        if event.began_s <= self._restored_upto_s:
            self._metrics.response_left_out.labels(what="crowd", reason="began_before").inc()
            return None
        return self._of(event.source).start(event.topic, event.said)

    def _learn(self, due_s: float, event: FollowedEvent) -> None:
        if event.crowd is None or (due_s, event.name) <= self._upto:
            return
        self._upto, self._has_learnt, self.has_changed = (due_s, event.name), True, True
        source, name = self._of(event.source), self._name(event.source)
        source.learn(event.crowd)
        self._changed.add(name)
        for system, score in source.log_scores.items():
            self._metrics.crowd_log_score.labels(source=name, system=system).set(score)
        self._metrics.crowd_strength.labels(source=name).set(source.strength)

    def _of(self, source: str) -> SourceCrowds:
        return self._sources.setdefault(self._name(source), SourceCrowds(len(SENTIMENT)))

    def _name(self, source: str) -> str:
        is_full = source not in self._sources and len(self._sources) >= _MAX_SOURCES
        return _OTHER if is_full else source

    # -- restarts -----------------------------------------------------------------------------

    def stored(self) -> dict[str, bytes]:
        """Return what is to be kept for `restore`: what has changed since it was kept last."""
        found: dict[str, Any] = {
            f"{_OF_SOURCE}{name}": self._sources[name].sums() for name in self._changed
        }
        if self._has_learnt:
            found[_UPTO] = self._upto
        return self.starts.stored() | {
            name: msgspec.json.encode(what) for name, what in found.items()
        }

    def restore(self, stored: Mapping[str, bytes], now_s: float) -> None:
        """Take up what was kept; what cannot be read is said, and learnt anew.

        Args:
            stored: What `stored` gave.
            now_s: The present time, seconds since 1970.
        """
        self.starts.restore(stored)
        for name, value in stored.items():
            try:
                self._take_up(name, value, now_s)
            except (ValueError, OverflowError, RecursionError) as error:
                _log.error("what is stored of crowds cannot be read and is learnt anew", name=name,
                           reason=str(error))  # fmt: skip
        if self._sources and self._upto[0] <= 0:  # they may know of all that was until now
            self._upto, self._has_learnt = (now_s, ""), True
        self._restored_upto_s = self._upto[0]

    def _take_up(self, name: str, value: bytes, now_s: float) -> None:
        if name == _UPTO:
            self._upto = read_upto(value, now_s)
        elif name.startswith(_OF_SOURCE):
            self._sources[self._name(name.removeprefix(_OF_SOURCE))] = read_source(value)

    def is_kept(self) -> None:
        """Note that what `stored` gave last is kept."""
        self._changed.clear()
        self.starts.is_kept()
        self._has_learnt = self.has_changed = False

    def show(self, events: Iterable[FollowedEvent]) -> None:
        """Set what is shown of the events that are followed."""
        show_crowds(events, self._name, self._metrics)
