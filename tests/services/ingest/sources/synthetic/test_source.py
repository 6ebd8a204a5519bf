from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from core import reasons
from core.clock import ManualClock
from core.codec import encode, post_decoder, post_event_decoder
from core.errors import ConfigError, DecodeError
from core.schemas import Post, PostEvent
from services.ingest.options import load_options
from services.ingest.sources.base import RawRecord, SourceContext
from services.ingest.sources.synthetic.options import Shift, SyntheticOptions
from services.ingest.sources.synthetic.source import SyntheticSource
from services.ingest.synthetic.authors import make_authors
from services.ingest.synthetic.conversation import Conversation
from services.ingest.synthetic.lexicons import LANGUAGES, SENTIMENTS, TOPICS, phrases
from services.ingest.synthetic.malformed import MALFORMED, REPAIRED
from services.ingest.synthetic.schedule import Schedule
from services.ingest.synthetic.utterances import Utterance
from testkit.builders import make_post
from testkit.ingest import START, Rig, take_all


def said(**options: Any) -> list[Utterance]:
    conversation = Conversation(SyntheticOptions(**options), START)
    return [utterance for _tick, arrived in conversation.ticks() for utterance in arrived]


def posts_in(utterances: list[Utterance]) -> list[Post]:
    return [u.record for u in utterances if u.kind == "post" and isinstance(u.record, Post)]


def test_same_seed_says_the_same_and_another_something_else() -> None:
    assert said(posts=300, seed=5) == said(posts=300, seed=5)
    assert posts_in(said(posts=300, seed=5)) != posts_in(said(posts=300, seed=6))


@pytest.mark.parametrize("rate", [3.0, 50.0, 5_000.0])
def test_bound_on_posts_is_met_exactly_with_distinct_ids(rate: float) -> None:
    posts = posts_in(said(posts=700, posts_per_s=rate, repost_share=0.2))
    assert len(posts) == len({post.id for post in posts}) == 700


def test_every_item_arrives_in_order_and_has_a_number_of_its_own() -> None:
    utterances = said(posts=2_000, duplicate_share=0.1, late_share=0.1)
    arrivals = [u.arrival_ms for u in utterances]
    assert arrivals == sorted(arrivals)
    assert len({u.number for u in utterances}) == len(utterances)


def test_late_posts_are_out_of_order_but_not_later_than_allowed() -> None:
    posts = posts_in(said(posts=2_000, late_share=0.1, late_max_s=12.0, odd_share=0.0))
    claimed = [post.claimed_at for post in posts]
    assert claimed != sorted(claimed)  # type: ignore[type-var]
    delays = [post.ingested_at - post.claimed_at for post in posts if post.claimed_at]
    assert timedelta(seconds=10) < max(delays) <= timedelta(seconds=12)


def test_shares_come_out_as_configured() -> None:
    utterances = said(
        posts=6_000, duplicate_share=0.05, malformed_share=0.04, edit_share=0.03,
        delete_share=0.02, like_share=0.06, repost_share=0.1, odd_share=0.05, posts_per_s=200.0,
    )  # fmt: skip
    kinds = Counter(u.kind for u in utterances)
    events = Counter(u.detail for u in utterances if u.kind == "event")
    posts = posts_in(utterances)
    assert kinds["duplicate"] == pytest.approx(300, rel=0.25)
    assert kinds["malformed"] == pytest.approx(240, rel=0.25)
    assert events["edit"] == pytest.approx(180, rel=0.3)
    assert events["delete"] == pytest.approx(120, rel=0.3)
    assert sum(post.repost_of is not None for post in posts) == pytest.approx(600, rel=0.25)
    repaired = Counter(u.detail for u in utterances if u.kind == "post" and u.detail)
    assert set(repaired) == set(REPAIRED)
    assert sum(post.lang == "en" for post in posts) == pytest.approx(4_800, rel=0.05)


def test_duplicate_has_the_id_and_author_of_its_post_and_comes_later() -> None:
    utterances = said(posts=1_000, duplicate_share=0.1)
    first = {post.id: post for post in posts_in(utterances)}
    again = [u.record for u in utterances if u.kind == "duplicate"]
    assert again
    for record in again:
        assert isinstance(record, Post)
        original = first[record.id]
        assert record.author == original.author
        assert record.text == original.text
        assert record.ingested_at > original.ingested_at


def test_events_decode_and_name_a_post_and_its_author() -> None:
    utterances = said(posts=2_000, edit_share=0.1, delete_share=0.1, like_share=0.2)
    authors = {post.id: post.author for post in posts_in(utterances)}
    for utterance in utterances:
        if isinstance(utterance.record, PostEvent):
            event = post_event_decoder.decode(encode(utterance.record))
            assert authors[event.post_id] == event.author
            assert (event.text is not None) == (event.kind == "edit")


