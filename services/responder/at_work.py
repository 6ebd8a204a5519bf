"""What an active responder does with what it reads: taken in, looked for, told, kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from core.clock import Clock, epoch_ms
from core.codec import response_decoder
from core.errors import DecodeError
from core.forecast_schemas import ForecastEvent
from core.logs import get_logger
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from services.responder.beside import BesideReal
from services.responder.crowd_asking import CrowdAsking
from services.responder.followed import FollowedEvent
from services.responder.following import FollowedEvents
from services.responder.generating import Generation
from services.responder.intake import ReplyIntake, Said, TakeOffSaid, TextGone
from services.responder.learning import LikeCurves
from services.responder.publishing import ResponsePublisher
from services.responder.reading import ReadSoFar
from stream.store.response_texts import ResponseTexts, StoredResponse
from stream.topics import EVENTS, POST_EVENTS, POSTS, SCORED_POSTS

_log = get_logger(__name__)

UPTO: Final = "deletions:"
_KEEP_EVERY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ResponderParts:
    """What an active responder is made of.

    Attributes:
        settings: The responder's settings.
        texts: The store of texts.
        publisher: Tells and keeps responses.
        generation: Asks the model that writes replies.
        crowd: Asks the model of crowds.
        clock: The present time.
        metrics: The metrics of this process.
    """

    settings: ResponderSettings
    texts: ResponseTexts
    publisher: ResponsePublisher
    generation: Generation
    crowd: CrowdAsking
    clock: Clock
    metrics: Metrics


class ResponderAtWork:
    """Made when this process becomes active, thrown away when it is not any more.

    Args:
        parts: What it is made of.
        known: What was kept by `stored`.
        past: The events that are kept.
        since_ms: What was said before is not followed any more, ms since 1970.

    Attributes:
        events: What is followed.
        intake: How records are read.
    """

    def __init__(
        self, parts: ResponderParts, known: Mapping[str, bytes], past: list[StoredResponse],
        since_ms: int = 0,
    ) -> None:  # fmt: skip
        self._parts = parts
        self._since_ms = since_ms
        self._curves = LikeCurves(parts.metrics)
        self._curves.restore(known)
        self.events = FollowedEvents(parts.settings, self._curves, parts.metrics)
        self.events.crowds.restore(known, epoch_ms(parts.clock.now()) / 1000)
        self.events.turns.restore(known)
        self.intake = ReplyIntake(parts.clock, parts.metrics)
        self._beside = BesideReal(parts.settings, parts.texts, parts.generation, parts.metrics)
        self._told = {one.event: one for one in past}
        for one in past:
            if one.event in one.texts:
                self.events.past.add(one.event, one.texts[one.event])
        self._to_remove: list[str] = []
        self._upto: Mapping[int, int] = {}
        self._kept_at_s = float("-inf")
        self._is_caught_up = False
        self._evicted = {"posts": 0, "bytes": 0}
        self.behind_s = 0.0

    # -- reading ------------------------------------------------------------------------------

    def take(self, read: ReadSoFar) -> None:
        """Take in what was read; nothing of it is brought a second time."""
        readers = {
            EVENTS: self.intake.take_off,
            POSTS: self.intake.post,
            SCORED_POSTS: self.intake.rated,
            POST_EVENTS: self.intake.event,
        }
        for topic, records in read.records.items():
            for record in records:
                said: Said | None = readers[topic](record)
                is_late = record.timestamp_ms < self._since_ms
                if isinstance(said, TakeOffSaid) and is_late:  # turns are read from the first on
                    self._parts.metrics.response_left_out.labels(what="event", reason="late").inc()
                    continue
                if isinstance(said, TextGone):
                    self._to_remove.append(said.name)
                if said is not None:
                    self.events.take(said)
        now_ms = epoch_ms(self._parts.clock.now())
        lags = {topic: max(0, now_ms - ms) / 1000 for topic, ms in read.written_ms.items()}
        for topic in (POSTS, SCORED_POSTS, POST_EVENTS):
            lag_s = lags.get(topic, 0.0)
            self._parts.metrics.responder_lag_seconds.labels(topic=topic).set(lag_s)
        self.behind_s = max(lags.values(), default=0.0)
        self._upto = read.events_upto or self._upto

    # -- telling ------------------------------------------------------------------------------

    async def tell(self, read: ReadSoFar) -> None:
        """Carry out deletions, and once all is read tell what is new.

        Raises:
            TransientError: Broker or store do not answer; what is left is done by the next call.
        """
        if self._to_remove:
            await self._parts.publisher.remove(self._to_remove)
            self._to_remove = []
        if read.is_caught_up and not self._is_caught_up:
            self._is_caught_up = True
            await self._go_on()
        if self._is_caught_up:
            await self._parts.crowd.look(self.events)
            self.events.let_pass(self.intake.clock_s)
            self._beside.take_answers(self.events)
            for event in list(self.events.events.values()):
                await self._tell(event)
            events = self.events
            await self._tell_turns(
                events.turns.left(events.events, events.is_gone, self.intake.clock_s)
            )
        await self._keep()
        self._show()

    async def _go_on(self) -> None:
        """Take up what an earlier responder has shown, and end what ended without one."""
        for name, stored in self._told.items():
            try:
                told = response_decoder.decode(stored.response)
            except DecodeError as error:
                _log.error("a stored response cannot be read", post=name, reason=error.reason)
                continue
            event = self.events.events.get(name)
            if event is not None and not event.withdrawn:
                event.go_on_from(told, stored.texts)
            elif event is None and told.state == "current":
                crowd = told.crowd
                if crowd is not None:
                    crowd = msgspec.structs.replace(crowd, turned=None)
                over = msgspec.structs.replace(told, state="over", crowd=crowd)
                await self._parts.publisher.publish(over, dict(stored.texts))
        self._told = {}

    async def _tell(self, event: FollowedEvent) -> None:
        parts, now_s = self._parts, self._parts.clock.monotonic()
        is_due = event.is_urgent or now_s - event.told_at_s >= parts.settings.every_s
        if not event.has_changed or not is_due:
            return
        turns, clock_s = self.events.turns, self.intake.clock_s
        began_s = self.events.crowds.starts.began_s(event)
        await self._tell_turns(turns.look(event, began_s, clock_s))
        await self._beside.look(event, self.events, self.behind_s)
        response, texts = event.response(parts.settings.shown, clock_s)
        if event.is_news(response):
            await parts.publisher.publish(response, texts)
            event.told = response
        event.told_at_s, event.has_changed, event.is_urgent = now_s, False, False

    async def _tell_turns(self, turns: list[ForecastEvent]) -> None:
        """Tell turns of crowds, each known as told once it is acknowledged."""
        for one in turns:
            await self._parts.publisher.publish_turn(one)
            self.events.turns.read(one)

    async def _keep(self) -> None:
        """Keep what the next responder must know; see whether Redis still has all of it."""
        now_s = self._parts.clock.monotonic()
        kept = (self._curves, self.events.crowds, self.events.turns)
        has_changed = any(one.has_changed for one in kept)
        if now_s - self._kept_at_s < _KEEP_EVERY_S and not has_changed:
            return
        fields: dict[str, bytes | int] = {f"{UPTO}{p}": at for p, at in self._upto.items()}
        for one in kept:
            if one.has_changed:
                fields |= one.stored()
        await self._parts.texts.keep(fields)
        self._kept_at_s = now_s
        for one in kept:
            one.is_kept()

    def _show(self) -> None:
        metrics, memory = self._parts.metrics, self.events.memory
        metrics.responder_catching_up.set(not self._is_caught_up)
        metrics.responder_followed_events.set(sum(1 for _ in self.events.followed()))
        self.events.crowds.show(self.events.followed())
        self.events.turns.show(self.intake.clock_s)
        metrics.responder_remembered_posts.set(len(memory))
        metrics.responder_remembered_bytes.set(memory.bytes)
        for limit, before in self._evicted.items():
            metrics.responder_evicted_posts.labels(limit=limit).inc(memory.evicted[limit] - before)
            self._evicted[limit] = memory.evicted[limit]


def deletions_upto(known: Mapping[str, bytes]) -> dict[int, int]:
    """Return partition of `post-events` -> the offset up to which deletions were carried out."""
    found: dict[int, int] = {}
    for name, value in known.items():
        number = name.removeprefix(UPTO)
        if name.startswith(UPTO) and number.isdigit() and value.isdigit() and len(value) < 19:
            found[int(number)] = int(value)
    return found
