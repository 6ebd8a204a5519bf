"""Write `docs/asyncapi.json`: the topics and what they carry, as an AsyncAPI 3 document.

Made of the table of topics and of the Structs, so that it says what the code does. Run after
changing either; a test fails while the file lags behind.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from core.schemas import SCHEMAS
from core.settings import KafkaSettings
from scripts.export_schemas import FOLDER
from stream.topics import (
    SCORED_POSTS,
    SOURCE_OFFSET_HEADER,
    SOURCE_PARTITION_HEADER,
    SOURCE_TOPIC_HEADER,
    TOPICS,
    TopicSpec,
)

FILE: Final = FOLDER.parent / "asyncapi.json"
_BINDING: Final = "0.5.0"
_PROJECT: Final = Path(__file__).resolve().parents[1] / "pyproject.toml"
_HEADERS: Final = {
    SOURCE_TOPIC_HEADER: "the topic that the record was made from",
    SOURCE_PARTITION_HEADER: "its partition there, in decimal digits",
    SOURCE_OFFSET_HEADER: "its offset there, in decimal digits; a consumer drops repeats by it",
}


def document() -> dict[str, Any]:
    """Return the document."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    _, components = msgspec.json.schema_components(
        SCHEMAS.values(), ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Groundswell",
            "version": project["version"],
            "description": "The topics of the stream. Everything is JSON with a schema version; "
            "readers take what they do not know for absent.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(spec) for name, spec in TOPICS.items()},
        "operations": {
            f"read-{name}": {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"Read what `{name}` carries.",
            }
            for name in TOPICS
        },
        "components": {
            "messages": {name: _message(name, kind) for name, kind in SCHEMAS.items()},
            "schemas": components,
        },
    }


def _channel(spec: TopicSpec) -> dict[str, Any]:
    policy = "compact" if spec.compacted else "delete"
    return {
        "address": spec.name,
        "description": f"Keyed by: {spec.key}.",
        "messages": {spec.schema: {"$ref": f"#/components/messages/{spec.schema}"}},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions or KafkaSettings().partitions,
                "topicConfiguration": {
                    "cleanup.policy": [policy],
                    "retention.ms": spec.retention_ms,
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(name: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    doc = (kind.__doc__ or "").strip().splitlines()[0]
    found: dict[str, Any] = {
        "name": name,
        "title": kind.__name__,
        "summary": doc,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING}},
    }
    if name == TOPICS[SCORED_POSTS].schema:
        found["headers"] = {
            "type": "object",
            "properties": {
                header: {"type": "string", "description": said} for header, said in _HEADERS.items()
            },
            "required": list(_HEADERS),
        }
    return found


def content() -> bytes:
    """Return the file as it should be."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def main() -> None:
    """Write the file."""
    FILE.write_bytes(content())


if __name__ == "__main__":
    main()
