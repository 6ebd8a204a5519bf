"""200 texts that try to be more than text, on a running stack: they change nothing but text."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec import to_builtins
from msgspec.structs import replace

from core.codec import encode, post_event_decoder, response_decoder
from core.response_schemas import Response
from core.text import clean_text
from services.kafka_client import read_topic
from services.responder.intake import MAX_TEXT_CHARS
from stream.topics import EVENTS, POST_EVENTS, POSTS, RESPONSES
from testkit.builders import NOON, make_event, make_post
from testkit.scorers.fake import FakeScorer
from testkit.scorers.responder import OBEDIENT
from tests.integration.attempts import NUMBER, attempts, harmless
from tests.services.responder.said import take_off

pytestmark = pytest.mark.integration

EVENTS_TRIED, BYSTANDERS, REPLIES = 20, 7, 9
SHOWN = REPLIES + 3 + 1
BOTH = HARMLESS, HOSTILE = "synthetic", "bluesky"
"""The same is said in two sources, with harmless texts and with attempts: nothing else differs."""
FORBIDDEN = re.compile(r"https?:|www\.|\.example|@|u/|jessica|miller|\d{3}|[<>{}|]", re.IGNORECASE)
QUERIES = """
[queries.strike]
expression = "strike*"
[queries.calm]
expression = "strike* NOT riot*"
"""
GONE_WITHIN_MS = 5_000


class Halves:
    """What is said in both sources, by the name of the post."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}
        self.roots: dict[str, str] = {}
        self._at = datetime.now(UTC) - timedelta(minutes=10)
        tried = attempts()
        assert len(set(tried)) == NUMBER == EVENTS_TRIED * (1 + REPLIES)
        for event in range(EVENTS_TRIED):
            for place, text in enumerate(tried[event::EVENTS_TRIED]):
                words = "the strike goes on, " if place % 3 == 0 else ""
                name = f"e{event}r{place}" if place else f"e{event}"
                self.texts[HOSTILE, name] = words + text
                self.texts[HARMLESS, name] = words + harmless(text)
                self.roots[name] = f"e{event}" if place else ""
        for one in range(BYSTANDERS):
            said = ["the bridge over the wide river stays closed for repair again today"]
            said += [f"answer {chr(97 + place) * 6} of number {one}" for place in range(4)]
            for place, text in enumerate(said):
                name = f"b{one}r{place}" if place else f"b{one}"
                self.texts[HOSTILE, name] = self.texts[HARMLESS, name] = text
                self.roots[name] = f"b{one}" if place else ""

    def posts(self) -> list[tuple[bytes, bytes]]:
        return [
            (name.encode(), encode(make_post(
                id=name, source=source, text=self.texts[source, name], author=f"by {name}",
                reply_to=root or None, **at,
            )))
            for name, root in self.roots.items() for at in [self._now()] for source in BOTH
        ]  # fmt: skip

    def likes(self) -> list[tuple[bytes, bytes]]:
        names = [name for name, root in self.roots.items() if root]
        return self._events("counts", names, lambda name: {"likes": 3 * int(name[-1])})

    def deletions(self, names: list[str]) -> list[tuple[bytes, bytes]]:
        return self._events("delete", names, lambda _name: {})

    def take_offs(self, names: list[str]) -> list[tuple[bytes, bytes]]:
        found = [take_off(name, self._seconds()) for name in names]
        return [(b"all", encode(replace(one, source=source))) for one in found for source in BOTH]

    def shown(self, source: str, name: str) -> str:
        """Return what is to be shown of a text."""
        return clean_text(self.texts[source, name][:MAX_TEXT_CHARS])[0]

    def _events(self, kind: str, names: list[str], more: Callable) -> list[tuple[bytes, bytes]]:
        return [
            (name.encode(), encode(make_event(
                kind, post_id=name, source=source, author=f"by {name}", **more(name), **at
            )))
            for name in names for at in [self._now()] for source in BOTH
        ]  # fmt: skip

    def _now(self) -> dict[str, datetime]:
        self._at += timedelta(milliseconds=200)
        return {"claimed_at": self._at, "ingested_at": self._at}

    def _seconds(self) -> float:
        return (self._now()["ingested_at"] - NOON).total_seconds()


