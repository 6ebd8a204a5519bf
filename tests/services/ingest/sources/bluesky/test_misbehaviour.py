"""A server that stalls, breaks off, lies, repeats and refuses: nothing is lost, nothing unsaid."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.errors import ConfigError
from core.schemas import Post
from services.ingest.sources.base import Gap, SourceContext
from services.ingest.sources.bluesky.options import POST, BlueskyOptions
from services.ingest.sources.bluesky.source import BlueskySource
from services.ingest.sources.options import LiveLimits
from testkit.checks.live_sources import LiveRig, take_until, unmappable_of, wait_until
from testkit.kafka import MemoryBroker
from testkit.platforms.bluesky.answers import Answer
from testkit.platforms.bluesky.journal import Conversation, commit
from testkit.platforms.bluesky.platform import IMPATIENT
from testkit.platforms.bluesky.server import FakeJetstream
from testkit.platforms.bluesky.sessions import Fault

EVENTS = 400
BOTH = pytest.mark.parametrize("protocol", ["v1", "v2"])


def talk(posts_share: float = 0.5, **how: Any) -> Conversation:
    return Conversation(datetime.now(UTC), posts_share=posts_share, **how)


def ids(conversation: Conversation, start: int = 0) -> list[str]:
    return [f"at://{did}/{POST}/{rkey}" for did, rkey in conversation.posts[start:]]


_made: list[BlueskySource] = []


@pytest.fixture(autouse=True)
def no_source_outlives_its_test() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


def source_of(directory: Path, *servers: FakeJetstream, **options: Any) -> BlueskySource:
    limits = LiveLimits(**(IMPATIENT | options.pop("limits", {})))
    chosen = BlueskyOptions(
        hosts=tuple(server.host for server in servers),
        limits=limits,
        **({"start_s_ago": 3_600.0} | options),
    )
    _made.append(BlueskySource(chosen, SourceContext(directory)))
    return _made[-1]


def counter(source: BlueskySource, name: str, **labels: str) -> float:
    found = source.context.metrics.registry.get_sample_value(
        f"groundswell_source_{name}_total", {"source": "bluesky", **labels}
    )
    return found or 0.0


def dictionary(conversation: Conversation) -> bytes:
    return zstandard.train_dictionary(4_096, [e.v2 for e in conversation.events(500)]).as_bytes()


@BOTH
@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("abort", "network"), ("going_away", "closed"), ("stall", "stalled"),
        ("half_frame", "network"), ("loris", "stalled"), ("huge", "too_large"),
        ("wrong_json", ""), ("binary", ""), ("repeat", ""), ("reorder", ""),
    ],
)  # fmt: skip
def test_every_post_comes_once_whatever_the_server_does(
    protocol: str, kind: Any, cause: str, tmp_path: Path
) -> None:
    conversation = talk()
    entries = list(conversation.events(EVENTS))
    faults: deque[Fault | None] = deque([Fault(kind, 60), None, Fault(kind, 30)])
    quick = {"idle_min_s": 0.6, "idle_initial_s": 0.6} if cause == "stalled" else {}
    with FakeJetstream(entries, faults) as server:
        source = source_of(tmp_path, server, protocol=protocol, limits=quick)
        source.open(None)
        items = take_until(source, ids(conversation))
        source.close()
    assert len(faults) < 3, "the fault never happened"
    found = [item.record.id for item in items if isinstance(item.record, Post)]
    assert sorted(found) == sorted(ids(conversation))
    if cause:
        assert counter(source, "reconnects", cause=cause) >= 1
        assert counter(source, "duplicates") > 0
    assert not [item for item in items if isinstance(item.record, Gap)]
    bad = {"wrong_json": 4, "binary": 1}.get(kind, 0)
    assert len(unmappable_of(items)) == bad


def test_a_consumer_told_to_be_too_slow_goes_on_where_it_was(tmp_path: Path) -> None:
    conversation = talk()
    server = FakeJetstream(list(conversation.events(EVENTS)), deque([Fault("too_slow", 50)]))
    with server:
        source = source_of(tmp_path, server, protocol="v2")
        source.open(None)
        items = take_until(source, ids(conversation))
        source.close()
    assert counter(source, "reconnects", cause="too_slow") == 1
    assert len({i.record.id for i in items if isinstance(i.record, Post)}) == len(ids(conversation))


@pytest.mark.parametrize("status", [429, 503, 500, 400])
def test_a_server_that_refuses_for_a_while_is_asked_again(status: int, tmp_path: Path) -> None:
    conversation = talk()
    refusals = [Answer(status, b"not now", (("Retry-After", "0"),)) for _ in range(3)]
    with FakeJetstream(list(conversation.events(50)), answers=deque(refusals)) as server:
        source = source_of(tmp_path, server)
        source.open(None)
        take_until(source, ids(conversation))
        source.close()
    cause = "busy" if status in (429, 503) else "refused"
    assert counter(source, "reconnects", cause=cause) == 3


def test_options_that_the_server_never_takes_end_the_source_with_its_words(tmp_path: Path) -> None:
    answer = Answer(400, b"invalid collection: nonsense")
    with FakeJetstream(answers=deque([answer] * 50)) as server:
        source = source_of(tmp_path, server, start_s_ago=0.0)
        source.open(None)
        raised: list[ConfigError] = []

        def fails() -> bool:
            try:
                source.poll(10, 0.01)
            except ConfigError as error:
                raised.append(error)
            return bool(raised)

        wait_until(fails, "the source gives up")
        source.close()
    assert "invalid collection: nonsense" in str(raised[0])


def test_the_next_host_takes_over_by_time_and_nothing_is_missing(tmp_path: Path) -> None:
    first = talk()
    entries = list(first.events(EVENTS))
    # The same conversation under other numbers, as another instance has it.
    others = [_renumbered(entry, 90_000) for entry in entries]
    with FakeJetstream(entries[:200]) as one, FakeJetstream(others) as two:
        source = source_of(tmp_path, one, two)
        source.open(None)
        before = [e for e in entries[:200] if e.collection == POST and b'"create"' in e.v1]
        take_until(source, ids(first)[: len(before)])
        one.stop()
        items = take_until(source, ids(first)[len(before) :])
        source.close()
        assert len(two.requests[0].rpartition("cursor=")[2]) == 16, "microseconds"
    assert not [item for item in items if isinstance(item.record, Gap)]
    assert counter(source, "duplicates") > 0


def _renumbered(entry: Any, by: int) -> Any:
    old, new = f'"cursor":{entry.seq},'.encode(), f'"cursor":{entry.seq + by},'.encode()
    return replace(entry, seq=entry.seq + by, v1=entry.v1.replace(old, new))


@BOTH
def test_a_cursor_that_is_too_old_is_a_counted_gap(protocol: str, tmp_path: Path) -> None:
    conversation = talk(step_us=1_000_000)
    entries = list(conversation.events(300))
    with FakeJetstream(list(entries[:100])) as server:
        source = source_of(tmp_path, server, protocol=protocol)
        source.open(None)
        posts = sum(1 for e in entries[:100] if e.collection == POST and b'"create"' in e.v1)
        take_until(source, ids(conversation)[:posts])

        def forget() -> None:
            server.entries.extend(entries[100:])
            server.floor = 200

        server.while_away(forget)
        kept = sum(1 for e in entries[:200] if e.collection == POST and b'"create"' in e.v1)
        items = take_until(source, ids(conversation)[kept:])
        source.close()
    gaps = [item.record for item in items if isinstance(item.record, Gap)]
    assert len(gaps) == 1
    assert gaps[0].lost_s == pytest.approx(101, abs=2)


@pytest.mark.slow
@BOTH
def test_a_server_set_up_anew_is_asked_by_time(protocol: str, tmp_path: Path) -> None:
    conversation = talk(first_seq=5_000)
    entries = list(conversation.events(EVENTS))
    posts = sum(1 for e in entries[:200] if e.collection == POST and b'"create"' in e.v1)
    with FakeJetstream(list(entries[:200])) as server:
        source = source_of(tmp_path, server, protocol=protocol)
        source.open(None)
        take_until(source, ids(conversation)[:posts])
        anew = [commit(number, e.us, e.did, *_told(e)) for number, e in enumerate(entries, start=1)]
        server.while_away(lambda: server.entries.__setitem__(slice(None), anew))
        items = take_until(source, ids(conversation)[posts:])
        source.close()
    assert not [item for item in items if isinstance(item.record, Gap)]
    # An event below our number tells; silence where the last event should come again does, too.
    noticed = [counter(source, "reconnects", cause=cause) for cause in ("renumbered", "stalled")]
    assert sum(noticed) >= 1


def _told(entry: Any) -> tuple[Any, ...]:
    told = json.loads(entry.v1)["commit"]
    return told["operation"], told["collection"], told["rkey"], told.get("record")


def test_a_server_that_lost_its_last_moments_and_takes_them_in_again_makes_no_gap(
    tmp_path: Path,
) -> None:
    conversation = talk(step_us=100_000)
    entries = list(conversation.events(300))
    posts = sum(1 for e in entries[:200] if e.collection == POST and b'"create"' in e.v1)
    with FakeJetstream(list(entries[:200])) as server:
        source = source_of(tmp_path, server, rewind_s=1.0)
        source.open(None)
        take_until(source, ids(conversation)[:posts])
        # Killed: of the last hundred nothing was on its disk; read upstream again a minute later.
        again = [
            replace(_renumbered(e, 5_000), us=e.us + 60_000_000, v1=_later(e, 60_000_000))
            for e in entries[100:]
        ]
        server.while_away(lambda: server.entries.__setitem__(slice(100, None), again))
        items = take_until(source, ids(conversation)[posts:])
        source.close()
    found = [item.record.id for item in items if isinstance(item.record, Post)]
    assert found == ids(conversation)[posts:]
    assert not [item for item in items if isinstance(item.record, Gap)]


def _later(entry: Any, us: int) -> bytes:
    told = json.loads(entry.v1) | {"time_us": entry.us + us, "cursor": entry.seq + 5_000}
    return json.dumps(told).encode()


def test_a_zstd_bomb_is_kept_as_bad_input_and_the_stream_goes_on(tmp_path: Path) -> None:
    conversation = talk()
    trained = dictionary(talk())
    server = FakeJetstream(
        list(conversation.events(EVENTS)), deque([Fault("bomb", 50)]), dictionary=trained
    )
    with server:
        source = source_of(tmp_path, server, protocol="v2")
        source.open(None)
        items = take_until(source, ids(conversation))
        source.close()
    (bomb,) = unmappable_of(items)
    assert "50000000 bytes once decompressed" in bomb.detail
    assert len(bomb.raw) < 100_000


def test_a_retired_dictionary_is_fetched_again(tmp_path: Path) -> None:
    conversation = talk()
    refused = Answer(400, b'{"error":"UnknownZstdDictionary","message":"current is 7"}')
    server = FakeJetstream(
        list(conversation.events(50)), answers=deque([refused]), dictionary=dictionary(talk())
    )
    with server:
        source = source_of(tmp_path, server, protocol="v2")
        source.open(None)
        take_until(source, ids(conversation))
        source.close()
        fetched = [path for path in server.requests if path.endswith("getZstdDictionary")]
    assert len(fetched) == 2


def test_v1_with_its_dictionary_offers_no_second_compression(tmp_path: Path) -> None:
    conversation = talk()
    path = tmp_path / "zstd_dictionary"
    path.write_bytes(dictionary(talk()))
    server = FakeJetstream(list(conversation.events(50)), dictionary=path.read_bytes())
    with server:
        source = source_of(tmp_path, server, zstd_dictionary=str(path))
        source.open(None)
        take_until(source, ids(conversation))
        source.close()
    assert "compress=true" in server.requests[0]
    assert counter(source, "reconnects", cause="refused") == 0


def test_a_long_list_of_accounts_is_sent_as_a_message(tmp_path: Path) -> None:
    conversation = talk(accounts=200)
    entries = list(conversation.events(EVENTS))
    dids = tuple(dict.fromkeys(e.did for e in entries))[:60]
    wanted = [post for post in ids(conversation) if post.split("/")[2] in dids]
    with FakeJetstream(entries) as server:
        source = source_of(tmp_path, server, dids=dids)
        source.open(None)
        items = take_until(source, wanted)
        source.close()
    assert "requireHello=true" in server.requests[0]
    assert "wantedDids" not in server.requests[0]
    assert {i.record.id for i in items if isinstance(i.record, Post)} == set(wanted)


def test_a_server_whose_clock_is_wrong_loses_nothing(tmp_path: Path) -> None:
    conversation = Conversation(datetime.now(UTC) + timedelta(days=2), posts_share=0.5)
    entries = list(conversation.events(EVENTS))
    with FakeJetstream(entries, deque([Fault("abort", 50), Fault("abort", 20)])) as server:
        source = source_of(tmp_path, server)
        source.open(None)
        items = take_until(source, ids(conversation))
        source.close()
    assert not [item for item in items if isinstance(item.record, Gap)]


def test_an_old_server_without_numbers_is_followed_by_time(tmp_path: Path) -> None:
    conversation = talk()
    entries = list(conversation.events(EVENTS))
    bare = [_without_number(entry) for entry in entries]
    faults: deque[Fault | None] = deque([Fault("abort", 80), Fault("abort", 200)])
    with FakeJetstream(bare, faults, numbers=False, time_cursor_early=25) as server:
        source = source_of(tmp_path, server)
        source.open(None)
        items = take_until(source, ids(conversation))
        source.close()
    found = [item.record.id for item in items if isinstance(item.record, Post)]
    assert sorted(found) == sorted(ids(conversation))


def _without_number(entry: Any) -> Any:
    return replace(entry, seq=0, v1=entry.v1.replace(f'"cursor":{entry.seq},'.encode(), b""))


def test_a_restarted_server_is_found_again_and_nothing_comes_twice(tmp_path: Path) -> None:
    conversation = talk()
    with FakeJetstream(list(conversation.events(100))) as server:
        rig = LiveRig(source_of(tmp_path, server), tmp_path, MemoryBroker())
        with rig:
            rig.wait_for(ids(conversation))
            server.stop()
            wait_until(lambda: rig.count("source_reconnects") >= 2, "it noticed")
            server.entries.extend(conversation.events(100))
            server.start()
            rig.wait_for(ids(conversation))
    assert sorted(rig.ids()) == sorted(ids(conversation))
    assert rig.totals is not None
    assert rig.totals.gaps == 0
