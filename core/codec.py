"""Bytes <-> records, strict, with a reason code for everything that is refused.

Decoding validates once, here; inside the house the types are trusted.
"""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from core import reasons
from core.errors import DecodeError
from core.schemas import (
    Alert,
    DeadPost,
    ForecastEvent,
    Post,
    PostEvent,
    Progress,
    Response,
    ScoredPost,
    Window,
)

T = TypeVar("T", bound=msgspec.Struct)

# As `repr` quotes: the first quotation mark is the one that ends it, too.
_QUOTED: Final = re.compile(r"""(['"]).*\1""", re.DOTALL)
_encoder: Final = msgspec.json.Encoder()
_any_decoder: Final = msgspec.json.Decoder()


def encode(record: msgspec.Struct) -> bytes:
    """Return the JSON bytes of a record."""
    return _encoder.encode(record)


class RecordDecoder(Generic[T]):
    """Decodes one kind of record and turns every refusal into a `DecodeError` with its reason.

    Args:
        kind: The Struct to decode into.
        max_bytes: Larger messages are refused unread; 0 means no limit.
    """

    def __init__(self, kind: type[T], max_bytes: int = 0) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._max_bytes = max_bytes

    def decode(self, raw: bytes) -> T:
        """Return the record in `raw`.

        Raises:
            DecodeError: The record is unusable, with one of `core.reasons.DEAD_REASONS`.
        """
        if self._max_bytes and len(raw) > self._max_bytes:
            raise DecodeError(
                reasons.TOO_LARGE, f"{len(raw)} bytes, expected at most {self._max_bytes}"
            )
        try:
            return self._decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _diagnose(raw, error) from error


def _diagnose(raw: bytes, error: Exception) -> DecodeError:
    """Find the reason code of a failed decode; slow, and only on the path of bad input."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as not_text:
        return DecodeError(reasons.NOT_UTF8, f"byte {not_text.start} is not UTF-8")
    try:
        value: Any = _any_decoder.decode(raw)
    except RecursionError:
        return DecodeError(reasons.TOO_DEEP, "nested deeper than the decoder follows")
    except msgspec.MsgspecError as not_json:
        return DecodeError(reasons.NOT_JSON, without_values(str(not_json)))
    if not isinstance(value, dict):
        return DecodeError(
            reasons.NOT_OBJECT, f"expected an object, got a JSON {type(value).__name__}"
        )
    version = cast("dict[str, Any]", value).get("v", 1)
    if type(version) is not int or version != 1:  # `true` equals 1
        return DecodeError(reasons.UNKNOWN_VERSION, "expected version 1 in `v`")
    return DecodeError(_field_reason(str(error)), without_values(str(error)))


def _field_reason(message: str) -> str:
    """Map msgspec's validation message to a reason code."""
    if "missing required field" in message:
        return reasons.MISSING_FIELD
    if "got `null`" in message:
        return reasons.NULL_FIELD
    if message.startswith("Expected `") and ", got `" in message:
        return reasons.WRONG_TYPE
    return reasons.OUT_OF_RANGE


def without_values(message: str) -> str:
    """Return a message of msgspec's without the values and the unknown names that it quotes.

    Example:
        >>> without_values("Invalid enum value 'ana' - at `$.kind`")
        'Invalid enum value (not shown) - at `$.kind`'
        >>> without_values("Object contains unknown field `ana` - at `$.posts[0]`")
        'Object contains an unknown field'
    """
    # A name may look like the path behind it: after one nothing is certain.
    if "unknown field" in message:
        return "Object contains an unknown field"
    return _QUOTED.sub("(not shown)", message)[:300]


post_decoder: Final = RecordDecoder(Post)
post_event_decoder: Final = RecordDecoder(PostEvent)
scored_post_decoder: Final = RecordDecoder(ScoredPost)
window_decoder: Final = RecordDecoder(Window)
progress_decoder: Final = RecordDecoder(Progress)
dead_post_decoder: Final = RecordDecoder(DeadPost)
alert_decoder: Final = RecordDecoder(Alert)
forecast_event_decoder: Final = RecordDecoder(ForecastEvent)
response_decoder: Final = RecordDecoder(Response)
