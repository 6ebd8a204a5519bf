"""What each platform keeps beside a post's text, and texts as their readers see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from core.codec import encode, post_decoder
from core.schemas import Attached, Post, PostEvent
from core.settings import Secret
from services.ingest.sources.bluesky.parse import EventMapper
from services.ingest.sources.bluesky.wire import Event, parse_v1
from services.ingest.sources.mastodon.parse import StatusMapper
from services.ingest.sources.records import attached_of
from services.ingest.sources.reddit.parse import ThingMapper
from services.ingest.sources.webhook.parse import GivenItems, GivenMapper, parse_body

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def bluesky(record: dict[str, Any], operation: str = "create") -> Post | PostEvent:
    commit = {
        "operation": operation, "collection": "app.bsky.feed.post", "rkey": "k",
        "record": {"$type": "app.bsky.feed.post", "text": "food &amp; x", **record},
    }  # fmt: skip
    raw = msgspec.json.encode(
        {"did": "did:plc:a", "time_us": 1, "kind": "commit", "commit": commit}
    )
    event = parse_v1(raw)
    assert isinstance(event, Event)
    (found,) = EventMapper(Secret("k"), lambda author: ()).records(event, raw, NOW)
    assert isinstance(found, Post | PostEvent)
    return found


BLUESKY = {
    "tags": ["relief"],
    "facets": [
        {"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "flood"}]},
        {"features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://a.test/long"}]},
        {"features": [{"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:b"}]},
    ],
    "embed": {
        "$type": "app.bsky.embed.recordWithMedia",
        "media": {
            "external": {"uri": "https://a.test/c", "title": "Levee", "description": "It broke"},
            "images": [{"alt": "a road"}, {"alt": ""}],
        },
        "alt": "a film",
    },
}


@pytest.mark.parametrize("operation", ["create", "update"])
def test_of_bluesky_facets_tags_card_and_alt_texts_are_kept(operation: str) -> None:
    found = bluesky(BLUESKY, operation)
    assert found.text == "food & x"
    assert found.attached == Attached(
        tags=("flood", "relief"),
        links=("https://a.test/long", "https://a.test/c"),
        cards=("Levee", "It broke"),
        alts=("a film", "a road"),
    )


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"tags": "flood", "facets": {"features": 1}, "embed": [1]},
        {"tags": [1, None], "facets": [1, {"features": [1, {"tag": 5}]}]},
        {"embed": {"external": "x", "images": {"alt": 1}, "media": None, "alt": 7}},
    ],
)
def test_no_post_of_bluesky_is_refused_for_what_stands_beside_its_text(
    record: dict[str, Any],
) -> None:
    assert bluesky(record).attached is None


def status(**changed: Any) -> dict[str, Any]:
    return {
        "id": "1", "content": '<p>food &amp;amp; <a href="https://a.test/x">a.test</a></p>',
        "visibility": "public", "account": {"acct": "ana"}, "created_at": "2026-03-01T00:00:00Z",
        "tags": [{"name": "flood"}], "card": {"url": "https://a.test/x", "title": "Levee &amp; co"},
        "media_attachments": [{"description": "a road"}, {"description": None}],
        "poll": {"options": [{"title": "stay"}, {"title": "go"}]}, "language": "eng",
    } | changed  # fmt: skip


def test_of_mastodon_tags_card_descriptions_and_polls_are_kept() -> None:
    mapper = StatusMapper("m.test", str, lambda: NOW)
    for map_one in (mapper.status, mapper.edit):
        post = map_one(status(), b"").record
        assert isinstance(post, Post | PostEvent)
        assert (post.text, post.lang) == ("food &amp; a.test", "en")
        assert post.attached == Attached(
            tags=("flood",), links=("https://a.test/x",), cards=("Levee & co",),
            alts=("a road",), polls=("stay", "go"),
        )  # fmt: skip
    odd = mapper.status(status(tags=5, card=[], media_attachments={}, poll="x"), b"").record
    assert isinstance(odd, Post)
    assert odd.attached == Attached(links=("https://a.test/x",))


def test_of_reddit_address_captions_and_polls_are_kept() -> None:
    fields = {
        "id": "a", "author": "ana", "title": "food &amp; x", "selftext": "", "created_utc": 1.0,
        "url_overridden_by_dest": "https://a.test/flood",
        "gallery_data": {"items": [{"caption": "a road"}, {}]},
        "poll_data": {"options": [{"text": "stay"}]},
    }  # fmt: skip
    post = ThingMapper(str, lambda: NOW).thing({"kind": "t3", "data": fields}).record
    assert isinstance(post, Post)
    assert post.text == "food & x"
    assert post.attached == Attached(
        links=("https://a.test/flood",), alts=("a road",), polls=("stay",)
    )


def test_the_webhook_takes_what_stands_beside_a_text_and_names_of_languages() -> None:
    body = (
        b'{"posts":[{"id":"1","author":"a","text":"food &amp; x","lang":"English",'
        b'"attached":{"tags":["flood"],"polls":["stay"]}}],"events":[{"kind":"edit","post_id":"1",'
        b'"author":"a","text":"x &amp; y","attached":{"alts":["a road"]}}]}'
    )
    given = parse_body(body, 10)
    assert isinstance(given, GivenItems)
    post, edit = GivenMapper(str, lambda: NOW).records(given)
    assert isinstance(post, Post)
    assert (post.text, post.lang) == ("food & x", "en")
    assert post.attached == Attached(tags=("flood",), polls=("stay",))
    assert (edit.text, edit.attached) == ("x & y", Attached(alts=("a road",)))
    assert post_decoder.decode(encode(post)) == post


def test_pieces_beyond_the_bounds_are_left_out() -> None:
    found = attached_of(tags=[f"t{n}" for n in range(99)], alts=["x" * 9_999, "\ud800", "  "])
    assert found is not None
    assert (len(found.tags), [len(one) for one in found.alts]) == (32, [2048, 1])
    assert attached_of(tags=["", "#", None, 5], cards=[[]]) is None
