"""What yesterday's writers wrote stays readable, and the exported schemas are those of the code."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import fields

from core.codec import RecordDecoder, encode
from core.schemas import SCHEMAS

EXAMPLES = Path(__file__).parent / "examples"
REQUIRED: dict[str, set[str]] = {
    "post": {"id", "source", "author", "ingested_at", "text"},
    "post-event": {"kind", "post_id", "source", "author", "ingested_at"},
    "scored-post": {
        "id", "source", "author", "event_at", "ingested_at", "model_version", "rated", "scores",
        "queries", "stratum",
    },
    "window": {"query", "start", "end", "revision", "counters", "authors", "closed_at"},
    "progress": {"partition", "cursor", "event_cursor", "applied_at"},
    "dead-post": {"reason", "detail", "topic", "partition", "offset", "size", "dead_at"},
    "alert": {
        "alert_id", "query", "kind", "state", "direction", "severity", "started", "fired",
        "decided_at", "evidence", "threshold", "before", "after", "change",
    },
    "forecast": {
        "id", "source", "author", "posted_at", "made_at", "horizon_s", "model_version",
    },
    "forecast-event": {
        "event_id", "kind", "state", "query", "post_id", "source", "author", "posted_at",
        "decided_at", "target", "seen", "surprise",
    },
    "response": {"post_id", "source", "made_at", "state"},
}  # fmt: skip
"""Version 1, for good: a field may leave this set by gaining a default, none may join it."""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.name)
def test_example_of_version_1_still_decodes_to_what_it_says(path: Path) -> None:
    kind = SCHEMAS[path.name.split(".")[0]]
    record = RecordDecoder(kind).decode(path.read_bytes())
    written: dict[str, Any] = json.loads(path.read_bytes())
    again = json.loads(encode(record))
    assert {name: again.get(name) for name in written} == written


def test_every_record_has_an_example() -> None:
    assert {path.name.split(".")[0] for path in EXAMPLES.glob("*.json")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_field_of_version_1_becomes_required(name: str) -> None:
    required = {field.name for field in fields(SCHEMAS[name]) if field.required}
    assert required <= REQUIRED[name]


@pytest.mark.parametrize("name", SCHEMAS)
def test_unknown_fields_of_a_later_writer_are_ignored(name: str) -> None:
    path = EXAMPLES / f"{name}.json"
    later = json.loads(path.read_bytes()) | {"a_field_of_tomorrow": [1, {"x": None}]}
    decoder = RecordDecoder(SCHEMAS[name])
    assert decoder.decode(json.dumps(later).encode()) == decoder.decode(path.read_bytes())


@pytest.mark.parametrize("name", SCHEMAS)
def test_records_are_frozen(name: str) -> None:
    record: Any = RecordDecoder(SCHEMAS[name]).decode((EXAMPLES / f"{name}.json").read_bytes())
    first = fields(record)[0].name
    with pytest.raises(AttributeError):
        setattr(record, first, None)
    assert isinstance(record, msgspec.Struct)
