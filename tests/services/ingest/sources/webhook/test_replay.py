"""One captured request counts once, however often and under whatever headers it is sent again."""

from __future__ import annotations

import hashlib
import http.client
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.settings import Secret
from services.ingest.sources.memory import open_memory
from services.ingest.sources.webhook.wire import sign
from testkit.platforms.webhook.platform import OLD_KEY, STANDARD_KEY, Receiver, Receiving

LIKE = {"events": [{"kind": "like", "post_id": "p1", "author": "ana"}]}
BODY = msgspec.json.encode(LIKE)
SCHEMES = pytest.mark.parametrize(
    ("key", "scheme"), [(STANDARD_KEY, "standard"), (OLD_KEY, "old")], ids=["standard", "old"]
)


class TurnedClock:
    """A clock that a test turns either way."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, delay_s: float) -> None:
        raise NotImplementedError

    def turn(self, delay_s: float) -> None:
        self.at += timedelta(seconds=delay_s)
        self.elapsed_s += max(0.0, delay_s)


def captured(receiver: Receiver, key: Secret, request_id: str = "r1") -> dict[str, str]:
    """Return the headers of a request as somebody between the two may have recorded them."""
    return sign(key, request_id, int(receiver.clock.now().timestamp()), BODY)


def deliver(receiver: Receiver, headers: dict[str, str], body: bytes = BODY) -> tuple[int, Any]:
    """Send bytes as they are, signed by nobody but whoever made the headers."""
    line = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=60)
    try:
        line.request("POST", "/v1/posts", body, headers)
        answer = line.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    finally:
        line.close()


def likes(*receivers: Receiver) -> int:
    return sum(len(receiver.reader.events) for receiver in receivers)


def variations(headers: dict[str, str]) -> list[dict[str, str]]:
    """Return the captured request with all that its signature does not cover changed."""
    cased = {name.upper(): value for name, value in headers.items()}
    signature = next(name for name in headers if name.lower().endswith("signature"))
    divider = " " if signature == "webhook-signature" else ","
    time = next(name for name in headers if name.lower().endswith("timestamp"))
    return [
        headers,
        cased,
        headers | {"Idempotency-Key": "another"},
        headers | {"Idempotency-Key": "a third", "User-Agent": "x", "X-Forwarded-For": "1.2.3.4"},
        {k: v for k, v in headers.items() if k != "Idempotency-Key"},
        headers | {signature: f"v1,AAAA{divider}{headers[signature]}"},
        headers | {time: "0" + headers[time]},
        headers | {"Content-Type": "text/plain"},
    ]


@SCHEMES
def test_a_captured_request_counts_once_under_any_headers(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    receiver = receive(secret=key.reveal())
    headers = captured(receiver, key)
    for again in variations(headers):
        assert deliver(receiver, again) == (202, {"accepted": 1})
    assert likes(receiver) == 1
    assert receiver.outcomes(scheme) == {"accepted": 1, "replayed": len(variations(headers)) - 1}
    assert receiver.reader.metric("source_duplicates_total") == len(variations(headers)) - 1


@SCHEMES
def test_a_new_id_or_time_makes_a_captured_request_worthless(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    receiver = receive(secret=key.reveal())
    headers = captured(receiver, key)
    time = next(name for name in headers if name.lower().endswith("timestamp"))
    forged = [headers | {time: str(int(headers[time]) + 1)}]
    if scheme == "standard":
        forged.append(headers | {"webhook-id": "r2"})
    for again in forged:
        assert deliver(receiver, again)[0] == 401
    assert likes(receiver) == 0
    assert receiver.outcomes(scheme) == {"unauthorized": len(forged)}


@SCHEMES
def test_it_counts_once_also_over_restarts_and_a_fresh_start(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    first = receive(secret=key.reveal())
    headers = captured(first, key)
    assert deliver(first, headers) == (202, {"accepted": 1})
    cursor = first.reader.cursor
    first.close()
    second = receive(cursor, secret=key.reveal())
    for again in variations(headers):
        assert deliver(second, again) == (202, {"accepted": 1})
    second.close()
    third = receive(None, secret=key.reveal())  # ingest --fresh
    for again in variations(headers):
        assert deliver(third, again) == (202, {"accepted": 1})
    assert likes(first, second, third) == 1


@SCHEMES
def test_it_counts_once_to_the_edge_of_the_tolerance_and_beyond(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    clock = TurnedClock()
    receiver = receive(secret=key.reveal(), clock=clock, tolerance_s=300)
    headers = captured(receiver, key)
    for step_s, status in ((0, 202), (299, 202), (1, 202), (1, 401), (86_400, 401)):
        clock.turn(step_s)
        assert deliver(receiver, headers)[0] == status
    assert likes(receiver) == 1


@SCHEMES
def test_it_counts_once_though_the_clock_jumps_and_the_memory_is_small(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    clock = TurnedClock()
    receiver = receive(secret=key.reveal(), clock=clock, tolerance_s=300, remember_requests=4)
    headers = captured(receiver, key)
    assert deliver(receiver, headers)[0] == 202
    clock.turn(7_200)  # everything is over now, and makes room for others
    for number in range(8):
        clock.turn(301)
        assert deliver(receiver, captured(receiver, key, f"other{number}"))[0] == 202
    clock.turn(-7_200 - 8 * 301)
    status, tree = deliver(receiver, headers)
    assert (status, tree["expected"]) == (401, "too old to be told from a repeat")
    assert receiver.outcomes(scheme)["forgotten"] == 1
    assert likes(receiver) == 9


def test_with_as_many_as_can_be_remembered_none_is_forgotten_but_new_ones_are_put_off(
    receive: Receiving, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = TurnedClock()
    receiver = receive(clock=clock, tolerance_s=300, remember_requests=5)
    requests = [captured(receiver, STANDARD_KEY, f"r{number}") for number in range(6)]
    assert [deliver(receiver, one)[0] for one in requests] == [202] * 5 + [429]
    assert [deliver(receiver, one)[0] for one in requests] == [202] * 5 + [429]
    assert likes(receiver) == 5
    assert receiver.outcomes() == {"accepted": 5, "memory_full": 2, "replayed": 5}
    assert capsys.readouterr().out.count("requests are put off") == 1
    clock.turn(301)  # what is over makes room
    assert deliver(receiver, captured(receiver, STANDARD_KEY, "r6"))[0] == 202
    assert likes(receiver) == 6


@SCHEMES
def test_an_honest_retry_signed_anew_counts_once_and_its_replay_too(
    receive: Receiving, key: Secret, scheme: str
) -> None:
    clock = TurnedClock()
    receiver = receive(secret=key.reveal(), clock=clock, tolerance_s=300, remember_requests=3)
    for _ in range(3):
        answer = receiver.client.send(LIKE, "r1")
        assert (answer.status, answer.tree) == (202, {"accepted": 1})
        clock.turn(200)
    clock.turn(-200)
    last = captured(receiver, key)
    # The first signature is long over. What is remembered is good until the last one is.
    for number in range(4):
        other = {"events": [{"kind": "like", "post_id": f"p{number}", "author": "ben"}]}
        receiver.client.send(other, f"other{number}")
    counted = likes(receiver)
    for again in variations(last):
        assert deliver(receiver, again)[0] == 202
    assert likes(receiver) == counted
    assert receiver.outcomes(scheme)["repeated"] == 2
    assert sum(event.author == "ana" for event in receiver.reader.events) == 1


def test_a_stolen_key_name_of_the_old_scheme_takes_no_later_request_with_it(
    receive: Receiving,
) -> None:
    receiver = receive(secret=OLD_KEY.reveal())
    headers = captured(receiver, OLD_KEY, "first")
    assert deliver(receiver, headers)[0] == 202
    assert deliver(receiver, headers | {"Idempotency-Key": "second"})[0] == 202
    other = {"events": [{"kind": "like", "post_id": "p2", "author": "ana"}]}
    assert receiver.client.send(other, "second").status == 202
    assert likes(receiver) == 2


def test_a_key_of_one_scheme_signs_nothing_of_the_other(receive: Receiving) -> None:
    receiver = receive(secret=f"{STANDARD_KEY.reveal()}\n{OLD_KEY.reveal()}")
    at_s = int(receiver.clock.now().timestamp())
    as_old = sign(Secret("x" + STANDARD_KEY.reveal()), "r1", at_s, BODY)
    assert deliver(receiver, as_old)[0] == 401
    both = captured(receiver, OLD_KEY) | {"webhook-id": "r1"}
    assert deliver(receiver, both)[0] == 401
    assert deliver(receiver, captured(receiver, OLD_KEY))[0] == 202
    assert deliver(receiver, captured(receiver, STANDARD_KEY))[0] == 202


def test_a_header_that_stands_there_twice_is_refused(receive: Receiving) -> None:
    receiver = receive()
    headers = captured(receiver, STANDARD_KEY)
    for name in headers:
        line = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=60)
        line.putrequest("POST", "/v1/posts")
        for header, value in [*headers.items(), (name, headers[name])]:
            line.putheader(header, value)
        line.putheader("Content-Length", str(len(BODY)))
        line.endheaders(BODY)
        assert line.getresponse().status == 401
        line.close()
    assert likes(receiver) == 0


def test_keys_that_the_release_before_remembered_are_known(
    receive: Receiving, tmp_path: Path
) -> None:
    digest = hashlib.sha256(BODY).digest()
    file = open_memory(
        tmp_path / "webhook.requests.sqlite",
        "CREATE TABLE answered (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE "
        "NOT NULL, body BLOB NOT NULL, accepted INTEGER NOT NULL);",
    )
    rows = [("named-ana", digest, 1), (f"body:{digest.hex()}", digest, 1)]
    file.executemany("INSERT INTO answered (key, body, accepted) VALUES (?, ?, ?)", rows)
    file.close()
    receiver = receive({"n": 1}, secret=OLD_KEY.reveal())
    headers = captured(receiver, OLD_KEY, "named-ana")
    assert deliver(receiver, headers)[0] == 202
    del headers["Idempotency-Key"]
    assert deliver(receiver, headers)[0] == 202
    assert likes(receiver) == 0
    assert all(b"named-ana" not in file.read_bytes() for file in tmp_path.iterdir())
