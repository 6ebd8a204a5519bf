"""The webhook as its senders see it: answers, refusals, repeats, pressure and slowness."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.webhook.source import WebhookSource
from services.ingest.sources.webhook.wire import sign
from services.local.ports import reserved_port
from testkit.checks.source_reader import SourceReader
from testkit.platforms.site import wait_for
from testkit.platforms.webhook.client import Answer
from testkit.platforms.webhook.platform import OLD_KEY, STANDARD_KEY, Receiving

KEY = STANDARD_KEY
POST_LINE = b"POST /v1/posts HTTP/1.1\r\nHost: x\r\n"
POST = {"id": "p1", "author": "ana", "text": "hello", "created_at": "2026-03-01T13:00:00+01:00"}


def signed_headers() -> bytes:
    """Return headers that could be good, as they stand in a request."""
    headers = sign(KEY, "some-id", int(time.time()), b"another body")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def test_posts_and_events_are_answered_once_they_are_acknowledged(receive: Receiving) -> None:
    receiver = receive()
    events = [{"kind": "delete", "post_id": "p1", "author": "ana"}]
    answer = receiver.client.send({"posts": [POST], "events": events})
    assert (answer.status, answer.tree) == (202, {"accepted": 2})
    (post,), (event,) = receiver.reader.posts, receiver.reader.events
    assert (post.id, post.source, post.author, post.text) == ("p1", "webhook", "ana", "hello")
    assert post.claimed_at is not None
    assert post.claimed_at.isoformat() == "2026-03-01T12:00:00+00:00"
    assert (event.kind, event.post_id) == ("delete", "p1")


def test_no_answer_before_kafka_has_it(receive: Receiving) -> None:
    receiver = receive(acknowledge_timeout_s=0.3)
    receiver.reader.acknowledges = False
    answer = receiver.client.send({"posts": [POST]}, "k1")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    wait_for(lambda: len(receiver.reader.posts) == 1)
    receiver.reader.acknowledges = True
    receiver.source.acknowledged({"n": 1})
    assert receiver.client.send({"posts": [POST]}, "k1").status == 202
    assert len(receiver.reader.posts) == 1


def test_a_repeated_request_gets_the_same_answer_and_no_second_post(receive: Receiving) -> None:
    receiver = receive()
    with ThreadPoolExecutor(4) as senders:
        answers = list(
            senders.map(lambda _: receiver.client.send({"posts": [POST]}, "k"), range(8))
        )
    assert {(answer.status, answer.tree["accepted"]) for answer in answers} == {(202, 1)}
    assert receiver.client.send({"posts": [POST]}, "k").tree == {"accepted": 1}
    assert len(receiver.reader.posts) == 1
    other = receiver.client.send({"posts": [POST | {"id": "p2"}]}, "k")
    assert (other.status, other.tree["field"]) == (422, "webhook-id")


def test_answers_are_remembered_over_a_restart(receive: Receiving) -> None:
    first = receive()
    assert first.client.send({"posts": [POST]}, "k").status == 202
    cursor = first.reader.cursor
    first.close()
    second = receive(cursor)
    assert second.client.send({"posts": [POST]}, "k").tree == {"accepted": 1}
    assert second.client.send({"posts": [POST | {"id": "p2"}]}, "k2").status == 202
    assert [post.id for post in second.reader.posts] == ["p2"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"posts": [{"id": "p", "author": "a"}]}, "posts[0].text"),
        ({"posts": [POST, POST | {"text": 7}]}, "posts[1].text"),
        ({"posts": [POST | {"created_at": "2026-03-01T12:00:00"}]}, "posts[0].created_at"),
        ({"posts": [POST | {"id": ""}]}, "posts[0].id"),
        ({"posts": [POST | {"likes": 3}]}, "posts[0].likes"),
        ({"events": [{"kind": "x", "post_id": "p", "author": "a"}]}, "events[0].kind"),
        ({"events": [{"kind": "edit", "post_id": "p", "author": "a"}]}, "events[0].text"),
        ({"posts": "none"}, "posts"),
        ({"tweets": []}, "tweets"),
        ({}, None),
        (b"{half", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_wrong_body_is_refused_whole_by_the_name_of_its_field(
    receive: Receiving, body: Any, field: str | None
) -> None:
    receiver = receive()
    answer = receiver.client.send(body)
    assert answer.status == 400
    assert answer.tree.get("field") == field
    wait_for(lambda: bool(receiver.reader.unmappable))
    assert not receiver.reader.posts
    # What the sender calls a field may be a name: only names of the contract are kept beside it.
    detail = receiver.reader.unmappable[0].detail
    places = (field or "the whole body", "a field that is not known")
    assert detail.removeprefix("refused at ") in places


def test_bytes_that_are_no_text_are_kept_if_they_are_signed(receive: Receiving) -> None:
    receiver = receive(secret=OLD_KEY.reveal())
    assert receiver.client.send(b"\xff\xfe").status == 400
    wait_for(lambda: bool(receiver.reader.unmappable))
    # Standard Webhooks sign text only.
    headers = sign(KEY, "r1", int(time.time()), b"")
    assert receiver.client.send(b"\xff\xfe", headers=headers).status == 401
    assert len(receiver.reader.unmappable) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1," + "A" * 43 + "="},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,\u00e9\u00e9"},
        {"webhook-signature": " ".join(["v1,AAAA"] * 9)},
        {"webhook-timestamp": "0"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 300},
        {"webhook-timestamp": "signed for another second"},
        {"webhook-id": "another"},
        {"webhook-id": ""},
        {"webhook-id": "with.a.stop"},
        {"webhook-id": "x" * 201},
    ],
)
def test_what_is_not_signed_is_refused_and_not_kept(
    receive: Receiving, headers: dict[str, str]
) -> None:
    receiver = receive()
    if headers.get("webhook-timestamp", "").startswith("signed"):
        headers = {"webhook-timestamp": str(int(time.time()) + 100)}
    assert receiver.client.send({"posts": [POST]}, headers=headers).status == 401
    receiver.reader.until(lambda: True)
    assert receiver.reader.items == []


def test_five_minutes_of_skew_are_tolerated_and_no_more(receive: Receiving) -> None:
    receiver = receive()
    for skew_s, status in ((-240, 202), (240, 202), (-360, 401), (360, 401)):
        client = receiver.sender(KEY, skew_s)
        assert client.send({"posts": [POST | {"id": f"p{skew_s}"}]}).status == status


def test_either_of_two_keys_signs(tmp_path: Path, receive: Receiving) -> None:
    other, wrong = Secret("whsec_" + "B" * 32), Secret("whsec_" + "C" * 32)
    (tmp_path / "keys").write_text(f"{KEY.reveal()}\n{other.reveal()}\n")
    receiver = receive(secret_file=str(tmp_path / "keys"))
    for key, status in ((other, 202), (KEY, 202), (wrong, 401)):
        posts = {"posts": [POST | {"id": key.reveal()}]}
        assert receiver.sender(key).send(posts).status == status
    # A sender in the middle of a change signs with both.
    twice = sign(wrong, "both", int(time.time()), b'{"posts": []}')["webhook-signature"]
    twice += " " + sign(KEY, "both", int(time.time()), b'{"posts": []}')["webhook-signature"]
    answer = receiver.client.send(b'{"posts": []}', "both", headers={"webhook-signature": twice})
    assert (answer.status, answer.tree["error"]) == (400, "invalid")


def test_too_large_and_compressed_bodies_are_refused_unread(receive: Receiving) -> None:
    receiver = receive(max_body_bytes=1_000)
    assert receiver.client.send({"posts": [POST | {"text": "x" * 1_000}]}).status == 413
    assert receiver.client.send(b"{}", headers={"Content-Encoding": "gzip"}).status == 415
    for headers, status in ((signed_headers(), b" 413 "), (b"", b" 401 ")):
        with socket.create_connection(("127.0.0.1", receiver.port)) as line:
            line.sendall(POST_LINE + headers + b"Transfer-Encoding: chunked\r\n\r\n")
            line.sendall((b"200\r\n" + b"x" * 512 + b"\r\n") * 4)
            line.settimeout(60)
            assert status in line.recv(100)


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "unsigned"])
def test_of_an_endless_body_little_is_read(receive: Receiving, is_signed: bool) -> None:
    receiver = receive(max_body_bytes=100_000)
    headers = signed_headers() if is_signed else b""
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", receiver.port)) as line:
        line.settimeout(60)
        line.sendall(POST_LINE + headers + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 400_000_000:
                sent += line.send(piece)
    # Most of it waited in buffers of the system; 262 MB were read before.
    assert sent < 32_000_000
    assert receiver.reader.items == []


def test_many_items_in_one_request_are_refused(receive: Receiving) -> None:
    receiver = receive(max_items=3)
    posts = [POST | {"id": f"p{n}"} for n in range(4)]
    assert receiver.client.send({"posts": posts}).status == 400
    assert receiver.client.send({"posts": posts[:3]}).status == 202


def test_a_full_buffer_puts_requests_off_and_loses_nothing(receive: Receiving) -> None:
    receiver = receive(limits={"max_buffered_items": 20}, acknowledge_timeout_s=0.2)
    answers: list[Answer] = []
    with receiver.turn:  # nobody polls
        for n in range(30):
            answers.append(receiver.client.send({"posts": [POST | {"id": f"p{n}"}]}, f"k{n}"))
            if answers[-1].status == 429:
                break
    assert answers[-1].status == 429
    assert answers[-1].headers["retry-after"] == "1"
    for n in range(30):
        posts = {"posts": [POST | {"id": f"p{n}"}]}
        assert receiver.client.send_until_accepted(posts, f"k{n}").status == 202
    assert sorted(post.id for post in receiver.reader.posts) == sorted(f"p{n}" for n in range(30))


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST /v1/posts HTTP/1.1\r\nHost: x\r\nX-Slow: ", None],
    ids=["silence", "half a header", "half a body"],
)
def test_slow_senders_are_cut_off(receive: Receiving, beginning: bytes | None) -> None:
    receiver = receive(body_timeout_s=0.5)
    if beginning is None:
        beginning = POST_LINE + signed_headers() + b"Content-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", receiver.port)) as line:
        line.settimeout(60)
        line.sendall(beginning)
        answer = b""
        while piece := line.recv(1_000):
            answer += piece
            if b"408" in answer:
                break
    # Ourselves being slow, we may be cut off as well, and send again.
    assert receiver.client.send_until_accepted({"posts": [POST]}, "k").status == 202


def test_a_sender_that_hangs_up_half_way_does_no_harm(receive: Receiving) -> None:
    receiver = receive()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", receiver.port)) as line:
            line.sendall(b"POST /v1/posts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert receiver.client.send({"posts": [POST]}).status == 202
    assert len(receiver.reader.posts) == 1


@pytest.mark.parametrize("steps", range(12))
def test_cancelled_at_any_moment_of_its_start_it_leaves_no_socket_open(
    steps: int, tmp_path: Path
) -> None:
    with (
        reserved_port() as port,
        SourceReader("webhook", {"port": port}, tmp_path, secret=KEY.reveal()) as reader,
    ):
        source = reader.source
        assert isinstance(source, WebhookSource)

        async def begin_and_cancel() -> None:
            session = asyncio.ensure_future(source.session())
            for _ in range(steps):
                await asyncio.sleep(0)
            session.cancel()
            with suppress(asyncio.CancelledError):
                await session

        asyncio.run(begin_and_cancel())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 60.0)


def test_the_schema_is_served_and_derived_from_the_types(receive: Receiving) -> None:
    receiver = receive()
    with socket.create_connection(("127.0.0.1", receiver.port)) as line:
        line.settimeout(60)
        line.sendall(b"GET /v1/schema HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := line.recv(10_000):
            answer += piece
    schema = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert schema["$defs"]["GivenPost"]["required"] == ["id", "author", "text"]


@pytest.mark.parametrize(
    ("options", "secret", "named"),
    [
        ({}, "", r"ingest\.source_secret"),
        ({}, "short", "16 characters"),
        ({}, "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ({}, "whsec_" + "!" * 40, "24 to 64 bytes"),
        ({"old_signatures": False}, "a-key-for-tests-only", "old_signatures"),
        ({"secret_file": "/no/such/file"}, "", "secret_file"),
        ({"port": 70_000}, KEY.reveal(), "port"),
        ({"tolerance_s": 0}, KEY.reveal(), "tolerance_s"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    options: dict[str, Any], secret: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        SourceReader("webhook", options, tmp_path, secret=secret)


def test_the_key_and_what_was_sent_are_in_no_log(
    receive: Receiving, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver = receive()
    receiver.client.send({"posts": [POST | {"text": 7, "author": "unmistakable"}]})
    receiver.client.send({"posts": [POST]}, headers={"webhook-signature": "v1,unmistakable"})
    shown = capsys.readouterr()
    everything = shown.out + shown.err + repr(receiver.source.options)
    assert "webhook listens" in everything
    assert KEY.reveal() not in everything
    assert "unmistakable" not in everything