@pytest.mark.parametrize("kind", [kind for kind in MALFORMED if kind != "too_large"])
def test_malformed_message_is_refused_with_its_reason(kind: str) -> None:
    reason, make = MALFORMED[kind]
    with pytest.raises(DecodeError) as refused:
        post_decoder.decode(make(make_post(1)))
    assert refused.value.reason == reason


def test_malformed_messages_cover_at_least_twelve_kinds_and_every_wire_reason() -> None:
    assert len(MALFORMED) >= 12
    assert {reason for reason, _ in MALFORMED.values()} == {
        reasons.NOT_JSON, reasons.NOT_UTF8, reasons.NOT_OBJECT, reasons.TOO_DEEP,
        reasons.UNKNOWN_VERSION, reasons.MISSING_FIELD, reasons.NULL_FIELD, reasons.WRONG_TYPE,
        reasons.OUT_OF_RANGE, reasons.TOO_LARGE,
    }  # fmt: skip


def test_malformed_items_of_a_run_fail_as_the_ledger_says() -> None:
    broken = [u for u in said(posts=500, malformed_share=0.5) if u.kind == "malformed"]
    assert len(broken) > 100
    for utterance in broken:
        assert isinstance(utterance.record, RawRecord)
        if utterance.detail == reasons.TOO_LARGE:
            assert len(utterance.record.value) > 1_048_576
            continue
        with pytest.raises(DecodeError) as refused:
            post_decoder.decode(utterance.record.value)
        assert refused.value.reason == utterance.detail


@pytest.mark.parametrize("repair", REPAIRED)
def test_repaired_post_still_decodes(repair: str) -> None:
    damaged = REPAIRED[repair](make_post(1))
    assert post_decoder.decode(encode(damaged)) == damaged


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_every_topic_and_sentiment(language: str) -> None:
    for topic in TOPICS:
        for sentiment in SENTIMENTS:
            found = phrases(language)[topic, sentiment]
            assert len(set(found.sentences)) >= 5
            assert found.openers
            assert found.tails
            assert found.emoji
            assert found.hashtags


def test_no_sentence_is_said_with_two_sentiments() -> None:
    for language in LANGUAGES:
        seen: dict[str, str] = {}
        for topic in TOPICS:
            for sentiment in SENTIMENTS:
                for template in phrases(language)[topic, sentiment].sentences:
                    assert seen.setdefault(template.pattern, sentiment) == sentiment


def test_english_posts_are_long_and_varied_enough_to_be_work_for_a_model() -> None:
    texts = [post.text for post in posts_in(said(posts=3_000)) if post.lang == "en"]
    assert 17 <= sum(len(text.split()) for text in texts) / len(texts) <= 30
    assert len(set(texts)) > 0.9 * len(texts)


def test_few_authors_write_most() -> None:
    counts = Counter(post.author for post in posts_in(said(posts=5_000, authors=400)))
    busiest = sum(count for _, count in counts.most_common(80))
    assert len(counts) > 250
    assert busiest > 0.5 * 5_000


def test_authors_cover_every_language_with_distinct_names() -> None:
    authors = make_authors(SyntheticOptions(authors=20))
    assert {author.language for author in authors} == set(LANGUAGES)
    assert len({author.name for author in authors}) == 20


SHIFTS = (
    Shift(kind="opinion", topic="airline_delays", sentiment=(1.0, 0.0, 0.0), at_s=60, lasts_s=60),
    Shift(kind="volume", topic="football_derby", factor=5.0, at_s=120, lasts_s=60),
    Shift(kind="mix", language="es", factor=6.0, at_s=180, lasts_s=60),
)


