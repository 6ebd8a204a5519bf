from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from core.codec import dead_post_decoder, post_decoder
from core.errors import ConfigError, FatalError, TransientError
from core.schemas import DEAD_PAYLOAD_BYTES
from core.settings import IngestSettings
from services.ingest.sources.base import (
    Cursor,
    RawRecord,
    Source,
    SourceContext,
    SourceItem,
    Unmappable,
)
from testkit.builders import make_event, make_post
from testkit.ingest import START, Rig


class NoOptions(msgspec.Struct, frozen=True):
    pass


class ListSource(Source[NoOptions]):
    """Delivers a list; its cursor is the number delivered."""

    name: ClassVar[str] = "listed"
    Options = NoOptions

    def __init__(self, records: Sequence[object], can_wait: bool = True) -> None:
        super().__init__(NoOptions(), SourceContext(Path()))
        self._records = list(records)
        self._next = 0
        self.can_wait = can_wait  # type: ignore[misc]
        self.errors: list[TransientError] = []
        self.acknowledged_up_to: list[Cursor] = []
        self.is_closed = False

    def open(self, cursor: Cursor | None) -> None:
        self._next = cursor or 0

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        if self.errors:
            raise self.errors.pop()
        found = []
        for record in self._records[self._next : self._next + max_items]:
            self._next += 1
            found.append(SourceItem(record, self._next))
        return found

    @property
    def exhausted(self) -> bool:
        return self._next >= len(self._records)

    def acknowledged(self, cursor: Cursor) -> None:
        self.acknowledged_up_to.append(cursor)

    def close(self) -> None:
        self.is_closed = True


def posts(count: int) -> list[object]:
    return [make_post(number, source="listed") for number in range(count)]


def sample(rig: Rig, name: str, **labels: str) -> float:
    return rig.metrics.registry.get_sample_value(f"groundswell_{name}", labels) or 0.0


def test_posts_and_events_go_to_their_topics_keyed_by_author(tmp_path: Path) -> None:
    rig = Rig(ListSource([*posts(3), make_event("delete", 1)]), tmp_path)
    totals = rig.run()
    assert (totals.items_read, totals.posts_produced, totals.events_produced) == (4, 3, 1)
    assert [r.key for r in rig.broker.topics["posts"]] == [b"a0", b"a1", b"a2"]
    assert post_decoder.decode(rig.broker.values("posts")[1]).id == "p1"
    assert [r.key for r in rig.broker.topics["post-events"]] == [b"a1"]
    assert sample(rig, "posts_in_total", source="listed") == 4
    assert sample(rig, "posts_acknowledged_total", source="listed") == 3


def test_unmappable_item_becomes_a_dead_letter_with_its_bytes(tmp_path: Path) -> None:
    rig = Rig(ListSource([Unmappable(b"\xffjunk", "row 1: no text")]), tmp_path)
    totals = rig.run()
    (dead,) = map(dead_post_decoder.decode, rig.broker.values("dead-posts"))
    assert (dead.reason, dead.payload, dead.size) == ("unmappable", b"\xffjunk", 5)
    assert (dead.topic, dead.partition, dead.offset) == ("posts", -1, -1)
    assert totals.unmappable == 1
    assert sample(rig, "dead_posts_total", reason="unmappable", stage="ingest") == 1
    assert sample(rig, "source_items_unmappable_total", source="listed") == 1


def test_too_large_post_becomes_a_dead_letter_cut_short(tmp_path: Path) -> None:
    large = make_post(1, source="listed", text="x" * 200_000)
    rig = Rig(ListSource([large, *posts(1)]), tmp_path, max_message_bytes=100_000)
    totals = rig.run()
    (dead,) = map(dead_post_decoder.decode, rig.broker.values("dead-posts"))
    assert dead.reason == "too_large"
    assert dead.size > 200_000
    assert len(dead.payload) == DEAD_PAYLOAD_BYTES
    assert (totals.too_large, totals.posts_produced) == (1, 1)


def test_post_that_the_broker_finds_too_large_is_buried_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    large = make_post(1, source="listed", text="x" * 90_000)
    rig = Rig(ListSource([*posts(2), large, *posts(2)]), tmp_path)
    # Above the 64 KiB in base64 of the dead record itself.
    rig.broker.max_value_bytes = 89_000
    totals = rig.run()
    assert (totals.too_large, totals.posts_produced) == (1, 4)
    assert len(rig.broker.values("dead-posts")) == 1


def test_raw_bytes_go_as_they_are_and_are_counted_as_malformed(tmp_path: Path) -> None:
    raw = [RawRecord(b"not json", "a1"), RawRecord(b"{}", "a2", "post-events")]
    rig = Rig(ListSource(raw), tmp_path)
    assert rig.run().malformed_produced == 2
    assert rig.broker.values("posts") == [b"not json"]
    assert rig.broker.values("post-events") == [b"{}"]


def test_duplicate_of_a_post_is_sent_and_counted_apart(tmp_path: Path) -> None:
    source = ListSource(posts(2))
    source.poll = lambda max_items, timeout_s: (  # type: ignore[method-assign]
        [] if source._next else _twice(source)
    )
    totals = Rig(source, tmp_path).run()
    assert (totals.posts_produced, totals.duplicates_produced, totals.items_read) == (1, 1, 2)


def _twice(source: ListSource) -> list[SourceItem]:
    source._next = 2
    return [SourceItem(make_post(1), 1), SourceItem(make_post(1), 2, duplicate=True)]


