"""All posts that take off: which are followed, and where each reply, like and deletion belongs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.logs import get_logger
from core.metrics import Metrics
from core.responder_settings import ResponderSettings
from services.responder.crowd_turns import CrowdTurns
from services.responder.crowds import FollowedCrowds
from services.responder.followed import FollowedEvent
from services.responder.intake import (
    AnswerRated,
    LikesSeen,
    PostRated,
    Said,
    TakeOffSaid,
    TextEdited,
    TextGone,
    TextSeen,
    TurnTold,
)  # fmt: skip
from services.responder.learning import LikeCurves, ReplyLikes
from services.responder.memory import RecentPosts
from services.responder.similar import PastEvents

_log = get_logger(__name__)

_OVER_FOR_EACH: Final = 4
"""Events that are over wait for the likes of their replies; so many times those followed."""
_MAX_GONE: Final = 200_000
"""Deletions remembered, in case their posts are read after them."""


class FollowedEvents:
    """What is said by the topics becomes what is known of each event. Not thread-safe.

    Args:
        settings: The responder's settings.
        curves: What is learnt of likes.
        metrics: The metrics of this process.

    Attributes:
        memory: The last posts.
        past: The texts of events.
        crowds: How crowds answer.
        turns: What was told of crowds that have turned.
        events: Post -> its event, followed or over.
    """

    def __init__(self, settings: ResponderSettings, curves: LikeCurves, metrics: Metrics) -> None:
        self._settings = settings
        self._curves = curves
        self._metrics = metrics
        self.memory = RecentPosts(settings.memory_posts, settings.memory_bytes)
        self.past = PastEvents()
        self.crowds = FollowedCrowds(settings, metrics)
        self.turns = CrowdTurns(settings, metrics)
        self.events: dict[str, FollowedEvent] = {}
        self._event_of: dict[str, FollowedEvent] = {}
        self._gone: dict[str, None] = {}

    def take(self, said: Said) -> None:
        """Take in what a record says."""
        match said:
            case TextSeen():
                self._post(said)
            case LikesSeen():
                self._likes(said)
            case TextEdited():
                self._edit(said)
            case TextGone():
                self._delete(said.name)
            case TakeOffSaid():
                self._take_off(said)
            case TurnTold():
                self.turns.read(said.event)
            case PostRated():
                if said.name not in self._gone:
                    self.crowds.heads.add(said.name, said.ingested_s, said.heads)
            case AnswerRated():
                if said.name not in self._gone:
                    self.crowds.take(said, self.events)

    def is_gone(self, name: str) -> bool:
        """Tell whether a post is known to be deleted."""
        return name in self._gone

    def followed(self) -> Iterator[FollowedEvent]:
        """Yield the events that are not over."""
        return (one for one in self.events.values() if one.ended_s is None and not one.withdrawn)

    def let_pass(self, clock_s: float) -> None:
        """End what was followed long enough, and learn from what is complete, in that order.

        Args:
            clock_s: The stream's time, in seconds since 1970.
        """
        memory_s = self._settings.memory_s
        self.memory.forget_before(clock_s - memory_s)
        self._end_before(clock_s)
        self.crowds.let_pass(self.events, clock_s)
        complete = [
            (event.began_s + 2 * memory_s, name) for name, event in self.events.items()
            if event.began_s + 2 * memory_s < clock_s
        ]  # fmt: skip
        for due_s, name in sorted(complete):
            event = self.events[name]
            self._curves.learn(
                name, event.source, due_s, event.sample.replies, event.replies.arrived
            )
            if not event.has_changed:  # its last word is said
                self._let_go(name)

    def _end_before(self, clock_s: float) -> None:
        for event in list(self.followed()):
            if event.began_s + self._settings.memory_s < clock_s:
                event.end(event.began_s + self._settings.memory_s)

    def _let_go(self, name: str) -> None:
        event = self.events.pop(name)
        for reply in [*event.likes, *event.sample.replies]:
            self._event_of.pop(reply, None)

    def _post(self, post: TextSeen) -> None:
        if self.memory.get(post.name) is not None:
            return
        self.past.read(post.name, post.text)
        if post.name in self._gone:
            self._place_of_gone(post)
            return
        self.memory.add(post)
        event = self.events.get(post.name)
        if event is not None and not event.text and not event.withdrawn:
            self._know_text(event, post.text)
        root = self.events.get(post.root) if post.root else None
        if root is None:
            return
        if root.takes(post.ingested_s, self._settings.memory_s):
            self._attach(root, post)
        elif not root.withdrawn:
            self._leave_out("reply", "late")

    def _place_of_gone(self, post: TextSeen) -> None:
        """A reply that is deleted already still came before others."""
        root = self.events.get(post.root) if post.root else None
        if root is not None and root.takes(post.ingested_s, self._settings.memory_s):
            root.replies.add(post.name, "", post.at_s)
            root.replies.remove(post.name)

    def _attach(self, event: FollowedEvent, reply: TextSeen) -> None:
        dropped = event.replies.dropped
        is_new = reply.name not in event.replies
        event.add(reply, self.memory.likes_of(reply.name) or ReplyLikes(reply.at_s))
        self._event_of[reply.name] = event
        self._count("ranked", is_new)
        self._count("dropped", event.replies.dropped - dropped)

    def _count(self, outcome: str, number: int = 1) -> None:
        self._metrics.responder_replies.labels(outcome=outcome).inc(number)

    def _leave_out(self, what: str, reason: str) -> None:
        self._metrics.response_left_out.labels(what=what, reason=reason).inc()

    def _know_text(self, event: FollowedEvent, text: str) -> None:
        event.text, event.has_changed = text, True
        self.past.add(event.name, text)

    def _likes(self, said: LikesSeen) -> None:
        event = self._event_of.get(said.name)
        likes = self.memory.likes_of(said.name)
        if event is not None:
            likes = event.likes.get(said.name) or event.sample.replies.get(said.name) or likes
        if likes is not None:
            likes.take(said.likes, said.at_s)
        if event is not None and event.ended_s is None:
            event.observe(said.name)

    def _edit(self, said: TextEdited) -> None:
        post = self.memory.edit(said.name, said.text)
        event = self.events.get(said.name)
        if event is not None and event.text:
            self._know_text(event, said.text)
        root = self._event_of.get(said.name)
        likes = root.likes.get(said.name) if root is not None else None
        if root is not None and post is not None and likes is not None:
            root.add(post, likes)
        elif root is not None and not root.withdrawn:
            self._leave_out("edit", "late")  # its post is forgotten: the older text stays

    def _delete(self, name: str) -> None:
        self._gone[name] = None
        while len(self._gone) > _MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self.memory.remove(name)
        self.past.remove(name)
        self.crowds.remove(name, self._event_of.get(name), self.events)
        if (own := self.events.get(name)) is not None and not own.withdrawn:
            own.withdraw()
        if (root := self._event_of.pop(name, None)) is not None and root.remove(name):
            self._count("deleted")
        for event in self.events.values():
            event.unquote(name)

    def _take_off(self, said: TakeOffSaid) -> None:
        event = self.events.get(said.name)
        if said.is_firing:
            if event is None:
                event = self._begin(said)
            elif event.ended_s is not None and said.at_s < event.began_s + self._settings.memory_s:
                ended_s = event.ended_s
                event.go_on()
                self._attach_remembered(event, ended_s)
            if event is not None:
                event.firing.add(said.event_id)
        elif event is not None:
            event.firing.discard(said.event_id)
            if said.is_deleted:
                self._delete(said.name)
            elif not event.firing:
                event.end(said.at_s)
                self.crowds.cut(event)

    def _begin(self, said: TakeOffSaid) -> FollowedEvent | None:
        most = self._settings.max_events
        self._end_before(said.at_s)  # read anew, those of hours come at once
        if sum(1 for _ in self.followed()) >= most or len(self.events) >= most * _OVER_FOR_EACH:
            self._leave_out("event", "full")
            _log.warning("an event is not followed, as too many are", most=most)
            return None
        event = FollowedEvent(
            said.name, said.source, said.post_id, said.at_s, self._curves.of(said.source),
            said.topic, said.posted_s,
        )  # fmt: skip
        self.events[said.name] = event
        if said.name in self._gone:
            event.withdraw()
            return event
        post = self.memory.get(said.name)
        if post is not None:
            self._know_text(event, post.text)
        self._attach_remembered(event)
        return event

    def _attach_remembered(self, event: FollowedEvent, after_s: float = float("-inf")) -> None:
        for reply in list(self.memory.replies_to(event.name)):
            if event.takes(reply.ingested_s, self._settings.memory_s):
                self._attach(event, reply)
        self.crowds.look_again(event, after_s)