class Told:
    """What is published and kept, by source and event."""

    def __init__(self, stream: Any) -> None:
        self._settings = stream.settings
        self.client = redis.Redis.from_url(stream.settings.redis.url)

    def records(self) -> Iterator[tuple[int, Response]]:
        """Yield the broker's time (ms) and the response of each record, in order."""
        for one in read_topic(self._settings.kafka, RESPONSES, poll_s=0.1):
            yield one.timestamp_ms, response_decoder.decode(one.value)

    def last(self) -> dict[tuple[str, str], Response]:
        return {(one.source, one.post_id): one for _at, one in self.records()}

    def texts(self, source: str, event: str) -> dict[str, str]:
        """Return the texts that Redis has for an event, by the name of the post."""
        fields = self.client.hgetall(f"{{responder}}:texts:{source}|{event}")
        return {
            name.decode().removeprefix(f"t:{source}|"): text.decode()
            for name, text in fields.items() if name.startswith(b"t:")
        }  # fmt: skip

    def keys(self, source: str) -> dict[str, Any]:
        """Return every key of a source's posts with its fields or members, without the source."""
        found: dict[str, Any] = {}
        for key in self.client.scan_iter(f"{{responder}}:*:{source}|*"):
            whole = self.client.hkeys(key) if b":texts:" in key else self.client.smembers(key)
            found[_plain(key, source)] = sorted(_plain(one, source) for one in whole)
        for key in ("{responder}:events", "{responder}:gone"):
            members = self.client.zrange(key, 0, -1)
            own = [one for one in members if one.startswith(f"{source}|".encode())]
            found[key] = sorted(_plain(one, source) for one in own)
        return found


def _plain(name: bytes, source: str) -> str:
    return name.decode().replace(f"{source}|", "|")


def form(response: Response) -> dict[str, Any]:
    """Return all of a response but its texts, its times, and what follows from either."""
    found = to_builtins(response)
    for name in ("source", "made_at", "seed"):
        found.pop(name, None)  # what is withdrawn has no seed
    # The crowd is counted from sentiments, and these are of texts.
    found["crowd"] = sorted(found.get("crowd", ()))
    for reply in found.get("replies", ()):
        reply.pop("text", None)
        reply.pop("similarity", None)
    return found


def is_whole(response: Response | None, replies: int) -> bool:
    """Tell whether a response has all real replies with their likes, and what was generated."""
    shown = response.replies if response else ()
    real = {one.reply_id[-1]: one.likes for one in shown if one.kind == "real"}
    return real == {str(place): 3 * place for place in range(1, replies + 1)} and any(
        one.kind == "generated" for one in shown
    )


