"""A dead letter is sent again once it is good, or refused with what to do; nothing in between."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from core import reasons
from core.codec import encode, post_decoder, post_event_decoder
from core.schemas import DEAD_PAYLOAD_BYTES
from core.sealing import Sealer
from core.settings import IngestSettings, KafkaSettings, Secret, Settings
from services.dead_letters import ReplayRefused, dead_letters, send_again
from services.kafka_client.messages import Record
from stream.topics import POST_EVENTS, POSTS
from testkit.builders import make_event, make_post
from testkit.console import dead_record
from testkit.kafka import FakeProducer, MemoryBroker

PLAIN = Settings()
KEYED = Settings(ingest=IngestSettings(author_key=Secret("key")))
POST = make_post(3)
HIDDEN = "0123456789abcdef0123456789abcdef"


def sent(record: Record, repaired: bytes | None = None, settings: Settings = PLAIN) -> Record:
    """Send a letter again; return the one record that reached the broker."""
    broker = MemoryBroker()
    done = send_again(settings, record, repaired, FakeProducer(broker))
    (found,) = broker.topics[done.topic]
    assert sum(map(len, broker.topics.values())) == 1
    return found


def refusal(record: Record, repaired: bytes | None = None, settings: Settings = PLAIN) -> str:
    """Return why a letter is refused; nothing has reached the broker."""
    broker = MemoryBroker()
    with pytest.raises(ReplayRefused) as refused:
        send_again(settings, record, repaired, FakeProducer(broker))
    assert not broker.topics
    return str(refused.value)


def test_what_was_refused_once_and_is_good_now_is_sent_as_it_was() -> None:
    record = sent(dead_record(3, encode(POST), reason=reasons.SCORER_REFUSED))
    assert post_decoder.decode(record.value or b"") == POST
    assert record.key == POST.author.encode()
    assert dict(record.headers) == {"replay-of": b"dead-posts@3"}


def test_a_deletion_that_was_dead_is_sent_to_where_deletions_go() -> None:
    event = make_event("delete", 3)
    found = sent(dead_record(3, encode(event), topic=POST_EVENTS, reason=reasons.UNKNOWN_POST))
    assert post_event_decoder.decode(found.value or b"") == event


def test_what_is_still_no_good_is_refused_with_what_is_wrong_and_can_be_repaired() -> None:
    bad = encode(POST).replace(b'"lang":"en"', b'"lang":7')
    letter = dead_record(3, bad)
    assert "the record that was kept is still wrong_type" in refusal(letter)
    assert "the repaired record is still wrong_type" in refusal(letter, bad)
    assert "the repaired record is still not_json" in refusal(letter, b"{")
    assert post_decoder.decode(sent(letter, encode(POST)).value or b"") == POST


@pytest.mark.parametrize("reason", [reasons.DUPLICATE, reasons.DROPPED_LATE])
def test_what_would_be_dropped_again_is_refused_even_repaired(reason: str) -> None:
    assert refusal(dead_record(3, reason=reason), encode(POST)).startswith(f"{reason}: ")


def test_what_counts_one_more_each_time_is_refused() -> None:
    like = encode(make_event("like", 3))
    said = refusal(dead_record(3, like, topic=POST_EVENTS, reason=reasons.UNKNOWN_POST))
    assert said == "a like counts one more each time that it is sent"


def test_a_message_of_which_a_part_was_kept_has_to_be_given_whole() -> None:
    long = b"x" * (DEAD_PAYLOAD_BYTES + 1)
    letter = dead_record(3, long[:-1], size=len(long), reason=reasons.TOO_LARGE)
    assert "give the record repaired" in refusal(letter)
    assert post_decoder.decode(sent(letter, encode(POST)).value or b"") == POST


def test_a_record_larger_than_the_broker_takes_is_refused() -> None:
    small = Settings(kafka=KafkaSettings(max_message_bytes=100))
    assert "expected at most 100" in refusal(dead_record(3, encode(POST)), None, small)


def test_what_another_topic_lost_is_refused() -> None:
    assert "'elsewhere'" in refusal(dead_record(3, topic="elsewhere"))


def test_what_is_no_dead_letter_is_refused() -> None:
    assert refusal(Record(0, 9, b"k", b"junk")) == "record 9 is no dead letter: not_json"


def test_a_sealed_letter_needs_its_key_and_its_author_stays_hidden() -> None:
    sealer = Sealer(KEYED.ingest.author_key)
    hidden = structs.replace(POST, author=HIDDEN)
    letter = dead_record(3, sealer.seal(encode(hidden)), sealed_by=sealer.key_id)
    assert post_decoder.decode(sent(letter, settings=KEYED).value or b"") == hidden
    assert sealer.key_id in refusal(letter)
    assert sealer.key_id in refusal(letter, encode(POST)), "its author would be another one"
    repaired = sent(letter, encode(POST), KEYED)
    author = json.loads(repaired.value or b"")["author"]
    assert repaired.key == author.encode() != POST.author.encode()
    assert len(author) == 32


def test_letters_are_listed_once_the_newest_first_with_what_is_none_said() -> None:
    twice = dead_record(1)
    records = [
        twice, structs_at(twice, 2), Record(0, 3, b"k", b"junk"),
        dead_record(4, reason=reasons.UNMAPPABLE), dead_record(5, reason=reasons.DUPLICATE),
    ]  # fmt: skip
    found = dead_letters(records)
    assert [(one.place, one.replayable) for one in found.letters] == [
        (5, "no"), (4, "repaired"), (1, "as it is"),
    ]  # fmt: skip
    assert found.by_reason == {"wrong_type": 1, "unmappable": 1, "duplicate": 1}
    assert found.notes == ("offset 3 is no dead letter: not_json",)
    assert not found.is_all
    assert dead_letters([dead_record(0)]).is_all
    assert dead_letters([]).is_all


def structs_at(record: Record, offset: int) -> Record:
    """Return the same record as it was told once more."""
    return Record(record.partition, offset, record.key, record.value)


def test_a_broker_that_does_not_take_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    broker.max_value_bytes = 10
    with pytest.raises(Exception, match="too_large"):
        send_again(PLAIN, dead_record(3, encode(POST)), None, FakeProducer(broker))
    assert not broker.topics[POSTS]
