"""What the topics can tell of a partition, and what they cannot any more."""

from datetime import timedelta

import pytest

from core.codec import encode
from core.schemas import PostEvent, ScoredPost
from services.kafka_client.messages import Record
from services.repair.history import History
from services.repair.rebuild import NotRecoverable, batch_for
from stream.store.ids import id_hash
from stream.store.quarantine import read_entry
from stream.topics import POST_EVENTS, POSTS, SOURCE_OFFSET_HEADER, SOURCE_TOPIC_HEADER
from testkit.builders import NOON

HORIZON_S = 21_600
START_S = int(NOON.timestamp())
VALUE = b'{"at":0,"posts":5,"events":5,"found":"x","expected":"y"}'
PANE = read_entry(0, b"pane|%d|all" % START_S, VALUE)


def _scored(number: int, negative: int = 0, *, edit: bool = False) -> ScoredPost:
    return ScoredPost(
        id=str(number), source="s", author="a", event_at=NOON, ingested_at=NOON, model_version="m",
        rated=True, scores={"sentiment": [negative, 0, 0]}, queries=["all"], stratum="s|en|none",
        pane_start=None if edit else NOON, edit=edit,
    )  # fmt: skip


def _record(at: int, post: ScoredPost, offset: int, topic: str = POSTS, ms: int = 0) -> Record:
    headers = ((SOURCE_TOPIC_HEADER, topic.encode()), (SOURCE_OFFSET_HEADER, b"%d" % offset))
    return Record(0, at, None, encode(post), headers, ms)


def _event(kind: str, number: int, offset: int, after_s: int = 1) -> Record:
    event = PostEvent(
        kind=kind, post_id=str(number), source="s", author="a",  # type: ignore[arg-type]
        ingested_at=NOON + timedelta(seconds=after_s), text="x" if kind == "edit" else None,
    )  # fmt: skip
    return Record(0, offset, None, encode(event))


def _all(_: ScoredPost) -> bool:
    return True


def _read(scored: list[Record], events: list[Record] = []) -> History:  # noqa: B006
    history = History(HORIZON_S)
    history.read_events(events)
    history.read_scored(scored, _all)
    return history


def test_repeated_scorings_count_once_and_the_last_stands() -> None:
    history = _read([_record(0, _scored(1, 5), 0), _record(1, _scored(1, 7), 0)])
    ((_, post),) = history.counted(9)
    assert post.scores["sentiment"][0] == 7


def test_what_came_after_the_cursors_is_left_out() -> None:
    events = [_event("delete", 1, 2), _event("delete", 2, 9)]
    history = _read([_record(n, _scored(n), n) for n in (1, 2, 8)], events)
    batch = batch_for(PANE, history, set())
    ((query, counters, _, _),) = batch.panes[START_S]
    assert (query, counters[0]) == ("all", 1)  # the first deleted, the eighth after the cursor


def test_strangers_records_are_passed_over_and_ours_are_missed() -> None:
    stranger = Record(0, 0, None, b"\xff", ())
    assert _read([stranger]).unreadable == 0
    damaged = Record(0, 0, None, b"{", _record(0, _scored(1), 0).headers)
    with pytest.raises(NotRecoverable, match="1 records of scored-posts"):
        batch_for(PANE, _read([damaged]), set())


def test_topic_that_does_not_reach_back_rebuilds_nothing() -> None:
    late = _record(700, _scored(1), 3, ms=(START_S + 60) * 1000)
    with pytest.raises(NotRecoverable, match="reach back"):
        batch_for(PANE, _read([late]), set())
    early = _record(700, _scored(1), 3, ms=(START_S - 3_600) * 1000)
    assert batch_for(PANE, _read([early]), set()).panes


@pytest.mark.parametrize(
    ("after_s", "stands", "doubts"),
    [
        (60, False, False),
        (HORIZON_S, False, False),
        (HORIZON_S + 5_400, True, True),
        (HORIZON_S + 86_400, True, False),
    ],
)
def test_deletion_reaches_its_post_as_long_as_it_is_remembered(
    after_s: int, stands: bool, doubts: bool
) -> None:
    history = _read([_record(0, _scored(1), 0)], [_event("delete", 1, 0, after_s)])
    found = history.standing(id_hash("s", "1"), _scored(1), 9)
    assert (found is not None) == stands
    assert (history.uncertain > 0) == doubts


def test_edit_replaces_what_its_post_said_and_a_deletion_stands() -> None:
    edited = _record(1, _scored(1, 9, edit=True), 0, POST_EVENTS)
    history = _read([_record(0, _scored(1, 5), 0), edited], [_event("edit", 1, 0)])
    found = history.standing(id_hash("s", "1"), _scored(1, 5), 9)
    assert found is not None
    assert found.scores["sentiment"][0] == 9
    history = _read(
        [_record(0, _scored(1, 5), 0), edited], [_event("delete", 1, 0), _event("edit", 1, 1)]
    )
    assert history.standing(id_hash("s", "1"), _scored(1, 5), 9) is None


def test_record_with_an_offset_of_too_many_digits_is_a_strangers() -> None:
    ours = _record(0, _scored(1, 5), 0)
    headers = ((SOURCE_TOPIC_HEADER, POSTS.encode()), (SOURCE_OFFSET_HEADER, b"9" * 5_000))
    strange = Record(0, 1, None, encode(_scored(2)), headers, 0)
    history = _read([ours, strange])
    assert [post.id for _, post in history.counted(9)] == ["1"]
    assert history.unreadable == 0
