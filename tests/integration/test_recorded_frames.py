"""Every recorded frame goes the whole way, from a server's socket into the panes.

What each must come to is counted a second time here, with nothing but `json`.
"""

from __future__ import annotations

import gzip
import json
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

from services.local.child import Child, Command
from testkit.platforms.bluesky.journal import recorded
from testkit.platforms.bluesky.server import FakeJetstream
from testkit.platforms.mastodon.server import FakeMastodon
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration

POST = "app.bsky.feed.post"
REPOSITORY = Path(__file__).parents[2]
JETSTREAM = {
    "jetstream.jsonl.gz": "v1",
    "jetstream_v1_server.jsonl.gz": "v1",
    "jetstream_v2_server.jsonl.gz": "v2",
    "jetstream_v2_zstd.frames": "v2",
}


@contextmanager
def ingest(
    stream: Any, source: str, home: Path, options: Mapping[str, str], secret: str = ""
) -> Iterator[Callable[[], Counter[str]]]:
    """Run ingest as a process; give a function that reads the totals of its cursor."""
    home.mkdir()
    flat = {f"{s}__{f}": v for s, fields in stream.tree.items() for f, v in fields.items()}
    flat |= {"ingest__author_key": "a key for tests", "ingest__source_secret": secret}
    env = {f"GROUNDSWELL__{key.upper()}": str(value) for key, value in flat.items()}
    asked = [word for pair in options.items() for word in ("--set", "=".join(pair))]
    argv = (
        sys.executable, "-m", "services.cli.main", "ingest", "--source", source,
        "--cursor-dir", str(home), *asked,
    )  # fmt: skip
    child = Child(Command(argv, env | {"PYTHONPATH": str(REPOSITORY)}, cwd=home), home / "log")

    def totals() -> Counter[str]:
        path = home / f"{source}.cursor.json"
        return Counter(json.loads(path.read_bytes())["totals"] if path.exists() else {})

    try:
        yield totals
    finally:
        child.stop(60)


def posts_in_panes(stream: Any) -> int:
    return sum(c["posts"] for (query, _), c in stream.windows().items() if query == "all")


def wait_for_all(stream: Any, read: Callable[[], Counter[str]], outcomes: Counter[str]) -> None:
    """Wait until ingest has read everything; it must have become what was expected."""
    made = outcomes.total()
    stream.wait_until(lambda: read()["items_read"] >= made, "reading all")
    totals = read()
    assert totals["unmappable"] == totals["gaps"] == totals["dropped"] == totals["too_large"] == 0
    named = ("posts_produced", "events_produced", "ignored")
    assert {name: totals[name] for name in named} == {name: outcomes[name] for name in named}


# -- Jetstream ----------------------------------------------------------------------------------


def zstd_frames(folder: Path) -> Iterator[bytes]:
    raw, place = (folder / "jetstream_v2_zstd.frames").read_bytes(), 0
    while place < len(raw):
        (size,) = struct.unpack_from(">I", raw, place)
        yield raw[place + 4 : place + 4 + size]
        place += 4 + size


def commit_of(frame: bytes) -> dict[str, Any]:
    told = json.loads(frame)
    if "payload" in told:
        return told["payload"]
    return {"did": told["did"]} | told.get("commit", {})


def jetstream_outcomes(commit: dict[str, Any]) -> Counter[str]:
    kind, operation = commit.get("collection", ""), commit.get("operation")
    if kind == POST:
        if operation != "create":
            return Counter(events_produced=1)
        return Counter(posts_produced=1, events_produced=1 if "reply" in commit["record"] else 0)
    is_reaction = kind in ("app.bsky.feed.like", "app.bsky.feed.repost") and operation == "create"
    if is_reaction and f"/{POST}/" in commit["record"]["subject"]["uri"]:
        return Counter(events_produced=1)
    return Counter(ignored=1)


def jetstream_file(folder: Path, name: str) -> tuple[list[bytes], dict[str, Any]]:
    """Return the frames of a file as text, and what its server has beside them."""
    if not name.endswith(".frames"):
        return gzip.decompress((folder / name).read_bytes()).splitlines(), {}
    dictionary = (folder / "jetstream_v2_zstd.dict").read_bytes()
    known = zstandard.ZstdCompressionDict(dictionary)
    unpack = zstandard.ZstdDecompressor(dict_data=known).decompress
    packed = {unpack(frame): frame for frame in zstd_frames(folder)}
    return list(packed), {"dictionary": dictionary, "packed": packed}


