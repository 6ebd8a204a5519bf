"""Kill -9 the responder that is active: another takes over and shows the same, and goes on."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.codec import encode, response_decoder
from core.response_schemas import Response
from services.kafka_client import read_topic
from services.responder.showing import ResponsesView, read_responses
from stream.topics import EVENTS, POST_EVENTS, POSTS, RESPONSES
from testkit.builders import NOON, make_event, make_post
from tests.services.responder.said import take_off

pytestmark = pytest.mark.integration


class Said:
    """What is said now, an id and an author for each."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._at = datetime.now(UTC) - timedelta(minutes=10)

    def posts(self, *said: tuple[str, str, str | None]) -> None:
        """Say posts: id, text, and what they answer."""
        self._stream.produce(POSTS, [
            (f"by {name}".encode(), encode(make_post(
                id=name, text=text, reply_to=root, author=f"by {name}", **self._now()
            )))
            for name, text, root in said
        ])  # fmt: skip

    def likes(self, **of: int) -> None:
        self._events(*(("counts", name, {"likes": number}) for name, number in of.items()))

    def deletes(self, name: str) -> None:
        self._events(("delete", name, {}))

    def takes_off(self, name: str) -> None:
        self._stream.produce(EVENTS, [(b"all", encode(take_off(name, self._seconds())))])

    def _events(self, *said: tuple[str, str, dict[str, Any]]) -> None:
        self._stream.produce(POST_EVENTS, [
            (f"by {name}".encode(), encode(make_event(
                kind, post_id=name, author=f"by {name}", **more, **self._now()
            )))
            for kind, name, more in said
        ])  # fmt: skip

    def _now(self) -> dict[str, datetime]:
        self._at += timedelta(seconds=1)
        return {"claimed_at": self._at, "ingested_at": self._at}

    def _seconds(self) -> float:
        return (self._now()["ingested_at"] - NOON).total_seconds()


def told(stream: Any, post: str) -> list[Response]:
    found = [
        response_decoder.decode(one.value) for one in read_topic(stream.settings.kafka, RESPONSES)
    ]
    return [one for one in found if one.post_id == post]


def shown(stream: Any) -> ResponsesView:
    return asyncio.run(read_responses(stream.settings, 100))


def leads(stream: Any, post: str) -> list[str]:
    responses = told(stream, post)
    return [one.reply_id for one in responses[-1].replies] if responses else []


def test_a_killed_responder_is_replaced_by_one_that_shows_the_same_and_forgets_the_deleted(
    make_stream: Callable,
) -> None:
    stream = make_stream(responder={"every_s": 0.1, "kind": "fake"})
    said = Said(stream)
    first = stream.start_process("responder", "r1", "run")
    said.posts(("p", "the bridge is closed", None),
               *((f"a{n}", f"answer{n}", "p") for n in range(8)))  # fmt: skip
    said.likes(**{f"a{n}": n + 1 for n in range(8)})
    said.takes_off("p")
    stream.wait_until(
        lambda: leads(stream, "p")[:2] == ["a7", "a6"] and "" in leads(stream, "p"), "a response"
    )
    before = leads(stream, "p")
    stream.start_process("responder", "r2", "run")
    os.kill(first.pid, signal.SIGKILL)
    stream.wait_until(lambda: not first.is_running, "the end of the first")
    # Nobody is there, and somebody deletes.
    said.deletes("a7")
    said.posts(("q", "another matter", None))
    said.takes_off("q")
    stream.wait_until(lambda: bool(told(stream, "q")), "what the second says")
    stream.wait_until(lambda: "a7" not in leads(stream, "p"), "a response without it")
    assert leads(stream, "p") == [one for one in before if one != "a7"]
    rows = [row for event in shown(stream).events for row in event.replies]
    assert {row.kind for row in rows} == {"real", "generated"}
    assert "answer7" not in {row.text for row in rows}
    assert not any(row.is_deleted for row in rows)
    said.deletes("p")
    stream.wait_until(lambda: told(stream, "p")[-1].state == "withdrawn", "that it is withdrawn")
    texts = {row.text for event in shown(stream).events for row in event.replies}
    assert not any(text.startswith("answer") for text in texts)
