"""Every recorded frame becomes what it should, counted a second time by plain code."""

from __future__ import annotations

import gzip
import json
import struct
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.codec import encode
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.base import Gap, Ignored, SourceContext, SourceItem, Unmappable
from services.ingest.sources.bluesky.client import Unpacker
from services.ingest.sources.bluesky.options import BlueskyOptions
from services.ingest.sources.bluesky.source import BlueskySource
from services.ingest.sources.options import LiveLimits
from testkit.checks.live_sources import wait_until
from testkit.platforms.bluesky.journal import recorded
from testkit.platforms.bluesky.platform import IMPATIENT
from testkit.platforms.bluesky.server import FakeJetstream

POST = "app.bsky.feed.post"


def lines(connectors: Path, name: str) -> list[bytes]:
    return gzip.decompress((connectors / name).read_bytes()).splitlines()


def zstd_frames(connectors: Path) -> list[bytes]:
    raw, place, frames = (connectors / "jetstream_v2_zstd.frames").read_bytes(), 0, []
    while place < len(raw):
        (size,) = struct.unpack_from(">I", raw, place)
        frames.append(raw[place + 4 : place + 4 + size])
        place += 4 + size
    return frames


def recount(frames: list[bytes]) -> Counter[str]:
    """Count outcomes with nothing but `json`, in the words of the formats."""
    outcomes: Counter[str] = Counter()
    for frame in frames:
        told = json.loads(frame)
        if "payload" in told:
            commit = told["payload"] if told["payload"]["$type"].endswith("#commit") else None
        else:
            commit = told.get("commit")
        outcomes.update(expected(commit))
    return outcomes


def expected(commit: dict[str, Any] | None) -> list[str]:
    if commit is None:
        return ["ignored"]  # identities, and accounts that are active
    kind, operation = commit["collection"].rpartition(".")[2], commit["operation"]
    if commit["collection"] == POST:
        if operation == "create":
            reply = commit["record"].get("reply")
            return ["post"] + ["reply"] * bool(reply)
        return ["edit" if operation == "update" else "delete"]
    if kind in ("like", "repost") and operation == "create":
        return [kind if f"/{POST}/" in commit["record"]["subject"]["uri"] else "ignored"]
    return ["ignored"]


def outcome(item: SourceItem) -> str:
    record = item.record
    if isinstance(record, Post):
        return "post"
    if isinstance(record, PostEvent):
        return record.kind
    return {Unmappable: "unmappable", Ignored: "ignored", Gap: "gap"}[type(record)]


def through_the_source(tmp_path: Path, frames: list[bytes], **options: Any) -> list[SourceItem]:
    """Serve the frames by a server, read them with the source, return what it delivers."""
    entries = recorded(frames)
    served = {name: options.pop(name) for name in ("dictionary", "packed") if name in options}
    with FakeJetstream(entries, **served) as server:
        chosen = BlueskyOptions(
            hosts=(server.host,), collections=(), start_s_ago=3e8,
            limits=LiveLimits(**IMPATIENT), **options,
        )  # fmt: skip
        source = BlueskySource(chosen, SourceContext(tmp_path, Secret("k")))
        items: list[SourceItem] = []

        def all_came() -> bool:
            items.extend(source.poll(500, 0.02))
            # What a frame becomes comes after it was counted; its last item has its number.
            return bool(items) and items[-1].cursor.number == len(entries)

        with closing(source):
            source.open(None)
            wait_until(all_came, "every frame was delivered")
        assert server.sent == len(entries)
    return items


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("jetstream.jsonl.gz", "v1"),
        ("jetstream_v1_server.jsonl.gz", "v1"),
        ("jetstream_v2_server.jsonl.gz", "v2"),
    ],
)
def test_every_recorded_frame_becomes_what_it_should(
    name: str, protocol: str, connectors: Path, tmp_path: Path
) -> None:
    frames = lines(connectors, name)
    items = through_the_source(tmp_path, frames, protocol=protocol)
    found, wanted = Counter(map(outcome, items)), recount(frames)
    assert found == wanted
    assert "unmappable" not in found
    assert found["post"] > 15


def test_recorded_zstd_frames_become_what_they_should(connectors: Path, tmp_path: Path) -> None:
    dictionary = (connectors / "jetstream_v2_zstd.dict").read_bytes()
    unpacker = Unpacker(dictionary, 1_048_576)
    packed: dict[bytes, bytes] = {}
    for frame in zstd_frames(connectors):
        unpacked = unpacker.unpack(frame)
        assert isinstance(unpacked, bytes)
        packed[unpacked] = frame
    frames = list(packed)
    assert len(frames) == 500
    items = through_the_source(
        tmp_path, frames, protocol="v2", dictionary=dictionary, packed=packed
    )
    assert Counter(map(outcome, items)) == recount(frames)


def test_recorded_fields_arrive_as_they_were_sent(connectors: Path, tmp_path: Path) -> None:
    frames = lines(connectors, "jetstream.jsonl.gz")
    items = through_the_source(tmp_path, frames, authors="public")
    posts = {i.record.id: i.record for i in items if isinstance(i.record, Post)}
    events = [i.record for i in items if isinstance(i.record, PostEvent)]
    for told in map(json.loads, frames):
        commit = told.get("commit") or {}
        record = commit.get("record") or {}
        if commit.get("collection") == POST and commit["operation"] == "create":
            post = posts[f"at://{told['did']}/{POST}/{commit['rkey']}"]
            assert post.author == told["did"]
            assert post.text == record["text"]
            assert post.lang == (record.get("langs") or [""])[0]
            assert post.claimed_at is not None
            assert post.claimed_at.isoformat()[:19] == record["createdAt"][:19]
            parent = record.get("reply", {}).get("parent", {}).get("uri")
            assert post.reply_to == parent
        elif commit.get("collection") == "app.bsky.feed.like":
            # The event is keyed by the author of the post that was liked, not by who likes it.
            uri = record["subject"]["uri"]
            assert any(
                e.kind == "like" and e.post_id == uri and e.author == uri.split("/")[2]
                for e in events
            )


def test_authors_are_hidden_everywhere_in_what_leaves(connectors: Path, tmp_path: Path) -> None:
    items = through_the_source(tmp_path, lines(connectors, "jetstream.jsonl.gz"))
    sent = [encode(i.record) for i in items if isinstance(i.record, Post | PostEvent)]
    assert len(sent) > 100
    assert not [value for value in sent if b'"author":"did:' in value or b"at://did:" in value]