def test_200_attempts_change_nothing_but_text_and_what_is_deleted_is_gone_at_once(
    make_stream: Callable, tmp_path: Path
) -> None:
    queries = tmp_path / "queries.toml"
    queries.write_text(QUERIES)
    stream = make_stream(
        responder={"kind": "fake", "model": OBEDIENT, "shown": SHOWN, "similarity": 0.9,
                   "generated_per_minute": 100},
        queries={"path": str(queries)},
    )  # fmt: skip
    halves, told = Halves(), Told(stream)
    stream.start_process("responder", "r1", "run")
    stream.start_worker("w1")
    stream.produce(POSTS, halves.posts())
    stream.produce(POST_EVENTS, halves.likes())
    stream.wait_until(lambda: stream.accounted() == len(halves.texts), "that all is counted")
    for group in range(BYSTANDERS):
        names = [f"e{one}" for one in range(3 * group, min(3 * group + 3, EVENTS_TRIED))]
        stream.produce(EVENTS, halves.take_offs([*names, f"b{group}"]))
        asked = [(source, name) for name in names for source in BOTH]
        others = [(source, f"b{group}") for source in BOTH]

        def are_told(asked: Any = asked, others: Any = others) -> bool:
            last = told.last()
            return all(is_whole(last.get(one), REPLIES) for one in asked) and all(
                is_whole(last.get(one), 4) for one in others
            )

        stream.wait_until(are_told, f"the responses of group {group}")
    same_but_for_texts(halves, told)
    same_counts(halves, stream)
    took_ms = deletions_are_at_once(halves, told, stream)
    same_but_for_texts(halves, told, {name for name, _ in DELETED})
    middle_ms, most_ms = took_ms[len(took_ms) // 2], took_ms[-1]
    sys.stdout.write(f"{len(took_ms)} deletions: median {middle_ms} ms, longest {most_ms} ms\n")


def same_but_for_texts(halves: Halves, told: Told, deleted: Any = frozenset()) -> None:
    """Assert that both halves are answered alike, and that texts are shown as they were said."""
    last = told.last()
    names = {name for name, root in halves.roots.items() if not root}
    assert {name for _, name in last} == names
    for name in sorted(names):
        assert form(last[HARMLESS, name]) == form(last[HOSTILE, name]), name
    assert told.keys(HARMLESS) == told.keys(HOSTILE)
    for (source, name), response in last.items():
        kinds = [one.kind for one in response.replies]
        assert len(kinds) <= SHOWN
        # Two of three were what the post asked for.
        assert kinds.count("generated") == (response.state == "current")
        for post, text in told.texts(source, name).items():
            assert text == halves.shown(source, post)
            assert post not in deleted
        if name.startswith("b"):  # what others say changes no text of theirs either
            assert told.texts(HARMLESS, name) == told.texts(HOSTILE, name)
    written = [one.text for _at, response in told.records() for one in response.replies
               if one.kind == "generated"]  # fmt: skip
    assert written
    assert not [text for text in written if FORBIDDEN.search(text)]
    assert not [one for _at, response in told.records() for one in response.replies
                if one.kind != "generated" and one.text]  # fmt: skip


def same_counts(halves: Halves, stream: Any) -> None:
    """Assert that both halves match the same queries, and that each text has its own scores."""
    assert stream.dead() == []
    scored = {(one.source, one.id): one for one in stream.scored()}
    assert scored.keys() == halves.texts.keys()
    for (source, name), one in scored.items():
        other = scored[HARMLESS, name]
        assert (one.queries, one.rated, one.reply_to, one.near_duplicate, one.model_version) == (
            other.queries, other.rated, other.reply_to, other.near_duplicate, other.model_version
        ), (source, name)  # fmt: skip
        has_word = halves.texts[source, name].startswith("the strike")
        assert one.queries == (["all", "calm", "strike"] if has_word else ["all"])
    # Whatever stands beside a text in its batch, it is scored as if it were alone.
    texts = [clean_text(text)[0] for text in halves.texts.values()]
    alone = asyncio.run(FakeScorer().score_batch(texts, ["en"] * len(texts)))
    for row, key in enumerate(halves.texts):
        for head, shares in scored[key].scores.items():
            expected = [share * 1_000_000 for share in alone.heads[head][row].tolist()]
            assert shares == pytest.approx(expected, abs=2), (key, head)


DELETED = (
    *((f"e{event}r{1 + event % REPLIES}", f"e{event}") for event in range(10)),
    ("b0r4", "b0"), ("e18", "e18"), ("e19", "e19"), ("b6", "b6"),
)  # fmt: skip
"""What is deleted, and the event that shows it."""


def deletions_are_at_once(halves: Halves, told: Told, stream: Any) -> list[int]:
    """Delete, and return how long each took to be gone, in ms, the longest last.

    By the broker's times of the deletion and of the first response without it. Texts go from Redis
    before that response is told, which is looked at too.
    """
    pairs = [(source, *one) for one in DELETED for source in BOTH]
    assert all(post in told.texts(source, event) for source, post, event in pairs)
    stream.produce(POST_EVENTS, halves.deletions([post for post, _ in DELETED]))
    said_ms = {
        (event.source, event.post_id): one.timestamp_ms
        for one in read_topic(stream.settings.kafka, POST_EVENTS)
        if (event := post_event_decoder.decode(one.value)).kind == "delete"
    }

    def gone_ms() -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for at_ms, response in told.records():
            for source, post, event in pairs:
                if (source, event) != (response.source, response.post_id):
                    continue
                shown = {one.reply_id for one in response.replies} | (
                    set() if response.state == "withdrawn" else {event}
                )
                if post in shown:
                    found.pop((source, post), None)
                else:
                    found.setdefault((source, post), at_ms)
        return found

    stream.wait_until(lambda: gone_ms().keys() == said_ms.keys(), "that all deleted is gone")
    found = gone_ms()
    for source, post, _event in pairs:
        assert post not in {
            name for key in told.client.scan_iter(f"{{responder}}:texts:{source}|*")
            for name in told.texts(source, key.decode().rpartition("|")[2])
        }, post  # fmt: skip
    took_ms = sorted(found[one] - said_ms[one] for one in found)
    assert len(took_ms) == 2 * len(DELETED)
    assert took_ms[0] >= 0
    assert took_ms[-1] <= GONE_WITHIN_MS
    return took_ms
