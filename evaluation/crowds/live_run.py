"""Real threads through Kafka and the responder, against what the evaluation says of the same.

    python -m evaluation.crowds.live_run --threads threads.json

The threads that `live_threads` wrote are sent in the order of their times, a record at a time, to a
broker and a responder of its own; neither worker nor forecaster is in it. What is told in
the topic `responses` is compared with `live_threads.expected_of`: a forecast before the first
answer, a posterior after each, to the six digits that are told; the exported scores to 1e-9. Exit
status 1 if they do not agree.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from core.clock import SystemClock
from core.codec import response_decoder
from core.config import build
from core.errors import GroundswellError
from core.metrics import Metrics
from core.report import write_report
from core.response_schemas import Response, ResponseCrowd
from core.settings import Settings
from evaluation.crowds.live_model import shipped_says
from evaluation.crowds.live_threads import (
    MEMORY_S,
    SOURCE,
    Expected,
    LiveThread,
    Step,
    expected_of,
    read_threads,
    steps_of,
)
from evaluation.encoder.__main__ import refusing
from evaluation.options import JsonFile
from models.build_crowd import CROWD_WEIGHTS
from models.scorers.crowd_in_process import InProcessCrowd
from models.serving.crowd import open_crowd
from models.socialalign.live import SYSTEMS
from models.socialalign.posterior import Floats
from services.bootstrap import make_store
from services.cli.topics import topic_plans
from services.kafka_client import RecordProducer, TopicAdmin, read_topic
from services.local.kafka_server import KafkaServer
from services.local.redis_server import RedisServer
from services.responder.process import ResponderLoop, make_parts
from services.responder.publishing import KafkaResponses
from services.responder.reading import ReadSoFar, ResponderReader
from stream.topics import RESPONSES

SHARES_AGREE: Final = 0.5e-6 + 1e-9
"""Shares are told to six digits."""
SCORES_AGREE: Final = 1e-9
_TURN_S: Final = 0.01
_STALLED_S: Final = 60.0


class StepLost(GroundswellError):
    """A record that was acknowledged is not read."""


class CountedReader(ResponderReader):
    """A reader that says how many records it has handed over.

    Attributes:
        taken: The number.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.taken = 0

    async def poll(self, timeout_s: float) -> ReadSoFar:
        """See `ResponderReader.poll`."""
        read = await super().poll(timeout_s)
        self.taken += sum(map(len, read.records.values()))
        return read


async def replay(settings: Settings, steps: Sequence[Step], metrics: Metrics) -> None:
    """Send records, each once the responder has told what it says of the one before.

    Raises:
        StepLost: One is not read within a minute.
    """
    store, reader, topic = make_store(settings), CountedReader(settings), None
    producer = RecordProducer(settings.kafka, linger_ms=0)
    try:
        topic = KafkaResponses(settings.kafka)
        crowd = InProcessCrowd(open_crowd(CROWD_WEIGHTS, is_built=False))
        parts = make_parts(settings, store, topic, None, SystemClock(), metrics, crowd)
        loop = ResponderLoop(parts, store, reader)
        await _turn_until(loop, lambda: loop.is_caught_up)
        for number, step in enumerate(steps, start=1):
            producer.send(step.topic, step.key, step.value)
            await asyncio.to_thread(producer.flush, 30.0)
            await _turn_until(loop, lambda number=number: reader.taken >= number)
    finally:
        producer.close()
        await reader.close()
        if topic is not None:
            await topic.close()
        await store.close()