def test_scheduled_shifts_show_in_what_is_said() -> None:
    utterances = said(
        duration_s=240.0, posts_per_s=60.0, shifts=SHIFTS, odd_share=0.0, repost_share=0.0,
        near_duplicate_share=0.0, late_share=0.0,
    )  # fmt: skip
    minutes: list[list[Utterance]] = [[], [], [], []]
    for utterance in utterances:
        record = utterance.record
        if utterance.kind == "post" and isinstance(record, Post) and record.claimed_at:
            minutes[int((record.claimed_at - START).total_seconds() // 60)].append(utterance)

    def share(minute: int, topic: str, sentiment: str) -> float:
        chosen = [u for u in minutes[minute] if u.topic == topic]
        return sum(u.sentiment == sentiment for u in chosen) / len(chosen)

    assert share(0, "airline_delays", "negative") < 0.65
    assert share(1, "airline_delays", "negative") == 1.0
    assert len(minutes[2]) > 1.3 * len(minutes[1])
    assert len(minutes[3]) == pytest.approx(len(minutes[0]), rel=0.1)
    spanish = [sum(u.record.lang == "es" for u in minute) for minute in minutes]  # type: ignore[union-attr]
    assert spanish[3] > 3 * spanish[0]


def test_truth_is_what_was_said(tmp_path: Path) -> None:
    options = SyntheticOptions(posts_per_s=40.0, shifts=SHIFTS)
    minutes: list[Any] = list(Schedule(options, START).minutes(180))
    assert [m["start"] for m in minutes] == [
        (START + timedelta(minutes=n)).isoformat() for n in range(3)
    ]
    airline = [m["topics"]["airline_delays"] for m in minutes]
    assert airline[0]["sentiment"] == [0.5, 0.25, 0.25]
    assert airline[1]["sentiment"] == [1.0, 0.0, 0.0]
    football = [m["topics"]["football_derby"]["posts"] for m in minutes]
    assert football[2] == pytest.approx(5 * football[1], rel=0.01)


def test_schedule_has_a_daily_cycle() -> None:
    schedule = Schedule(SyntheticOptions(posts_per_s=10.0, daily_cycle=0.5), START)
    noon_to_evening, noon_to_morning = 7 * 3600, 19 * 3600
    assert schedule.at(noon_to_evening).posts_per_s == pytest.approx(15.0)
    assert schedule.at(noon_to_morning).posts_per_s == pytest.approx(5.0)


def make_source(tmp_path: Path, clock: ManualClock, **options: Any) -> SyntheticSource:
    context = SourceContext(tmp_path, clock=clock, wait=clock.advance)
    return SyntheticSource(SyntheticOptions(**options), context)


def test_live_posts_leave_when_they_are_due(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = make_source(tmp_path, clock, duration_s=5.0, posts_per_s=20.0, malformed_share=0.0)
    source.open(None)
    seen = 0
    while not source.exhausted:
        for item in source.poll(10, 0.5):
            assert isinstance(item.record, Post | PostEvent)
            assert timedelta(0) <= clock.now() - item.record.ingested_at < timedelta(seconds=0.01)
            seen += 1
    assert seen > 50


def test_faster_than_life_ends_about_now_and_never_in_the_future(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = make_source(tmp_path, clock, duration_s=600.0, posts_per_s=5.0, speed=60.0)
    source.open(None)
    first = None
    while not source.exhausted:
        for item in source.poll(10, 0.5):
            if isinstance(item.record, Post):
                first = first or item.record.ingested_at
                assert item.record.ingested_at <= clock.now() + timedelta(seconds=0.01)
    assert first is not None
    assert timedelta(seconds=590) < START - first < timedelta(seconds=601)


def test_what_was_missed_in_a_stop_leaves_at_once_when_live(tmp_path: Path) -> None:
    clock = ManualClock(START)
    options = {"duration_s": 30.0, "posts_per_s": 20.0}
    items = take_all(make_source(tmp_path, ManualClock(START), **options))
    clock.advance(1_000)
    take_all(make_source(tmp_path, clock, **options), items[10].cursor)
    assert clock.monotonic() == 1_000


def test_ledger_has_one_line_per_acknowledged_item_over_a_restart(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    options = {
        "posts": 500, "speed": 0.0, "malformed_share": 0.05, "duplicate_share": 0.05,
        "ledger": str(ledger), "truth": str(tmp_path / "truth.json"),
        "start_at": START.isoformat(),
    }  # fmt: skip
    first = Rig(make_source(tmp_path, ManualClock(START), **options), tmp_path)
    first.on_send = lambda sent: first.stop.set() if sent == 200 else None
    first.run()
    second = Rig(make_source(tmp_path, ManualClock(START), **options), tmp_path, first.broker)
    totals = second.run()
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    kinds = Counter(line[0] for line in lines)
    assert len(lines) == len({line[4] for line in lines}) == totals.items_read
    assert kinds["post"] == totals.posts_produced == 500
    assert kinds["duplicate"] == totals.duplicates_produced
    assert kinds["event"] == totals.events_produced
    assert kinds["malformed"] == totals.malformed_produced + totals.too_large
    assert json.loads((tmp_path / "truth.json").read_text())["start"] == START.isoformat()


def test_unbounded_conversation_goes_on_and_can_be_joined_anywhere() -> None:
    conversation = Conversation(SyntheticOptions(posts_per_s=100.0), START)
    whole = list(islice(conversation.ticks(), 120))
    assert list(islice(conversation.ticks(100), 20)) == whole[100:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": {"xx": 1.0}}, "unknown language 'xx'"),
        ({"topics": {"transit_strik": 1.0}}, "did you mean 'transit_strike'"),
        ({"languages": {"en": 0.0}}, "a weight above 0"),
        ({"shifts": (Shift(kind="opinion", at_s=0),)}, "add up to 1"),
        ({"shifts": (Shift(kind="mix", at_s=0, factor=2),)}, "a topic or a language"),
        ({"start_at": "noon"}, "expected RFC 3339"),
    ],
)
def test_wrong_options_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        take_all(make_source(tmp_path, ManualClock(START), posts=1, **options))


def test_shipped_options_can_be_loaded() -> None:
    path = Path(__file__).parents[5] / "configs" / "sources" / "synthetic.toml"
    load_options(SyntheticOptions, path).check()
