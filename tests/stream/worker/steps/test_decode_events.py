"""Events as they are decoded: which are rows, and which are dead."""

from core import reasons
from core.clock import ManualClock
from core.codec import encode
from stream.topics import POST_EVENTS
from stream.worker.steps.decode_events import EVENT_NUMBERS, EVENTS, DecodeEvents
from stream.worker.steps.decode_posts import DECODED, OFFSETS
from testkit.builders import NOON, make_event
from testkit.stream import batch_of


def test_an_edit_without_text_is_dead():
    events = [make_event("edit", 1), make_event("edit", 1, text="better"), make_event("delete", 1)]
    batch = batch_of(*(encode(event) for event in events), topic=POST_EVENTS, first=0)
    DecodeEvents(10_000, ManualClock(NOON)).run(batch)
    assert [event.kind for event in batch[EVENTS]] == ["edit", "delete"]
    assert [dead.reason for dead in batch.dead] == [reasons.MISSING_FIELD]
    assert batch[DECODED] == events[1:2]
    assert (batch[OFFSETS], batch[EVENT_NUMBERS]) == ([1], [0])
