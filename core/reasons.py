"""Closed sets of reason codes: why a message went to `dead-posts`, what was repaired on the way.

A code is a metric label and a field of `DeadPost`, so the sets are closed and documented in
`docs/metrics.md`; a test holds the two together.
"""

from __future__ import annotations

from typing import Final

NOT_UTF8: Final = "not_utf8"
NOT_JSON: Final = "not_json"
NOT_OBJECT: Final = "not_object"
TOO_DEEP: Final = "too_deep"
UNKNOWN_VERSION: Final = "unknown_version"
MISSING_FIELD: Final = "missing_field"
NULL_FIELD: Final = "null_field"
WRONG_TYPE: Final = "wrong_type"
OUT_OF_RANGE: Final = "out_of_range"
TOO_LARGE: Final = "too_large"
DUPLICATE: Final = "duplicate"
DROPPED_LATE: Final = "dropped_late"
SCORER_REFUSED: Final = "scorer_refused"
INVALID_SCORE: Final = "invalid_score"
UNMAPPABLE: Final = "unmappable"
UNKNOWN_POST: Final = "unknown_post"

DEAD_REASONS: Final[dict[str, str]] = {
    NOT_UTF8: "the bytes are not UTF-8",
    NOT_JSON: "the bytes are not one JSON value",
    NOT_OBJECT: "the JSON value is not an object",
    TOO_DEEP: "the JSON nests deeper than the decoder follows",
    UNKNOWN_VERSION: "the schema version `v` is not one this build reads",
    MISSING_FIELD: "a required field is absent",
    NULL_FIELD: "a required field is null",
    WRONG_TYPE: "a field has another JSON type than the schema says",
    OUT_OF_RANGE: "a field's value or length is outside its bounds, or a time has no zone",
    TOO_LARGE: "the message is larger than `worker.max_message_bytes`",
    DUPLICATE: "a post with this id was already counted inside the dedupe horizon",
    DROPPED_LATE: "the post's pane is older than `windows.retention_s` and can no longer change",
    SCORER_REFUSED: "the scorer fails on this post alone (found by halving its batch)",
    INVALID_SCORE: "the scores of this post are not finite, outside [0, 1], or do not sum to one",
    UNMAPPABLE: "a source's item could not be mapped to a post",
    UNKNOWN_POST: "an edit or deletion names a post that cannot be corrected any more",
}

CLAMPED_FUTURE: Final = "clamped_future"
CLAMPED_PAST: Final = "clamped_past"
CONTROL_CHARACTERS: Final = "control_characters"
EMPTY_TEXT: Final = "empty_text"
HALF_CHARACTER: Final = "half_character"
NO_CLAIMED_TIME: Final = "no_claimed_time"
NOT_A_NUMBER: Final = "not_a_number"
ROUNDED_COUNT: Final = "rounded_count"

REPAIRS: Final[dict[str, str]] = {
    CLAMPED_FUTURE: "the claimed time is over 60 s after ingest: event time set to ingest + 60 s",
    CLAMPED_PAST: "the claimed time is over 24 h before ingest: event time set to ingest - 24 h",
    CONTROL_CHARACTERS: "control characters were replaced by spaces",
    EMPTY_TEXT: "no text is left: the post is counted but not rated",
    HALF_CHARACTER: "half a surrogate pair, which is no character, became U+FFFD",
    NO_CLAIMED_TIME: "the source gives no time: event time is ingest time",
    NOT_A_NUMBER: "NaN or an infinite number, which JSON does not have, was taken for null",
    ROUNDED_COUNT: "a count that is written rounded, such as 19.4K, was taken for 19,400",
}
