"""Reddit's listings as records: what is gone, what is odd, and noise."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import encode, post_decoder
from core.schemas import Post
from services.ingest.sources.base import Ignored, Unmappable
from services.ingest.sources.records import Skipped
from services.ingest.sources.reddit.parse import ThingMapper, parse

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAPPER = ThingMapper(str, lambda: NOW)


def post(**fields: Any) -> dict[str, Any]:
    given = {
        "id": "abc", "name": "t3_abc", "author": "ana", "title": "T", "selftext": "S",
        "created_utc": 1_772_366_400.0, "edited": False, "permalink": "/r/news/comments/abc/t/",
    }  # fmt: skip
    return {"kind": "t3", "data": given | fields}


def test_a_post_has_title_and_text_and_the_time_in_utc() -> None:
    found = MAPPER.thing(post()).record
    assert isinstance(found, Post)
    assert (found.id, found.text, found.claimed_at) == ("t3_abc", "T\n\nS", NOW)
    assert found.url == "https://www.reddit.com/r/news/comments/abc/t/"
    crosspost = MAPPER.thing(post(crosspost_parent="t3_old")).record
    assert isinstance(crosspost, Post)
    assert crosspost.repost_of == "t3_old"


@pytest.mark.parametrize(
    "fields",
    [
        {"author": None}, {"author": "[deleted]"}, {"selftext": "[removed]"},
        {"selftext": "[deleted]"}, {"removed_by_category": "moderator"},
    ],
)  # fmt: skip
def test_what_is_gone_is_skipped(fields: dict[str, Any]) -> None:
    assert MAPPER.thing(post(**fields)).record == Skipped("deleted")


def test_an_edit_has_its_time_as_version() -> None:
    assert MAPPER.thing(post(edited=1_772_366_500.0)).version > MAPPER.thing(post()).version


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
things = st.dictionaries(st.sampled_from(sorted(post()["data"])), json_values, max_size=4).map(
    lambda fields: post(**fields)
)


@settings(max_examples=80, deadline=None)
@given(
    body=st.binary(max_size=100)
    | st.lists(things | json_values, max_size=3).map(
        lambda found: json.dumps({"data": {"children": found, "after": 3}}).encode()
    )
)
def test_any_bytes_can_be_parsed(body: bytes) -> None:
    for item in parse(body):
        if isinstance(item.record, Post):
            assert post_decoder.decode(encode(item.record)) == item.record
        else:
            assert isinstance(item.record, Unmappable | Ignored)