def test_every_recorded_frame_of_jetstream_has_its_outcome_in_kafka_and_in_the_panes(
    make_stream: Callable[..., Any], data_dir: Path, tmp_path: Path
):
    stream = make_stream()
    stream.start_worker("w1")
    made: set[tuple[str, str]] = set()
    removed: set[tuple[str, str]] = set()
    for name, protocol in JETSTREAM.items():
        frames, served = jetstream_file(data_dir / "connectors", name)
        outcomes = Counter[str]()
        for commit in map(commit_of, frames):
            outcomes += jetstream_outcomes(commit)
            post = (commit["did"], commit.get("rkey", ""))
            if commit.get("collection") == POST and commit["operation"] != "update":
                (made if commit["operation"] == "create" else removed).add(post)
        with FakeJetstream(recorded(frames), **served) as server:
            options = {
                "hosts": f'["{server.host}"]', "protocol": protocol, "start_s_ago": "3e8",
                "collections": "[]",
            }  # fmt: skip
            home = tmp_path / name.partition(".")[0]
            with ingest(stream, "bluesky", home, options) as totals:
                wait_for_all(stream, totals, outcomes)
    there = len(made - removed)
    stream.wait_until(lambda: posts_in_panes(stream) == there, "counting all")


# -- Mastodon -----------------------------------------------------------------------------------


def is_for_everybody(status: dict[str, Any]) -> bool:
    shown = [status, status["reblog"]] if status.get("reblog") else [status]
    return all(s["visibility"] == "public" and not s["account"].get("noindex") for s in shown)


class Expected:
    """What a stream of events must come to, counted as it is read."""

    def __init__(self) -> None:
        self.outcomes = Counter[str]()
        self.there: set[str] = set()
        self._edited_at: dict[str, str] = {}

    def take(self, name: str, data: str) -> None:
        if name == "delete":
            is_known = data in self.there
            self.there.discard(data)
            self.outcomes["events_produced" if is_known else "ignored"] += 1
            return
        status = json.loads(data)
        if name not in ("update", "status.update") or not is_for_everybody(status):
            self.outcomes["ignored"] += 1
            return
        known, version = self._edited_at.get(status["id"]), status.get("edited_at") or ""
        if known is not None and version <= known:
            return  # the same again
        is_new = name == "update" and known is None
        self.outcomes["posts_produced" if is_new else "events_produced"] += 1
        self._edited_at[status["id"]] = version
        if is_new:
            self.there.add(status["id"])


def sse_events(body: str) -> Iterator[tuple[str, str]]:
    name = ""
    for line in body.splitlines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value


def publish_statuses(server: FakeMastodon, folder: Path, wanted: Expected) -> None:
    """Stream the recorded statuses as updates."""
    lines = gzip.decompress((folder / "mastodon_statuses.jsonl.gz").read_bytes()).splitlines()
    assert len(lines) == 62
    for line in lines:
        status = json.loads(line)
        wanted.take("update", line.decode())
        server.site.do(lambda s=status, raw=line: server.stream_raw("update", raw.decode(), s))


def publish_body(server: FakeMastodon, folder: Path, wanted: Expected) -> None:
    """Stream the recorded body to the byte, in pieces that end anywhere."""
    body = gzip.decompress((folder / "mastodon_stream_recorded.sse.gz").read_bytes())
    for event in sse_events(body.decode()):
        wanted.take(*event)
    for place in range(0, len(body), 1_009):
        server.stream_bytes(body[place : place + 1_009])


MASTODON = {"statuses": (publish_statuses, "websocket"), "body": (publish_body, "sse")}


def test_every_recorded_event_of_mastodon_has_its_outcome_in_kafka_and_in_the_panes(
    make_stream: Callable[..., Any], data_dir: Path, tmp_path: Path
):
    stream = make_stream()
    stream.start_worker("w1")
    there: set[str] = set()
    for name, (publish, transport) in MASTODON.items():
        wanted = Expected()
        with FakeMastodon() as server:
            options = {"server": server.site.url, "transport": transport}
            with ingest(stream, "mastodon", tmp_path / name, options, server.token) as totals:
                wait_until(lambda: server.used.get("pages", 0) > 0, "a page is asked for")
                wait_until(lambda: server.subscriptions > 0, "somebody listens")
                publish(server, data_dir / "connectors", wanted)
                wait_for_all(stream, totals, wanted.outcomes)
        there |= wanted.there
    stream.wait_until(lambda: posts_in_panes(stream) == len(there), "counting all")
    assert len(there) > 50
