import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import reasons
from core.clock import from_epoch_ms
from core.codec import RecordDecoder, encode, post_decoder, post_event_decoder
from core.errors import DecodeError
from core.schemas import SCHEMAS, Post, PostEvent
from testkit.builders import make_event, make_post


def _post(**changes: Any) -> bytes:
    """Return a good post's JSON with some fields changed; `...` takes a field away."""
    fields = json.loads(encode(make_post())) | changes
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


def _reason(decoder: RecordDecoder[Any], raw: bytes) -> str | None:
    """Return why `raw` is refused, None if it is decoded; anything else raised passes."""
    try:
        decoder.decode(raw)
    except DecodeError as error:
        return error.reason
    return None


MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{not json", reasons.NOT_JSON),
    "nothing": (b"", reasons.NOT_JSON),
    "cut off": (_post()[:-5], reasons.NOT_JSON),
    "two values": (_post() + b"{}", reasons.NOT_JSON),
    "not a number in JSON": (b'{"v": NaN}', reasons.NOT_JSON),
    "not UTF-8": (_post().replace(b"trains", b"tr\xffins"), reasons.NOT_UTF8),
    "a list": (b"[1, 2]", reasons.NOT_OBJECT),
    "a string": (b'"post"', reasons.NOT_OBJECT),
    "null": (b"null", reasons.NOT_OBJECT),
    "deep nesting": (b'{"v":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", reasons.TOO_DEEP),
    "later version": (_post(v=2), reasons.UNKNOWN_VERSION),
    "version as text": (_post(v="1"), reasons.UNKNOWN_VERSION),
    "version as truth": (_post(v=True), reasons.UNKNOWN_VERSION),
    "missing id": (_post(id=...), reasons.MISSING_FIELD),
    "missing text": (_post(text=...), reasons.MISSING_FIELD),
    "null text": (_post(text=None), reasons.NULL_FIELD),
    "null author": (_post(author=None), reasons.NULL_FIELD),
    "number as text": (_post(text=12), reasons.WRONG_TYPE),
    "list as author": (_post(author=["a"]), reasons.WRONG_TYPE),
    "number as time": (_post(ingested_at=1_700_000_000), reasons.WRONG_TYPE),
    "empty id": (_post(id=""), reasons.OUT_OF_RANGE),
    "long id": (_post(id="x" * 513), reasons.OUT_OF_RANGE),
    "naive time": (_post(ingested_at="2026-03-01T12:00:00"), reasons.OUT_OF_RANGE),
    "no such day": (_post(ingested_at="2026-02-30T12:00:00Z"), reasons.OUT_OF_RANGE),
    "bad source name": (_post(source="Blue Sky"), reasons.OUT_OF_RANGE),
    "5 MB of text": (_post(text="x" * 5_000_000), reasons.TOO_LARGE),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_each_kind_of_malformed_post_has_its_reason(kind: str) -> None:
    raw, reason = MALFORMED[kind]
    with pytest.raises(DecodeError) as refused:
        RecordDecoder(Post, max_bytes=1_048_576).decode(raw)
    assert refused.value.reason == reason
    assert reason in reasons.DEAD_REASONS


def test_details_of_a_refusal_never_carry_the_text_of_a_post() -> None:
    words = "my very private words"
    for raw, _ in MALFORMED.values():
        with pytest.raises(DecodeError) as refused:
            RecordDecoder(Post, max_bytes=1_048_576).decode(
                raw.replace(b"the trains are late again", words.encode())
            )
        assert words not in str(refused.value)
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "raw",
    [
        _post(v=...),
        _post(text=""),
        _post(text="null \u0000 and bell \u0007"),
        _post(claimed_at=None, reply_to=None),
        _post(claimed_at="1970-01-01T00:00:00Z"),
        _post(claimed_at="2999-01-01T00:00:00+02:00"),
        _post(a_field_of_tomorrow={"x": 1}),
        b" \n" + _post() + b"\n",
    ],
)
def test_what_is_odd_but_usable_is_accepted(raw: bytes) -> None:
    assert isinstance(post_decoder.decode(raw), Post)


@pytest.mark.parametrize("kind", list(SCHEMAS.values()), ids=list(SCHEMAS))
@given(raw=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_decode_error(
    kind: type[msgspec.Struct], raw: bytes
) -> None:
    assert _reason(RecordDecoder(kind), raw) in {None, *reasons.DEAD_REASONS}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(json.loads(encode(make_post())))), json_values)
def test_any_value_in_any_field_is_decoded_or_refused_with_a_reason(
    field: str, value: object
) -> None:
    assert _reason(post_decoder, _post(**{field: value})) in {None, *reasons.DEAD_REASONS}


times = st.integers(0, 4_000_000_000_000).map(from_epoch_ms)
posts = st.builds(
    Post,
    id=st.text(min_size=1, max_size=512),
    source=st.sampled_from(["replay", "blue-sky", "a_1"]),
    author=st.text(min_size=1, max_size=256),
    ingested_at=times,
    text=st.text(),
    claimed_at=st.none() | times,
    lang=st.text(max_size=35),
    reply_to=st.none() | st.text(min_size=1, max_size=9),
    url=st.none() | st.text(max_size=99),
)


@given(posts)
def test_post_survives_the_wire(post: Post) -> None:
    assert post_decoder.decode(encode(post)) == post


@pytest.mark.parametrize("kind", ["edit", "delete", "counts", "like", "repost", "reply"])
def test_event_survives_the_wire(kind: str) -> None:
    event = make_event(kind, text="new words" if kind == "edit" else None, likes=3)
    assert post_event_decoder.decode(encode(event)) == event


def test_unknown_kind_of_event_is_out_of_range() -> None:
    raw = encode(make_event("like")).replace(b'"like"', b'"shout"')
    with pytest.raises(DecodeError) as refused:
        post_event_decoder.decode(raw)
    assert refused.value.reason == reasons.OUT_OF_RANGE


def test_version_is_always_written() -> None:
    assert all(json.loads(encode(record))["v"] == 1 for record in (make_post(), make_event("like")))
    assert isinstance(make_event("like"), PostEvent)


@pytest.mark.parametrize(
    "kind", ["ana", "it's ana", 'it\'s "ana"', "ana` - at `$.kind", "ana\nben"]
)
def test_what_a_message_says_is_not_in_why_it_was_refused(kind: str) -> None:
    raw = msgspec.json.encode(
        {"v": 1, "kind": kind, "post_id": "1", "source": "s", "author": "a", "ingested_at": "x"}
    )
    for value in (raw, raw.replace(b'"v":1', b'"v":"ana"'), raw[:-1] + b', "ana"'):
        with pytest.raises(DecodeError) as raised:
            post_event_decoder.decode(value)
        assert "ana" not in str(raised.value)
        assert "ben" not in str(raised.value)
