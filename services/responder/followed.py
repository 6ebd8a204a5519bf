"""One post that takes off: its replies as they are ranked, and what else is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.clock import from_epoch_ms
from core.crowd_schemas import CrowdTurned
from core.response_schemas import Response, ShownReply
from models.popalm.expected_likes import ExpectedLikes
from models.popalm.ranking import CAPACITY, EventReplies
from models.socialalign.crowd_start import ModelForecast
from models.socialalign.live import LiveCrowd
from services.minhash import signature_of
from services.responder.crowd_told import crowd_of
from services.responder.intake import TextSeen
from services.responder.learning import LikesSample, ReplyLikes
from stream.store.response_texts import post_name

NO_TEXT: Final = "the post is not remembered"
_MICRO: Final = 1_000_000


@dataclass(slots=True)
class Beside:
    """What is shown beside real replies.

    Attributes:
        shown: The replies, at most so many as may be.
        why: Why there are none.
        texts: Of quoted ones, post -> text.
    """

    shown: tuple[ShownReply, ...] = ()
    why: str = ""
    texts: dict[str, str] = field(default_factory=dict[str, str])


class FollowedEvent:
    """A post from when it takes off until its replies' likes come no more. Not thread-safe.

    Args:
        name: The post, as `post_name` writes it.
        source, post_id: Its parts.
        began_s: When it began to take off, in seconds since 1970.
        expected: What is learnt of its source.
        topic: The query for which it took off.
        posted_s: When it was published; None: when it began.

    Attributes:
        text: The text of the post; "" where it is not remembered.
        firing: The events (one a query) that are not over.
        ended_s: When it was over; None while it is not.
        withdrawn: The post was deleted.
        crowd: How its replies divide, beside what was expected; None before it is known.
        turned: The turn of its crowd that was told and is not over.
        replies: Its replies, ranked.
        sample: Those that are learnt from.
        quoted, generated: What is shown beside them.
        is_asked: It was looked for.
        model_version, seed: Of what was generated.
        has_changed: Something is to be shown that was not.
        is_urgent: It is to be shown at once.
        told: What was shown last; None at first.
        told_at_s: When (monotonic).
    """

    def __init__(
        self, name: str, source: str, post_id: str, began_s: float, expected: ExpectedLikes,
        topic: str = "", posted_s: float | None = None,
    ) -> None:  # fmt: skip
        self.name, self.source, self.post_id, self.began_s = name, source, post_id, began_s
        self.topic, self.posted_s = topic, began_s if posted_s is None else posted_s
        self.turned: CrowdTurned | None = None
        self.crowd: LiveCrowd | None = None
        self.said: ModelForecast | None = None
        self.text = ""
        self.firing: set[str] = set()
        self.ended_s: float | None = None
        self.withdrawn = False
        self.replies = EventReplies(expected, signature_of)
        self.sample = LikesSample()
        self.likes: dict[str, ReplyLikes] = {}
        self.quoted, self.generated = Beside(), Beside()
        self.model_version, self.seed = "", 0
        self.is_asked = False
        self.has_changed = self.is_urgent = True
        self.told: Response | None = None
        self.told_at_s = float("-inf")

    def takes(self, ingested_s: float, memory_s: float) -> bool:
        """Tell whether a reply that ingest took at a time is one of this event."""
        end_s = self.began_s + memory_s if self.ended_s is None else self.ended_s
        return self.began_s - memory_s <= ingested_s <= end_s and not self.withdrawn

    def add(self, reply: TextSeen, likes: ReplyLikes) -> None:
        """Take in a reply, or its new text."""
        self.replies.add(reply.name, reply.text, reply.at_s, likes.now)
        self.likes[reply.name] = likes
        self.sample.add(reply.name, likes)
        if len(self.likes) > 4 * CAPACITY:
            self.likes = {name: one for name, one in self.likes.items() if name in self.replies}
        self.has_changed = True

    def observe(self, reply: str) -> None:
        """Rank a reply by the likes that it has now."""
        known = self.likes.get(reply) or self.sample.replies.get(reply)
        if known is not None and self.replies.observe(reply, known.now):
            self.has_changed = True

    def remove(self, reply: str) -> bool:
        """Forget a deleted reply; tell whether it was known."""
        self.sample.remove(reply)
        self.likes.pop(reply, None)
        was_known = self.replies.remove(reply)
        if self.unquote(reply) or was_known:
            self.has_changed = self.is_urgent = True
        return was_known

    def unquote(self, post: str) -> bool:
        """Quote a deleted post no more, nor what was said to it; tell whether it was quoted."""
        kept = tuple(
            one for one in self.quoted.shown
            if post not in (self.named(one.reply_id), self.named(one.event_post))
        )  # fmt: skip
        if len(kept) == len(self.quoted.shown):
            return False
        names = {self.named(one.reply_id) for one in kept}
        texts = {name: text for name, text in self.quoted.texts.items() if name in names}
        self.quoted = Beside(kept, "" if kept else "what was quoted is deleted", texts)
        self.has_changed = self.is_urgent = True
        return True

    def named(self, post_id: str) -> str:
        """Return the name of a post of the same source."""
        return post_name(self.source, post_id)

    def withdraw(self) -> None:
        """Show nothing any more: the post was deleted."""
        self.withdrawn = self.has_changed = self.is_urgent = True
        self.text, self.quoted, self.generated = "", Beside(), Beside()
        self.crowd = self.turned = None
        self.replies = EventReplies(ExpectedLikes(), signature_of, 1)
        self.sample = LikesSample()
        self.likes = {}

    def end(self, at_s: float) -> None:
        """Say that it is over: what comes later is not of this event."""
        if self.ended_s is None:
            self.ended_s, self.has_changed, self.is_urgent = at_s, True, True

    def go_on(self) -> None:
        """Say that it is not over: it takes off again, or for another query."""
        self.ended_s, self.has_changed = None, True

    def response(self, shown: int, clock_s: float) -> tuple[Response, dict[str, str]]:
        """Return what is to be shown, and the texts that go with it.

        Args:
            shown: The number of replies at most.
            clock_s: The stream's time, in seconds since 1970.
        """
        made_at = from_epoch_ms(round(clock_s * 1000))
        if self.withdrawn:
            gone = Response(
                post_id=self.post_id, source=self.source, made_at=made_at, state="withdrawn"
            )
            return gone, {}
        cut = len(self.source) + 1
        ranked = self.replies.top(shown, clock_s)
        texts = {one.reply_id: one.text for one in ranked} | self.quoted.texts
        real = tuple(
            ShownReply(
                kind="real", reply_id=one.reply_id[cut:], likes=one.likes,
                expected=round(one.expected * _MICRO) / _MICRO, copies=len(one.copies),
            )
            for one in ranked
        )  # fmt: skip
        beside = self.quoted.shown + self.generated.shown
        why = (
            ""
            if beside
            else "; ".join(dict.fromkeys(filter(None, (self.quoted.why, self.generated.why))))
        )
        if self.text:
            texts[self.name] = self.text
        response = Response(
            post_id=self.post_id, source=self.source, made_at=made_at,
            state="current" if self.ended_s is None else "over", seen=self.replies.arrived,
            replies=(real + beside)[:shown], no_forecast=why,
            model_version=self.model_version, seed=self.seed,
            crowd=crowd_of(self.crowd, self.turned),
        )  # fmt: skip
        named = {self.named(one.reply_id) for one in response.replies} | {self.name}
        return response, {name: text for name, text in texts.items() if name in named}

    def go_on_from(self, told: Response, texts: Mapping[str, str]) -> None:
        """Take up what an earlier responder has shown of this event."""
        self.told, self.is_asked = told, True
        for kind, beside in (("quoted", self.quoted), ("generated", self.generated)):
            beside.shown = tuple(one for one in told.replies if one.kind == kind)
            beside.why = "" if beside.shown else told.no_forecast
        quoted = {self.named(one.reply_id) for one in self.quoted.shown}
        self.quoted.texts = {name: text for name, text in texts.items() if name in quoted}
        self.model_version, self.seed = told.model_version, told.seed

    def is_news(self, response: Response) -> bool:
        """Tell whether a response says something that the last one did not."""
        return self.told is None or _said(response) != _said(self.told)


def _said(response: Response) -> tuple[object, ...]:
    """Return what makes a response another: neither its time nor a like more."""
    replies = [(one.kind, one.reply_id, one.text, one.copies) for one in response.replies]
    return response.state, replies, response.no_forecast, response.crowd
