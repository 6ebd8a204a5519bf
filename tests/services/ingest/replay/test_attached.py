"""What a row says beside its text: tags, links, cards, alt texts and polls, wherever they stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.schemas import Attached
from services.ingest.replay.attached import attached_to
from services.ingest.sources.replay.options import ATTACHED_FIELDS

WHEN = "2026-03-01T10:00:00Z"
PLAIN = {"id": "7", "author": "ana", "created_at": WHEN, "text": "see here"}
ME = "https://a.example/users/ana"
NOTE = {
    "id": f"{ME}/7", "type": "Question", "attributedTo": ME, "published": WHEN,
    "content": '<p>see <a href="https://a.test/long"><span class="invisible">https://</span>a</a>',
    "tag": [{"type": "Hashtag", "name": "#flood"}, {"type": "Mention", "name": "@ben"}],
    "attachment": [{"type": "Document", "mediaType": "image/png", "name": "a road"}],
    "oneOf": [{"type": "Note", "name": "stay"}, {"type": "Note", "name": "go"}],
}  # fmt: skip
STATUS = {
    "id": "7", "account": {"acct": "ana"}, "created_at": WHEN,
    "content": '<p>see <a href="https://a.test/long">a</a></p>',
    "tags": [{"name": "flood", "url": "https://a.example/tags/flood"}],
    "card": {"url": "https://a.test/c", "title": "Levee", "description": "It broke"},
    "media_attachments": [{"description": "a road"}, {"description": None}],
    "poll": {"id": "1", "options": [{"title": "stay"}, {"title": "go"}]},
}  # fmt: skip
BLUESKY = {
    "$type": "app.bsky.feed.post", "text": "see here", "createdAt": WHEN,
    "facets": [
        {"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "flood"}]},
        {"features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://a.test/long"}]},
    ],
    "tags": ["relief"],
    "embed": {
        "external": {"uri": "https://a.test/c", "title": "Levee", "description": "It broke"},
        "images": [{"alt": "a road"}],
    },
}  # fmt: skip
URI = "at://did:plc:a/app.bsky.feed.post/k"
TWEET_V1 = {
    "id_str": "7", "created_at": "Sun Mar 01 10:00:00 +0000 2026", "full_text": "see here",
    "user": {"screen_name": "ana"},
    "entities": {
        "hashtags": [{"text": "flood", "indices": [0, 6]}],
        "urls": [{"url": "https://t.co/x", "expanded_url": "https://a.test/long"}],
    },
    "extended_entities": {"media": [{"type": "photo", "ext_alt_text": "a road",
                                     "url": "https://t.co/y"}, {"ext_alt_text": None}]},
    "card": {"binding_values": {
        "title": {"type": "STRING", "string_value": "Levee"},
        "description": {"string_value": "It broke"},
        "choice1_label": {"string_value": "stay"}, "choice2_label": {"string_value": "go"},
    }},
}  # fmt: skip
TWEETS_V2 = {
    "data": [{
        "id": "7", "author_id": "1", "created_at": WHEN, "text": "see here",
        "edit_history_tweet_ids": ["7"],
        "attachments": {"media_keys": ["3_1"], "poll_ids": ["9"]},
        "entities": {
            "hashtags": [{"start": 0, "end": 6, "tag": "flood"}],
            "urls": [{"url": "https://t.co/x", "expanded_url": "https://a.test/long",
                      "title": "Levee", "description": "It broke"}],
        },
    }],
    "includes": {
        "users": [{"id": "1", "username": "ana"}],
        "media": [{"media_key": "3_1", "type": "photo", "alt_text": "a road"}],
        "polls": [{"id": "9", "options": [{"label": "stay"}, {"label": "go"}]}],
    },
}  # fmt: skip
REDDIT = {
    "id": "7", "name": "t3_7", "author": "ana", "created_utc": 1772359200, "title": "see here",
    "selftext": "", "url_overridden_by_dest": "https://a.test/long",
    "poll_data": {"options": [{"text": "stay"}, {"text": "go"}]},
    "gallery_data": {"items": [{"caption": "a road"}]},
}  # fmt: skip
SNSCRAPE = {
    "_type": "snscrape.modules.twitter.Tweet", "id": 7, "user": {"username": "ana"}, "date": WHEN,
    "rawContent": "see here", "hashtags": ["flood"],
    "links": [{"text": "a.test", "url": "https://a.test/long", "tcourl": "https://t.co/x"}],
    "media": [{"fullUrl": "https://a.test/p.jpg", "altText": "a road"}],
    "card": {"title": "Levee", "url": "https://t.co/x", "description": "It broke"},
}  # fmt: skip

FLOOD, LONG, ROAD = ("flood",), ("https://a.test/long",), ("a road",)
CARD, POLL = ("Levee", "It broke"), ("stay", "go")


@pytest.mark.parametrize(
    ("exported", "expected"),
    [
        (PLAIN | {"tags": ["flood"]}, Attached(tags=FLOOD)),
        (PLAIN | {"hashtags": [{"text": "flood"}, {"tag": "relief"}]},
         Attached(tags=("flood", "relief"))),
        (PLAIN | {"alt_text": "a road", "poll": POLL}, Attached(alts=ROAD, polls=POLL)),
        (PLAIN | {"poll": {"question": "?", "options": [{"text": "stay"}, "go"]}},
         Attached(polls=POLL)),
        (PLAIN | {"images": ["https://a.test/p.jpg", {"alt": "a road"}]}, Attached(alts=ROAD)),
        (PLAIN | {"text": '<p>see <a href="https://a.test/long">a</a></p>'}, Attached(links=LONG)),
        (NOTE, Attached(tags=FLOOD, links=LONG, alts=ROAD, polls=POLL)),
        ({"type": "Create", "actor": ME, "object": NOTE},
         Attached(tags=FLOOD, links=LONG, alts=ROAD, polls=POLL)),
        ({"orderedItems": [{"type": "Create", "actor": ME, "object": NOTE}]},
         Attached(tags=FLOOD, links=LONG, alts=ROAD, polls=POLL)),
        (STATUS, Attached(tags=FLOOD, links=(*LONG, "https://a.test/c"), cards=CARD, alts=ROAD,
                          polls=POLL)),
        ({"uri": URI, "author": {"handle": "ana"}, "record": BLUESKY},
         Attached(tags=("flood", "relief"), links=(*LONG, "https://a.test/c"), cards=CARD,
                  alts=ROAD)),
        ({"did": "did:plc:a", "kind": "commit", "commit": {
            "operation": "create", "collection": "app.bsky.feed.post", "rkey": "k",
            "record": BLUESKY}},
         Attached(tags=("flood", "relief"), links=(*LONG, "https://a.test/c"), cards=CARD,
                  alts=ROAD)),
        (TWEET_V1, Attached(tags=FLOOD, links=LONG, cards=CARD, alts=ROAD, polls=POLL)),
        (TWEETS_V2, Attached(tags=FLOOD, links=LONG, cards=CARD, alts=ROAD, polls=POLL)),
        (REDDIT, Attached(links=LONG, alts=ROAD, polls=POLL)),
        (SNSCRAPE, Attached(tags=FLOOD, links=LONG, cards=CARD, alts=ROAD)),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_what_an_export_has_beside_a_text_is_kept(
    given: Callable[..., Any], exported: Any, expected: Attached
) -> None:
    for content in (json.dumps(exported), json.dumps(exported, indent=1), json.dumps([exported])):
        (post,) = given(content, "export.json").posts()
        assert post.attached == expected, content


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("flood", ("flood",)),
        ("#flood #relief", ("flood", "relief")),
        ("#flood,#relief", ("flood", "relief")),
        ("flood|relief", ("flood", "relief")),
        ("climate change; flood", ("climate change", "flood")),
        ("<flood><relief>", ("flood", "relief")),
        ("['flood', 'relief']", ("flood", "relief")),
        ('["flood", "relief"]', ("flood", "relief")),
        ("[{'text': 'flood', 'indices': [0, 5]}]", ("flood",)),
        ("[]", ()),
        ("None", ()),
        ("nan", ()),
        ("[flood", ("[flood",)),
    ],
)
def test_tags_in_a_cell_are_told_apart(
    given: Callable[..., Any], cell: str, tags: tuple[str, ...]
) -> None:
    (post,) = given(f"id\tcreated_at\ttext\tHashtags\n1\t{WHEN}\tso kind\t{cell}\n").posts()
    assert (post.attached.tags if post.attached else ()) == tags


def test_columns_and_constants_name_what_stands_beside_a_text(given: Callable[..., Any]) -> None:
    file = given(
        f"id,created_at,text,Topic,Pic,Addr\n1,{WHEN},x,flood,a road,https://a.test/long\n"
    )
    (post,) = file.posts(
        columns={"tags": "Topic", "alts": "Pic", "links": "Addr"}, constants={"cards": "Levee"}
    )
    assert post.attached == Attached(tags=FLOOD, links=LONG, cards=("Levee",), alts=ROAD)
    assert "tags from Topic" in file.said(columns={"tags": "Topic"})


@pytest.mark.parametrize("wrong", [5, True, {}, [[]], [None], {"options": [5, []]}, "[" * 5000])
def test_nonsense_beside_a_text_costs_no_post(wrong: Any) -> None:
    found = attached_to([wrong] * len(ATTACHED_FIELDS))
    assert found is None or isinstance(wrong, str)


def test_entities_beside_a_text_are_undone_once(given: Callable[..., Any]) -> None:
    content = json.dumps(STATUS | {"card": {"title": "food &amp;amp; drink"}})
    (post,) = given(content, "status.json").posts()
    assert post.attached.cards == ("food &amp; drink",)


def test_events_of_jetstream_that_are_no_posts_are_left_out(given: Callable[..., Any]) -> None:
    commit = {"did": "did:plc:a", "operation": "create", "rkey": "k",
              "collection": "app.bsky.feed.post", "record": BLUESKY}  # fmt: skip
    kind = "network.bsky.jetstream.subscribeEvents"
    for events in (
        [{"did": "did:plc:a", "kind": "commit", "commit": commit},
         {"did": "did:plc:a", "kind": "identity", "identity": {"did": "did:plc:a"}},
         {"did": "did:plc:a", "kind": "account", "account": {"active": True}}],
        [{"$type": "message", "payload": {"$type": f"{kind}#commit", **commit}},
         {"$type": "message", "payload": {"$type": f"{kind}#identity", "did": "did:plc:a"}}],
    ):  # fmt: skip
        file = given("".join(f"{json.dumps(event)}\n" for event in events), "events.jsonl")
        assert [post.id for post in file.posts()] == [URI]
        assert not file.faults()
