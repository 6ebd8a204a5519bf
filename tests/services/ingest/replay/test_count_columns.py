"""Columns and keys that hold counts are found by their usual names, and only if they hold some."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import ConfigError
from core.schemas import PostEvent

AT = "2026-03-01T10:00:00Z"
BASE = {"id": "1", "author": "ana", "created_at": AT, "text": "flood here"}


def table(**columns: str) -> str:
    named = BASE | columns
    return f"{','.join(named)}\n{','.join(named.values())}\n"


def counts_of(file: Any, **options: Any) -> list[tuple[int | None, ...]]:
    found = [i.record for i in file.items(**options) if isinstance(i.record, PostEvent)]
    return [(e.likes, e.replies, e.reposts, e.quotes) for e in found]


@pytest.mark.parametrize(
    "names",
    [
        ("likes", "replies", "reposts", "quotes"),
        ("like_count", "reply_count", "retweet_count", "quote_count"),
        ("Likes", "Comments", "Shares", "Quotes"),
        ("likeCount", "replyCount", "retweetCount", "quoteCount"),
        ("favorite_count", "replies_count", "retweets", "quoted_count"),
        ("favourites_count", "replies_count", "reblogs_count", "quotes_count"),
        ("favorites", "num_comments", "boosts", "quotes"),
        ("ups", "num_comments", "shares_count", "quotes"),
    ],
)
def test_counts_are_found_by_the_usual_names(
    given: Callable[..., Any], names: tuple[str, ...]
) -> None:
    columns = dict(zip(names, "4567", strict=True))
    assert counts_of(given(table(**columns))) == [(4, 5, 6, 7)]
    lines = json.dumps(BASE | {name: int(value) for name, value in columns.items()})
    assert counts_of(given(lines, "posts.jsonl")) == [(4, 5, 6, 7)]


def test_columns_of_counts_can_be_named_and_a_wrong_name_is_refused(
    given: Callable[..., Any],
) -> None:
    file = given(table(herzen="8"))
    assert counts_of(file) == []
    assert counts_of(file, columns={"likes": "herzen"}) == [(8, None, None, None)]
    with pytest.raises(ConfigError, match=r"columns.likes = 'herz' is not in the file"):
        counts_of(file, columns={"likes": "herz"})
    with pytest.raises(ConfigError, match="did you mean 'likes'"):
        counts_of(file, columns={"like": "herzen"})


def test_counts_can_be_left_out(given: Callable[..., Any]) -> None:
    file = given(table(likes="8"))
    assert counts_of(file, counts="none") == []
    assert counts_of(file, counts="none", constants={"replies": "2"}) == []
    assert counts_of(file, constants={"replies": "2"}) == [(8, 2, None, None)]
    assert "counts" not in file.said(counts="none")


def test_column_that_only_has_the_name_of_counts_is_none(given: Callable[..., Any]) -> None:
    file = given(table(comments="what a day", likes="3"))
    assert counts_of(file) == [(3, None, None, None)]
    assert file.faults() == []
    assert "unused comments" in file.said()


def test_list_of_replies_is_no_count_and_another_key_is_asked(given: Callable[..., Any]) -> None:
    post = BASE | {"replies": [{"id": "2"}, {"id": "3"}], "reply_count": 2}
    assert counts_of(given(json.dumps(post), "a.jsonl")) == [(None, 2, None, None)]
    assert counts_of(given(json.dumps(BASE | {"replies": [{"id": "2"}]}), "b.jsonl")) == []


def test_count_that_only_later_rows_know_is_found(given: Callable[..., Any]) -> None:
    rows = [f"{n},ana,{AT},flood {n},{n},{'' if n < 150 else n}\n" for n in range(151)]
    file = given("id,author,created_at,text,likes,replies\n" + "".join(rows))
    assert counts_of(file)[-1] == (150, 150, None, None) or (150, 150, None, None) in counts_of(
        file
    )


@pytest.mark.parametrize("beside", ["followers_count", "friends_count", "statuses_count"])
def test_what_an_author_has_liked_is_no_count_of_the_post(
    given: Callable[..., Any], beside: str
) -> None:
    columns = {"favourites_count": "9000", beside: "12", "retweet_count": "1"}
    assert counts_of(given(table(**columns))) == [(None, None, 1, None)]


def test_score_is_likes_where_comments_are_counted_too_and_else_may_be_anything(
    given: Callable[..., Any],
) -> None:
    assert counts_of(given(table(score="4"))) == []
    assert counts_of(given(table(score="4", num_comments="2"))) == [(4, 2, None, None)]


def test_counts_inside_an_object_are_found_and_those_of_its_account_are_not(
    given: Callable[..., Any],
) -> None:
    post = BASE | {
        "public_metrics": {"like_count": 0, "reply_count": 1, "retweet_count": 2, "quote_count": 3},
        "user": {"favourites_count": 900, "name": "ana"},
        "quoted_status": {"favorite_count": 77},
    }
    assert counts_of(given(json.dumps(post), "posts.jsonl")) == [(0, 1, 2, 3)]
    del post["public_metrics"]
    assert counts_of(given(json.dumps(post), "others.jsonl")) == []


@pytest.mark.parametrize(
    ("post", "counts"),
    [
        ({"uri": "at://did:plc:x/app.bsky.feed.post/1", "author": {"handle": "ana"},
          "record": {"$type": "app.bsky.feed.post", "text": "flood", "createdAt": AT},
          "likeCount": 0, "replyCount": 1, "repostCount": 2, "quoteCount": 3}, (0, 1, 2, 3)),
        ({"id": "5", "account": {"acct": "ana", "followers_count": 3}, "content": "<p>flood</p>",
          "created_at": AT, "favourites_count": 4, "replies_count": 0, "reblogs_count": 2},
         (4, 0, 2, None)),
        ({"id": "abc", "author": "ana", "created_utc": 1772359200, "title": "flood",
          "selftext": "here", "score": -4, "num_comments": 0, "retrieved_on": 1772359300},
         (0, 0, None, None)),
        ({"id": "abd", "author": "ana", "created_utc": 1772359200, "body": "flood here",
          "score": 7, "replies": ""}, (7, None, None, None)),
        ({"id": "https://x.example/1", "type": "Note", "attributedTo": "https://x.example/ana",
          "content": "<p>flood</p>", "published": AT, "likes": {"totalItems": 2},
          "shares": {"totalItems": 0}, "replies": {"type": "Collection"}}, (2, None, 0, None)),
        ({"id_str": "9", "full_text": "flood", "created_at": "Sun Mar 01 10:00:00 +0000 2026",
          "user": {"screen_name": "ana", "favourites_count": 8}, "favorite_count": "0",
          "retweet_count": "3"}, (0, None, 3, None)),
    ],
    ids=["bluesky", "mastodon", "reddit post", "reddit comment", "note", "twitter"],
)  # fmt: skip
def test_counts_of_platforms_are_read_where_they_keep_them(
    given: Callable[..., Any], post: dict[str, Any], counts: tuple[int | None, ...]
) -> None:
    assert counts_of(given(json.dumps(post), "posts.jsonl")) == [counts]


def test_only_time_of_a_file_is_that_of_its_posts(given: Callable[..., Any]) -> None:
    file = given(f"id,author,text,likes,scraped_at\n1,ana,flood,3,{AT}\n")
    assert file.told() == [("1", "ana", AT, "flood")]
    both = given(table(likes="3", scraped_at="2026-03-02T10:00:00Z"))
    assert "counts_at from scraped_at" in both.said()
