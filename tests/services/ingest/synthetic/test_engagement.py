"""Engagement of synthetic posts: totals over their lives, and posts that take off on schedule."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import fmean, median, pvariance
from typing import Any

import pytest

from core.clock import ManualClock
from core.errors import ConfigError
from core.schemas import Post, PostEvent
from services.ingest.sources.base import SourceContext
from services.ingest.sources.synthetic.options import Ignition, SyntheticOptions
from services.ingest.sources.synthetic.source import SyntheticSource
from services.ingest.synthetic.authors import make_authors
from services.ingest.synthetic.conversation import Conversation
from services.ingest.synthetic.engagement import AGES, make_followings
from services.ingest.synthetic.ledger import read_ignitions
from services.ingest.synthetic.utterances import IgnitedPost, Utterance
from testkit.ingest import START, Rig, take_all

EVERY_10_S = (Ignition(at_s=5.0, every_s=10.0),)


def said(**options: Any) -> list[Utterance]:
    chosen = {
        "posts_per_s": 100.0, "authors": 200, "engagement_share": 0.2, "life_s": 60.0,
        "daily_cycle": 0.0,
    }  # fmt: skip
    conversation = Conversation(SyntheticOptions(**(chosen | options)), START)
    return [utterance for _tick, arrived in conversation.ticks() for utterance in arrived]


def lives_in(utterances: list[Utterance], **options: Any) -> dict[str, list[PostEvent]]:
    """Post -> its totals in order of arrival, of the authors that have a following."""
    chosen = SyntheticOptions(**({"authors": 200, "engagement_share": 0.2} | options))
    followed = make_followings(chosen, make_authors(chosen))
    found: dict[str, list[PostEvent]] = defaultdict(list)
    for one in utterances:
        record = one.record
        if isinstance(record, PostEvent) and record.kind == "counts" and record.author in followed:
            found[record.post_id].append(record)
    return found


def ignited_in(utterances: list[Utterance]) -> list[IgnitedPost]:
    return [one.ignited for one in utterances if one.ignited is not None]


@pytest.fixture(scope="module")
def run() -> list[Utterance]:
    return said(posts=12_000, ignitions=EVERY_10_S, repost_share=0.0, odd_share=0.0)


def test_posts_and_all_that_is_no_like_are_the_same_with_engagement_and_without() -> None:
    options: dict[str, Any] = {"posts": 3_000, "edit_share": 0.1, "delete_share": 0.1}
    without = said(**options, engagement_share=0.0)
    with_it = said(**options, ignitions=EVERY_10_S)

    def kept(utterances: list[Utterance]) -> list[Any]:
        return [
            (one.number, one.arrival_ms, one.record, one.detail, one.topic, one.sentiment)
            for one in utterances
            if one.kind != "event" or one.detail in ("edit", "delete")
        ]

    assert kept(with_it) == kept(without)
    assert len(with_it) > len(without)


def test_totals_are_told_at_the_ages_of_a_life_and_never_fall(run: list[Utterance]) -> None:
    posts = {one.record.id: one for one in run if one.kind == "post"}  # type: ignore[union-attr]
    lives = lives_in(run)
    assert len(lives) > 1_000
    for post_id, events in lives.items():
        post = posts[post_id].record
        assert isinstance(post, Post)
        assert post.claimed_at is not None
        assert len(events) <= len(AGES)
        totals = [(e.likes, e.replies, e.reposts) for e in events]
        for kind in zip(*totals, strict=True):
            assert list(kind) == sorted(kind)
        assert len(set(totals[:-1])) == len(totals[:-1]), "what has not changed is not told"
        for event in events:
            assert event.claimed_at is not None
            age_s = (event.claimed_at - post.claimed_at).total_seconds()
            assert any(abs(age_s - age * 60) < 0.01 for age in AGES)
            assert event.author == post.author
            assert event.ingested_at > max(event.claimed_at, post.ingested_at)


def test_every_post_of_an_author_with_a_following_has_an_outcome(run: list[Utterance]) -> None:
    lives = lives_in(run)
    deleted = {one.record.post_id for one in run if one.detail == "delete"}  # type: ignore[union-attr]
    authors = {events[0].author for events in lives.values()}
    assert 20 < len(authors) < 60
    for one in run:
        if one.kind == "post" and isinstance(one.record, Post) and one.record.author in authors:
            final = lives.get(one.record.id, [])[-1:]
            if one.record.id not in deleted:
                assert final[0].claimed_at == one.record.claimed_at + timedelta(seconds=60)  # type: ignore[operator]


def test_authors_have_levels_of_their_own_and_their_posts_are_over_dispersed(
    run: list[Utterance],
) -> None:
    finals: dict[str, list[int]] = defaultdict(list)
    burning = {one.post_id for one in ignited_in(run)}
    for post_id, events in lives_in(run).items():
        if post_id not in burning:
            finals[events[0].author].append(events[-1].likes or 0)
    often = [likes for likes in finals.values() if len(likes) >= 30]
    assert len(often) > 10
    medians = sorted(median(likes) for likes in often)
    assert medians[-1] > 5 * max(1, medians[0])
    assert fmean(pvariance(likes) / (fmean(likes) + 1) for likes in often) > 3


def test_nothing_is_told_of_a_post_after_its_deletion() -> None:
    utterances = said(posts=4_000, delete_share=0.2, follow_up_max_s=50.0)
    gone: set[str] = set()
    lives = lives_in(utterances)
    for one in utterances:
        if one.detail == "delete":
            gone.add(one.record.post_id)  # type: ignore[union-attr]
        elif one.detail == "counts" and one.record.post_id in lives:  # type: ignore[union-attr]
            assert one.record.post_id not in gone  # type: ignore[union-attr]
    assert sum(post_id in gone for post_id in lives) > 20, "no post went in the middle of its life"


def test_post_that_takes_off_is_not_deleted() -> None:
    utterances = said(posts=4_000, delete_share=0.5, ignitions=(Ignition(at_s=1.0, every_s=2.0),))
    deleted = {one.record.post_id for one in utterances if one.detail == "delete"}  # type: ignore[union-attr]
    ignited = {one.post_id for one in ignited_in(utterances)}
    assert len(ignited) > 10
    assert len(deleted) > 1_000
    assert not ignited & deleted


def test_totals_are_not_told_before_a_post_is_there_nor_of_one_that_repeats_another() -> None:
    utterances = said(posts=3_000, late_share=0.5, late_max_s=30.0, repost_share=0.3)
    posts = {one.record.id: one.record for one in utterances if one.kind == "post"}  # type: ignore[union-attr]
    lives = lives_in(utterances)
    assert len(lives) > 100
    for post_id, events in lives.items():
        assert posts[post_id].repost_of is None  # type: ignore[union-attr]
        for event in events[:-1]:
            assert event.claimed_at >= posts[post_id].ingested_at  # type: ignore[operator]


def test_likes_by_chance_are_of_posts_without_a_life(run: list[Utterance]) -> None:
    lives = lives_in(run)
    singles = [one for one in run if one.detail in ("like", "repost", "reply")]
    assert singles
    assert not any(one.record.post_id in lives for one in singles)  # type: ignore[union-attr]


def test_posts_take_off_on_schedule_each_once(run: list[Utterance]) -> None:
    ignited = ignited_in(run)
    starts = [(one.start - START).total_seconds() for one in ignited]
    slots = [int((start - 5) // 10) for start in starts]
    assert slots == sorted(set(slots))
    assert len(slots) == 12, "120 s at 100 posts a second"
    assert all(10 <= one.factor <= 100 for one in ignited)
    assert len({one.post_id for one in ignited}) == 12
    (at_once,) = ignited_in(said(posts=3_000, ignitions=(Ignition(at_s=7.0, factor=40.0),)))
    assert at_once.factor == 40
    assert 7 <= (at_once.start - START).total_seconds() < 8


def test_what_took_off_is_beyond_its_authors_normal_within_minutes_and_as_the_truth_says(
    run: list[Utterance],
) -> None:
    lives = lives_in(run)
    for one in ignited_in(run):
        by_age = dict(zip(one.ages_s, one.likes, strict=True))
        assert by_age[60.0] == pytest.approx(one.factor * one.normal_likes, rel=0.3)
        ten_minutes = one.likes[1]  # of a day
        assert ten_minutes > one.normal_likes
        last = lives[one.post_id][-1]
        assert (last.likes, last.replies, last.reposts) == (
            one.likes[-1], one.replies[-1], one.reposts[-1],
        )  # fmt: skip
        assert last.author == one.author


def test_as_many_events_as_a_few_a_post_of_few_authors() -> None:
    utterances = said(posts=10_000, posts_per_s=250.0, engagement_share=0.02, authors=400)
    plain = said(posts=10_000, posts_per_s=250.0, engagement_share=0.0, authors=400)
    more = Counter(u.kind for u in utterances)["event"] - Counter(u.kind for u in plain)["event"]
    assert 0 < more < 0.2 * 10_000


def test_conversation_with_engagement_can_be_joined_anywhere() -> None:
    options = SyntheticOptions(
        posts_per_s=100.0, authors=200, engagement_share=0.2, life_s=30.0, ignitions=EVERY_10_S,
        follow_up_max_s=1.0, late_max_s=1.0,
    )  # fmt: skip
    conversation = Conversation(options, START)
    whole = list(islice(conversation.ticks(), 130))
    for first in (1, 40, 100):
        assert list(islice(conversation.ticks(first), 130 - first)) == whole[first:]
    assert len(ignited_in([u for _, arrived in whole for u in arrived])) >= 12


def make_source(tmp_path: Path, **options: Any) -> SyntheticSource:
    clock = ManualClock(START)
    chosen: dict[str, Any] = {
        "posts": 1_500, "posts_per_s": 50.0, "speed": 0.0, "engagement_share": 0.3, "life_s": 20.0,
        "ignitions": EVERY_10_S, "start_at": START.isoformat(),
    }  # fmt: skip
    context = SourceContext(tmp_path, clock=clock, wait=clock.advance)
    return SyntheticSource(SyntheticOptions(**(chosen | options)), context)


def test_from_a_cursor_on_the_same_comes_to_the_byte(tmp_path: Path) -> None:
    whole = take_all(make_source(tmp_path))
    for place in (0, 700, len(whole) - 2):
        rest = take_all(make_source(tmp_path), whole[place].cursor)
        assert [(i.record, i.cursor) for i in rest] == [
            (i.record, i.cursor) for i in whole[place + 1 :]
        ]


def test_ledger_has_what_took_off_beside_its_items_over_a_restart(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    options = {"ledger": str(ledger), "truth": str(tmp_path / "truth.json")}
    expected = ignited_in(said(posts=1_500, posts_per_s=50.0, authors=400, engagement_share=0.3,
                               life_s=20.0, daily_cycle=0.5, ignitions=EVERY_10_S))  # fmt: skip
    first = Rig(make_source(tmp_path, **options), tmp_path)
    first.on_send = lambda sent: first.stop.set() if sent == 900 else None
    first.run()
    second = Rig(make_source(tmp_path, **options), tmp_path, first.broker)
    totals = second.run()
    assert read_ignitions(ledger) == expected
    assert len(expected) >= 3
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert all(len(line) == 8 for line in lines)
    assert len({line[4] for line in lines}) == len(lines)
    assert sum(line[0] != "ignition" for line in lines) == totals.items_read
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["ignitions"] == [{"at_s": 5.0, "every_s": 10.0, "factor": 0.0}]


def test_torn_line_of_an_ignition_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('["ignition","p","a","a",-3,{"post_id":"p"\n["post","q","a","a",4,"","",""]\n')
    assert read_ignitions(path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engagement_share": 0.0}, "ignitions: expected engagement_share above 0"),
        ({"life_s": 86_400.0, "posts_per_s": 500.0}, "posts would be alive at once"),
    ],
)
def test_wrong_options_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_source(tmp_path, **options)
