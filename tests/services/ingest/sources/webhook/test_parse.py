"""Bodies of requests: any bytes come to records or to the name of a field."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.codec import encode, post_decoder, post_event_decoder
from core.schemas import Post, PostEvent
from services.ingest.sources.base import Unmappable
from services.ingest.sources.webhook.parse import parse

values = st.none() | st.integers() | st.text(max_size=5) | st.just("2026-03-01T12:00:00Z")
posts = st.fixed_dictionaries(
    {"id": st.text(max_size=4), "author": st.text(max_size=4), "text": st.text(max_size=9)},
    optional={"created_at": values, "lang": values, "reply_to": values, "odd": values},
)
events = st.fixed_dictionaries(
    {"kind": st.sampled_from(["edit", "like", "counts", "?"]), "post_id": values, "author": values},
    optional={"text": values, "likes": values, "at": values},
)
bodies = st.fixed_dictionaries({}, optional={"posts": st.lists(posts), "events": st.lists(events)})


@settings(max_examples=80, deadline=None)
@given(body=st.binary(max_size=200) | bodies.map(lambda tree: json.dumps(tree).encode()))
def test_any_bytes_can_be_parsed(body: bytes) -> None:
    for item in parse(body):
        record: Any = item.record
        if isinstance(record, Post):
            assert post_decoder.decode(encode(record)) == record
        elif isinstance(record, PostEvent):
            assert post_event_decoder.decode(encode(record)) == record
        else:
            assert isinstance(record, Unmappable)
            assert record.detail.startswith("refused at ")
