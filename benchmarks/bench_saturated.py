"""What generating replies costs the hot path when there is always another event to reply to.

End to end with a responder and without, in turns (`benchmarks.beside`). Several posts a second take
off, which is more than any model here can answer: eight events always wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from typing import Final

from benchmarks.beside import BesideProcess, measure_beside
from benchmarks.harness import Measured, Options, run_benchmark
from benchmarks.lab import READY_S, BenchFailed, Lab
from core.codec import encode, response_decoder
from core.errors import DecodeError
from core.forecast_schemas import ForecastEvent
from services.kafka_client import RecordProducer, read_topic
from stream.topics import EVENTS, RESPONSES

_EVERY_S: Final = 0.25
_FOLLOWED: Final = "events are followed"


def start_responder(lab: Lab) -> None:
    """Start a responder that asks as often as its model answers; wait until it is active."""
    child = lab.start_process(
        "responder run", responder__kind="triton", responder__generated_per_minute=100_000,
        responder__every_s=0.5, responder__generate_timeout_s=60, responder__timeout_s=60,
        responder__max_events=100_000,
    )  # fmt: skip
    lab.wait_said(child, _FOLLOWED)


def generated(lab: Lab) -> int:
    """Return how many responses with generated replies there are."""
    found = 0
    for record in read_topic(lab.settings.kafka, RESPONSES):
        try:
            told = response_decoder.decode(record.value or b"")
        except DecodeError:
            continue
        found += any(reply.kind == "generated" for reply in told.replies)
    return found


@contextmanager
def taking_off(lab: Lab, known: Sequence[str]) -> Iterator[None]:
    """Say again and again that another post takes off, and wait for the first reply to one.

    Raises:
        BenchFailed: No reply was generated.
    """
    before, stop = generated(lab), threading.Event()
    thread = threading.Thread(target=_say, args=(lab, known, stop))
    thread.start()
    try:
        give_up_at = time.monotonic() + READY_S
        while generated(lab) == before:
            if time.monotonic() > give_up_at:
                raise BenchFailed(f"no reply was generated\n{lab.last_words()}")
            time.sleep(0.5)
        yield
    finally:
        stop.set()
        thread.join()


def _say(lab: Lab, known: Sequence[str], stop: threading.Event) -> None:
    producer = RecordProducer(lab.settings.kafka)
    try:
        for post in cycle(known):
            now = datetime.now(UTC)
            event = ForecastEvent(
                event_id=f"e-{post}", kind="taking_off", state="firing", query="all", post_id=post,
                source="synthetic", author="somebody", posted_at=now, decided_at=now,
                target="likes", seen=30, surprise=0.0001,
            )  # fmt: skip
            producer.send(EVENTS, b"all", encode(event))
            producer.flush(READY_S)
            if stop.wait(_EVERY_S):
                return
    finally:
        producer.close()


def measure(options: Options) -> Measured:
    """Run both in turn."""
    return measure_beside(options, BesideProcess("responder", start_responder, taking_off))


if __name__ == "__main__":
    run_benchmark(measure)
