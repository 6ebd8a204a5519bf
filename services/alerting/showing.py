"""Past alerts for people: what each came to, and what the posts that show it say.

An alert names its example posts by id alone. Their texts are looked up in `posts`, so they are
there as long as that topic keeps them, and not once their author has deleted them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from core.codec import RecordDecoder, alert_decoder, post_decoder, post_event_decoder
from core.errors import DecodeError
from core.schemas import Alert, Post, PostEvent
from core.settings import KafkaSettings
from services.alerting.evidence import LAST_RECORDS
from services.kafka_client import read_topic
from services.kafka_client.messages import Record
from stream.topics import ALERTS, POST_EVENTS, POSTS

_T = TypeVar("_T", bound=msgspec.Struct)
GONE: Final = "gone"
DELETED: Final = "deleted"
THERE: Final = "there"
_LOOKED_BACK: Final = 4 * LAST_RECORDS
"""Records of each partition of `posts` before the alert was told: what its evidence was chosen
from, and as much again for the time between looking and telling, twice."""


@dataclass(frozen=True, slots=True)
class PastAlert:
    """A shift from its beginning to what is known of it last.

    Attributes:
        alert: The last record of it.
        severity: The highest that it had, 1 to 10.
        chosen_ms: When the first record with these example posts was written, in milliseconds since
            1970: the posts were written before.
    """

    alert: Alert
    severity: int
    chosen_ms: int

    def fields(self) -> dict[str, Any]:
        """Return it by name, as the topic has it, with the highest severity."""
        return msgspec.to_builtins(self.alert) | {"severity": self.severity}


@dataclass(frozen=True, slots=True)
class ExampleText:
    """What a post that shows an alert says now.

    Attributes:
        why: `typical`, `most-seen` or `against` of an alert; of a window `services.console` says.
        source, post_id: The post.
        state: `there`; `deleted`, by its author; `gone`, past the retention of `posts` or further
            back than is looked.
        text: The text as edited last; empty unless it is there.
        url: Where people can read it; empty if the source does not say.
    """

    why: str
    source: str
    post_id: str
    state: str
    text: str = ""
    url: str = ""


@dataclass(slots=True)
class PastAlerts:
    """What the topic `alerts` holds, the newest first.

    Attributes:
        alerts: One of each id.
        notes: What could not be read, a sentence each.
    """

    alerts: list[PastAlert] = field(default_factory=list[PastAlert])
    notes: list[str] = field(default_factory=list[str])

    def find(self, start_of_id: str) -> list[PastAlert]:
        """Return the alerts whose id begins so; the one of exactly this id alone if there is."""
        exact = [one for one in self.alerts if one.alert.alert_id == start_of_id]
        return exact or [one for one in self.alerts if one.alert.alert_id.startswith(start_of_id)]


def past_alerts(records: Iterable[Record]) -> PastAlerts:
    """Return what records of the topic `alerts`, in their order, come to."""
    found, kept = PastAlerts(), dict[str, PastAlert]()
    for record in records:
        try:
            alert = alert_decoder.decode(record.value or b"")
        except DecodeError as error:
            found.notes.append(f"offset {record.offset} of alerts is no alert: {error.reason}")
            continue
        before = kept.get(alert.alert_id)
        kept[alert.alert_id] = PastAlert(
            alert,
            max(alert.severity, before.severity if before else 0),
            before.chosen_ms
            if before and before.alert.examples == alert.examples
            else record.timestamp_ms,
        )
    found.alerts = sorted(kept.values(), key=lambda one: one.alert.fired, reverse=True)
    return found


def read_alerts(settings: KafkaSettings) -> PastAlerts:
    """Read every alert that is kept.

    Raises:
        BrokerUnavailable: The broker does not answer, or there is no such topic.
    """
    return past_alerts(read_topic(settings, ALERTS))


def read_examples(settings: KafkaSettings, past: PastAlert) -> list[ExampleText]:
    """Look up what the example posts of an alert say; see `read_texts`.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    examples = [(one.why, one.source, one.post_id) for one in past.alert.examples]
    return read_texts(settings, examples, past.chosen_ms)


def read_texts(
    settings: KafkaSettings, examples: Sequence[tuple[str, str, str]], written_ms: int
) -> list[ExampleText]:
    """Look up what posts say.

    Reads the records of `posts` before a time, as many as evidence is chosen from, and of the
    partitions where a post was found the whole of `post-events`, for deletions and edits.

    Args:
        settings: The broker's address.
        examples: Why it is shown, source and id of each post.
        written_ms: The posts were written then or before, in milliseconds since 1970.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    wanted = {(source, post_id) for _, source, post_id in examples}
    posts: dict[tuple[str, str], Post] = {}
    partitions: set[int] = set()
    if wanted:
        # One millisecond more: posts of that very millisecond may be among them.
        before_ms = written_ms + 1
        for record in read_topic(settings, POSTS, last=_LOOKED_BACK, before_ms=before_ms):
            post = _decoded(post_decoder, record)
            if post is not None and (post.source, post.id) in wanted:
                # What came first is what was counted; a copy later is none.
                posts.setdefault((post.source, post.id), post)
                partitions.add(record.partition)
    happened: dict[tuple[str, str], PostEvent] = {}
    if partitions:
        for record in read_topic(settings, POST_EVENTS, only=partitions):
            event = _decoded(post_event_decoder, record)
            if event is not None and event.kind in ("edit", "delete"):
                _note(happened, posts, event)
    return [_example(*one, posts, happened) for one in examples]


def _note(
    happened: dict[tuple[str, str], PostEvent],
    posts: dict[tuple[str, str], Post],
    event: PostEvent,
) -> None:
    """Take note of an edit or a deletion of one of the posts; nothing follows a deletion."""
    name = (event.source, event.post_id)
    post, before = posts.get(name), happened.get(name)
    of_another = post is None or post.author != event.author
    if not of_another and (before is None or before.kind != "delete"):
        happened[name] = event


def _example(
    why: str,
    source: str,
    post_id: str,
    posts: dict[tuple[str, str], Post],
    happened: dict[tuple[str, str], PostEvent],
) -> ExampleText:
    post, event = posts.get((source, post_id)), happened.get((source, post_id))
    if post is None:
        return ExampleText(why, source, post_id, GONE)
    if event is not None and event.kind == "delete":
        return ExampleText(why, source, post_id, DELETED)
    text = post.text if event is None or event.text is None else event.text
    return ExampleText(why, source, post_id, THERE, text, post.url or "")


def _decoded(decoder: RecordDecoder[_T], record: Record) -> _T | None:
    """Return what a record holds; None for what a stranger wrote there."""
    try:
        return decoder.decode(record.value or b"")
    except DecodeError:
        return None


def chosen(
    found: PastAlerts, query: str, kind: str, *, only_firing: bool, last: int
) -> Sequence[PastAlert]:
    """Return the newest alerts of a query and kind, where these are given."""
    return [
        one
        for one in found.alerts
        if query in ("", one.alert.query)
        and kind in ("", one.alert.kind)
        and not (only_firing and one.alert.state != "firing")
    ][:last]
