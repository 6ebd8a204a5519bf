"""The Reddit source against a site that speaks its JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from testkit.checks.source_reader import SourceReader
from testkit.platforms.reddit.server import FakeReddit
from testkit.platforms.site import wait_for

GIVEN = {
    "communities": ["news"], "client_id": "id", "user_agent": "test:groundswell:1 (by /u/nobody)",
}  # fmt: skip


@pytest.fixture
def reddit() -> Iterator[FakeReddit]:
    with FakeReddit() as fake:
        yield fake


Reading = Callable[..., SourceReader]


@pytest.fixture
def read(reddit: FakeReddit, tmp_path: Path) -> Iterator[Reading]:
    readers: list[SourceReader] = []

    def make(cursor: Any = None, **options: Any) -> SourceReader:
        where = {"reddit_url": reddit.site.url, "oauth_url": reddit.site.url}
        quick = {"every_s": 0.02, "recheck_every_s": 0.05}
        readers.append(
            SourceReader("reddit", GIVEN | where | quick | options, tmp_path, secret=reddit.secret)
        )
        return readers[-1].open(cursor)

    yield make
    for reader in readers:
        reader.source.close()


def of_kind(reader: SourceReader, kind: str) -> list[Any]:
    return [event for event in reader.events if event.kind == kind]


def test_posts_comments_edits_deletions_and_counts_arrive(
    reddit: FakeReddit, read: Reading
) -> None:
    first = reddit.post("Title", "and text")
    answer = reddit.comment(first, "an answer")
    reader = read()
    by_id = {post.id: post for post in reader.until_posts(2)}
    assert by_id[first].text == "Title\n\nand text"
    assert (by_id[answer].text, by_id[answer].reply_to) == ("an answer", first)
    assert by_id[first].author == "ana"
    reddit.edit(first, "and other text")
    reddit.delete(answer)
    reddit.site.do(lambda: reddit.things[first]["data"].update(score=17, num_comments=4))
    reader.until(lambda: bool(of_kind(reader, "edit") and of_kind(reader, "delete")))
    reader.until(lambda: any(event.likes == 17 for event in of_kind(reader, "counts")))
    assert of_kind(reader, "edit")[0].text == "Title\n\nand other text"
    assert [(e.post_id, e.author) for e in of_kind(reader, "delete")] == [(answer, "ana")]
    assert len(reader.posts) == 2


def test_a_post_removed_by_moderators_is_deleted(reddit: FakeReddit, read: Reading) -> None:
    name = reddit.post("Title", "text")
    reader = read()
    reader.until_posts(1)
    reddit.delete(name, "[removed]")
    reader.until(lambda: bool(of_kind(reader, "delete")))
    assert of_kind(reader, "delete")[0].post_id == name


def test_a_restart_reads_back_to_what_is_known(reddit: FakeReddit, read: Reading) -> None:
    reddit.post_many([f"before {n}" for n in range(20)])
    reader = read(listings=["posts"])
    reader.until_posts(20)
    reader.source.close()
    missed = reddit.post_many([f"away {n}" for n in range(350)])
    again = read(reader.cursor, listings=["posts"], rewind_s=0.0)
    again.until_posts(350)
    assert [post.id for post in again.posts] == missed
    assert not again.gaps


def test_more_than_reddit_shows_is_a_counted_gap(reddit: FakeReddit, read: Reading) -> None:
    reddit.post_many(["before"])
    reader = read(listings=["posts"])
    reader.until_posts(1)
    reader.source.close()
    reddit.post_many([f"away {n}" for n in range(1_100)])
    again = read(reader.cursor, listings=["posts"], rewind_s=0.0)
    again.until_posts(1_000)
    assert [gap.cause for gap in again.gaps] == ["listing_ended"]


@pytest.mark.parametrize("fault", ["abort", "junk", "stall", "drip", "bomb", 429, 403])
def test_bad_answers_are_asked_for_again(
    reddit: FakeReddit, read: Reading, fault: int | str
) -> None:
    patience_s = 1.0 if fault in ("stall", "drip") else 60.0
    reader = read(listings=["posts"], request_timeout_s=patience_s)
    wait_for(lambda: reddit.used.get("listing", 0) > 0)
    reddit.faults = [fault]
    name = reddit.post("after the fault")
    reader.until(lambda: name in {post.id for post in reader.posts})
    assert reddit.used[f"fault {fault}"] == 1
    assert len(reader.posts) == 1
    cause = {"bomb": "too_large", "stall": "stalled", "drip": "stalled"}.get(str(fault))
    if cause:
        # An honest answer that takes longer than the patience counts as well.
        assert reader.metric("source_reconnects_total", cause=cause) >= 1


def test_the_rate_limit_headers_are_kept(reddit: FakeReddit, read: Reading) -> None:
    reddit.remaining = 3.0
    reader = read(listings=["posts"], recheck_posts=0)
    wait_for(lambda: "spent" in reddit.used)
    name = reddit.post("after the rest")
    reader.until(lambda: name in {post.id for post in reader.posts})
    assert "too early" not in reddit.used


def test_bad_things_are_kept_once_and_advertisements_left_out(
    reddit: FakeReddit, read: Reading
) -> None:
    reddit.bad = [{"kind": "t3", "data": {"title": "no id", "author": "x"}}, {"kind": "more"}, 7]
    reddit.post("buy", promoted=True)
    reddit.post("gone before it was seen", "[deleted]")
    last = reddit.post("last")
    reader = read(listings=["posts"])
    reader.until_posts(1)
    asked = reddit.used["listing"]
    wait_for(lambda: reddit.used["listing"] > asked + 2)
    reader.poll()
    assert [post.id for post in reader.posts] == [last]
    assert len(reader.unmappable) == 3


def test_a_wrong_secret_ends_the_source_and_says_which_setting(
    reddit: FakeReddit, tmp_path: Path
) -> None:
    reddit.secret, given = "another", reddit.secret
    assert given
    where = {"reddit_url": reddit.site.url, "oauth_url": reddit.site.url}
    with SourceReader("reddit", GIVEN | where, tmp_path, secret=given) as reader:
        reader.open()
        with pytest.raises(ConfigError, match=r"ingest\.source_secret"):
            reader.until(lambda: False)


@pytest.mark.parametrize(
    ("changes", "secret", "named"),
    [
        ({"communities": []}, "s", "communities"),
        ({"communities": ["r/news"]}, "s", "communities"),
        ({"client_id": ""}, "s", "client_id"),
        ({"user_agent": ""}, "s", "user_agent"),
        ({}, "", r"ingest\.source_secret"),
        ({"listings": []}, "s", "listings"),
        ({"oauth_url": "http://reddit.test"}, "s", "https"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    changes: dict[str, Any], secret: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        SourceReader("reddit", GIVEN | changes, tmp_path, secret=secret)
