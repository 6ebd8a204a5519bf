"""What is shown beside real replies: quotes of similar past events, and what a model writes."""

from __future__ import annotations

from typing import Final

from core.codec import response_decoder
from core.errors import DecodeError
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from core.response_schemas import ShownReply
from services.responder.followed import NO_TEXT, Beside, FollowedEvent
from services.responder.following import FollowedEvents
from services.responder.generating import WHY, Generation
from stream.store.response_texts import ResponseTexts

_LOOKED_AT: Final = 5
"""Past events, the most similar first; of one the replies may be deleted."""
_WHY_NOT_QUOTED: Final = {
    "off": "nothing is quoted",
    "behind": "the responder is behind",
    "not_similar": "no past event is similar enough",
    "no_replies": "nobody's reply to a similar event is left",
}


class BesideReal:
    """Looks once for what an event is given beside its real replies.

    Args:
        settings: The responder's settings.
        texts: Where the texts of past events are.
        generation: Asks the model.
        metrics: The metrics of this process.
    """

    def __init__(
        self, settings: ResponderSettings, texts: ResponseTexts, generation: Generation,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._texts = texts
        self._generation = generation
        self._metrics = metrics

    async def look(self, event: FollowedEvent, events: FollowedEvents, behind_s: float) -> None:
        """Quote, and begin to generate, once the event's text is known.

        Args:
            event: The event.
            events: The others.
            behind_s: How far the responder is behind.

        Raises:
            StoreUnavailable: Redis does not answer; it is looked for again.
        """
        if event.is_asked or event.withdrawn or event.ended_s is not None:
            return
        if not event.text:
            event.quoted.why = event.generated.why = NO_TEXT
            return
        if behind_s > 2 * self._settings.shed_after_s:
            self._quote_none(event, "behind")
        else:
            await self._quote(event, events)
        reason = self._generation.ask(
            event.name, event.text, is_behind=behind_s > self._settings.shed_after_s
        )
        event.generated = Beside(why=WHY[reason] if reason else "")
        event.is_asked = True

    def take_answers(self, events: FollowedEvents) -> None:
        """Show what the model has answered by now, of events that are followed still."""
        for answered in self._generation.answers():
            event = events.events.get(answered.event)
            if event is None or event.withdrawn or event.ended_s is not None:
                continue
            found = answered.generated
            if found is None:
                event.generated = Beside(why=WHY[answered.reason])
            else:
                event.generated = Beside(tuple(
                    ShownReply(kind="generated", text=text, score=score)
                    for text, score in zip(found.texts, found.scores, strict=True)
                ))  # fmt: skip
                event.model_version, event.seed = found.model_version, found.seed
            event.has_changed = event.is_urgent = True

    async def _quote(self, event: FollowedEvent, events: FollowedEvents) -> None:
        if not self._settings.quoted:
            event.quoted = Beside(why=_WHY_NOT_QUOTED["off"])
            return
        similar = [
            (similarity, name)
            for similarity, name in events.past.similar(
                event.text, self._settings.similarity, event.name
            )
            # A response names posts of its own source.
            if name.startswith(f"{event.source}|") and not events.is_gone(name)
        ]
        found = Beside()
        for similarity, name in similar[:_LOOKED_AT]:
            await self._quote_one(found, event, name, similarity)
        if found.shown:
            event.quoted = found
        else:
            self._quote_none(event, "no_replies" if similar else "not_similar")

    async def _quote_one(
        self, found: Beside, event: FollowedEvent, past: str, similarity: float
    ) -> None:
        """Add the replies of a past event that lead there, as far as they are not deleted."""
        stored = await self._texts.event(past)
        if stored is None:
            return
        try:
            told = response_decoder.decode(stored.response)
        except DecodeError:
            return
        left = self._settings.quoted - len(found.shown)
        real = [
            one for one in told.replies
            if one.kind == "real" and event.named(one.reply_id) in stored.texts
        ]  # fmt: skip
        for one in real[:left]:
            found.texts[event.named(one.reply_id)] = stored.texts[event.named(one.reply_id)]
            found.shown += (
                ShownReply(
                    kind="quoted", reply_id=one.reply_id, likes=one.likes,
                    event_post=told.post_id, similarity=round(similarity, 3),
                ),
            )  # fmt: skip

    def _quote_none(self, event: FollowedEvent, reason: str) -> None:
        self._metrics.response_left_out.labels(what="quoted", reason=reason).inc()
        event.quoted = Beside(why=_WHY_NOT_QUOTED[reason])