def test_cursor_is_stored_only_for_what_kafka_acknowledged(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(40)), tmp_path)
    rig.broker.holds_answers = True

    def answer_some_and_stop(sent: int) -> None:
        if sent == 40:
            # Partition of author a3 stays silent: its first post is number 3.
            silent = rig.broker.partition(b"a3")
            rig.broker.release(lambda partition: partition != silent)
            rig.stop.set()

    rig.on_send = answer_some_and_stop
    totals = rig.run()
    stored = rig.store.load()
    assert stored is not None
    first_silent = next(
        number
        for number in range(40)
        if rig.broker.partition(f"a{number % 7}".encode()) == rig.broker.partition(b"a3")
    )
    assert stored.cursor == first_silent == totals.posts_produced
    assert not stored.done
    assert not rig.store.done_path.exists()


def test_broker_away_for_a_while_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(ListSource(posts(100)), tmp_path)
    monkeypatch.setattr("time.sleep", lambda delay_s: _come_back(rig))

    def leave(sent: int) -> None:
        if sent == 30 and not rig.producer.reconnects:
            rig.broker.is_away = True

    rig.on_send = leave
    assert rig.run().posts_produced == 100
    assert rig.producer.reconnects >= 2, "the broker was never away: this test has shown nothing"
    distinct = dict.fromkeys(rig.broker.values("posts"))
    assert [post_decoder.decode(value).id for value in distinct] == [f"p{n}" for n in range(100)]


def _come_back(rig: Rig) -> None:
    if rig.producer.reconnects >= 2:
        rig.broker.is_away = False


def test_stop_while_the_broker_is_away_ends_and_keeps_the_cursor(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(100)), tmp_path)

    def leave(sent: int) -> None:
        if sent == 30:
            rig.broker.is_away = True
            rig.stop.set()

    rig.on_send = leave
    totals = rig.run()
    stored = rig.store.load()
    assert totals.posts_produced == 30
    assert stored is not None
    assert stored.cursor == 30


def test_record_that_expired_starts_everything_after_it_over(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(50)), tmp_path)
    rig.broker.holds_answers = True
    lost = False

    def lose_once(_delay_s: float) -> None:
        nonlocal lost
        if not lost:
            lost = True
            rig.broker.lose()
            rig.broker.holds_answers = False

    rig.on_wait = lose_once
    totals = rig.run()
    assert lost
    assert totals.posts_produced == 50
    assert [post_decoder.decode(v).id for v in rig.broker.values("posts")] == [
        f"p{number}" for number in range(50)
    ]


def test_totals_go_on_over_a_restart_and_done_file_has_them(tmp_path: Path) -> None:
    first = Rig(ListSource(posts(60)), tmp_path)
    first.on_send = lambda sent: first.stop.set() if sent == 20 else None
    first.run()
    second = Rig(ListSource(posts(60)), tmp_path, first.broker)
    totals = second.run()
    assert totals.posts_produced == totals.items_read == 60
    done = msgspec.json.decode(second.store.done_path.read_bytes())
    assert (done["source"], done["posts_produced"]) == ("listed", 60)


def test_source_that_was_brought_to_its_end_stays_there(tmp_path: Path) -> None:
    first = Rig(ListSource(posts(5)), tmp_path)
    first.run()
    again = Rig(ListSource(posts(5)), tmp_path)
    assert again.run().posts_produced == 5
    assert again.producer.sent == 0
    assert again.store.done_path.exists()


def test_run_under_way_again_removes_the_done_file(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(5)), tmp_path)
    rig.store.save_done(rig.runner._totals())
    rig.on_send = lambda sent: rig.stop.set()
    rig.broker.holds_answers = True
    rig.run()
    assert not rig.store.done_path.exists()


def test_source_that_cannot_wait_leaves_a_counted_gap(tmp_path: Path) -> None:
    settings = IngestSettings(max_buffered_posts=10, stop_timeout_s=0.5)
    source = ListSource(posts(600), can_wait=False)
    rig = Rig(source, tmp_path, settings=settings)
    rig.broker.holds_answers = True
    rig.on_wait = lambda delay_s: rig.broker.release()
    totals = rig.run()
    assert totals.dropped == 590
    assert totals.posts_produced == 10
    assert totals.items_read == 600
    assert sample(rig, "source_gap_items_total", source="listed") == 590


def test_platform_away_is_polled_again(tmp_path: Path) -> None:
    source = ListSource(posts(3))
    source.errors = [TransientError("away"), TransientError("still away")]
    assert Rig(source, tmp_path).run().posts_produced == 3


def test_source_hears_of_a_cursor_before_it_is_stored_and_is_closed_last(tmp_path: Path) -> None:
    source = ListSource(posts(3))
    rig = Rig(source, tmp_path)
    rig.run()
    assert source.acknowledged_up_to == [3]
    assert source.is_closed


def test_broker_that_refuses_for_good_stops_the_run_and_keeps_the_cursor(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(5)), tmp_path)

    def refuse(sent: int) -> None:
        if sent == 3:
            raise FatalError("not authorised")

    rig.on_send = refuse
    with pytest.raises(FatalError, match="not authorised"):
        rig.run()
    stored = rig.store.load()
    assert stored is not None
    assert stored.cursor == 2


def test_other_options_than_the_stored_ones_are_refused(tmp_path: Path) -> None:
    rig = Rig(ListSource(posts(2)), tmp_path)
    rig.run()
    other = ListSource(posts(2))
    other.fingerprint = lambda: "other"  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="other options"):
        Rig(other, tmp_path).run()


def test_lag_of_the_source_is_exported(tmp_path: Path) -> None:
    late = make_post(1, ingested_at=START + timedelta(seconds=90), claimed_at=START)
    rig = Rig(ListSource([late]), tmp_path)
    rig.run()
    assert sample(rig, "source_lag_seconds", source="listed") == 90