async def _turn_until(loop: ResponderLoop, is_there: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + _STALLED_S
    while not is_there():
        await loop.turn(_TURN_S)
        if time.monotonic() > give_up_s:
            raise StepLost(f"a record is not read within {_STALLED_S:.0f} s")


def disagreements(told: Sequence[Response], expected: Expected, metrics: Metrics) -> list[str]:
    """Return in what the responses differ from what is expected, a sentence each."""
    found: list[str] = []
    of_post: dict[str, list[Response]] = {}
    for one in told:
        of_post.setdefault(one.post_id, []).append(one)
    for name, shares in expected.shares.items():
        found += [f"{name}: {what}" for what in _differs(of_post.get(name, []), shares)]
    for system in SYSTEMS:
        labels = {"source": SOURCE, "system": system}
        live = metrics.registry.get_sample_value("groundswell_crowd_log_score", labels)
        offline = expected.scores.get(system)
        is_same = live is offline is None
        if live is not None and offline is not None:
            is_same = abs(live - offline) <= SCORES_AGREE
        if not is_same:
            found.append(f"score of {system}: {live} live, {offline} offline")
    return found


def _differs(told: Sequence[Response], shares: Sequence[Floats]) -> list[str]:
    by_answers: dict[int, ResponseCrowd] = {}
    for one in told:
        if one.crowd is not None:
            by_answers.setdefault(sum(one.crowd.observed), one.crowd)
    if sorted(by_answers) != list(range(len(shares))):
        return [f"told after {sorted(by_answers)} answers, expected after 0 to {len(shares) - 1}"]
    found: list[str] = []
    for answers, expected in enumerate(shares):
        crowd = by_answers[answers]
        worst = max(
            float(np.abs(np.array(crowd.posterior) - expected).max()),
            float(np.abs(np.array(crowd.expected) - shares[0]).max()),
        )
        if not worst <= SHARES_AGREE:
            found.append(f"after {answers} answers {worst:.2e} apart")
    return found


def through_the_stack(steps: Sequence[Step], metrics: Metrics) -> list[Response]:
    """Send records through servers of their own, and return what was told."""
    with tempfile.TemporaryDirectory(prefix="crowds-") as name:
        folder = Path(name)
        with KafkaServer(folder / "kafka") as kafka, RedisServer(folder / "redis") as redis:
            settings = build({
                "kafka": {"bootstrap_servers": kafka.bootstrap}, "redis": {"url": redis.url},
                "responder": {"memory_s": MEMORY_S, "every_s": 1e-6, "max_events": 10_000,
                              "quoted": 0, "generated": 0, "turns_per_hour": 0},
            })  # fmt: skip
            with TopicAdmin(settings.kafka) as admin:
                admin.create(topic_plans(settings.kafka))
            asyncio.run(replay(settings, steps, metrics))
            records = read_topic(settings.kafka, RESPONSES)
            return [response_decoder.decode(one.value or b"") for one in records]


def figures_of(threads: Sequence[LiveThread], expected: Expected) -> dict[str, float]:
    """Return means over threads of the scores of the next five answers, and of all answers."""
    names = sorted({name for measures in expected.judged.values() for name in measures})
    judged = expected.judged.values()
    means = {name: float(np.mean([of[name] for of in judged if name in of])) for name in names}
    answers = sum(len(shares) - 1 for shares in expected.shares.values())
    late = sum(len(one.answers) - len(one.taken()) for one in threads)
    scores = {f"prequential_{system}": score for system, score in expected.scores.items()}
    counted = {"threads": len(threads), "by_model": expected.by_model}
    return {**counted, "answers": answers, "late": late, **means, **scores}


def main(
    threads: Annotated[Path, typer.Option(help="What live_threads wrote.")],
    first: Annotated[int, typer.Option(min=0, help="The earliest so many; 0: all.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """Replay threads through Kafka and the responder, and compare what is told."""
    metrics = Metrics(role="responder")
    with refusing():
        chosen = read_threads(threads)
        chosen = chosen[: first or len(chosen)]
        steps, began_s = steps_of(chosen), time.monotonic()
        told = through_the_stack(steps, metrics)
        sys.stderr.write(f"{len(steps)} records in {time.monotonic() - began_s:.0f} s\n")
    expected = expected_of(chosen, shipped_says())
    found = disagreements(told, expected, metrics)
    figures = figures_of(chosen, expected) | {"told": len(told), "disagreements": len(found)}
    sys.stdout.writelines(f"{name}: {value:.6g}\n" for name, value in figures.items())
    sys.stdout.writelines(f"{sentence}\n" for sentence in found[:20])
    if json_file is not None:
        write_report(json_file, "crowds live replay", figures, settings={"first": first})
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
