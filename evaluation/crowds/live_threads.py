"""Threads as the stream has them, and what is to be told of their crowds by the model alone.

    .venv-server/bin/python -m evaluation.crowds.live_threads --data DIR --out threads.json

writes the threads of RumourEval, without texts, for `evaluation.crowds.live_run`: the post encoder,
which rates answers, lives in the model server's environment, the broker's client does not.

Each thread's first post takes off when it is published, and every post of the thread is sent as an
answer to it, at its own time. What is to be told after each is worked out here answer by answer,
from what the evaluation judges by (`UsualShares`, `CrowdStrength`, `CrowdPosterior`): the events of
the source that were over when a thread began, in the order in which they were. Whether the crowd
model makes a forecast is worked out here too (`live_model`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import exp, inf
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer

from core.codec import encode
from core.errors import ConfigError
from core.forecast_schemas import ForecastEvent
from core.heads import HEADS, SENTIMENT
from core.schemas import MICRO, Post, ScoredPost
from evaluation.crowds.__main__ import sentiment_labels
from evaluation.crowds.before_answers import HeadsOf, encoder_heads
from evaluation.crowds.events import CROWDS, LEAST_ANSWERS, LabelsOf
from evaluation.crowds.judging import next_scores
from evaluation.crowds.live_model import JudgedModel, Says, first_heads
from evaluation.encoder.__main__ import refusing
from evaluation.options import BUILT, DataFolder, Repository
from evaluation.responses.threads import rows_of
from models.socialalign.crowd import UsualShares
from models.socialalign.crowd_config import CROWD_HEADS
from models.socialalign.known_better import MEMORY
from models.socialalign.live import SYSTEMS
from models.socialalign.posterior import CrowdPosterior, CrowdStrength, Floats
from stream.topics import EVENTS, POSTS, SCORED_POSTS

SOURCE: Final = "replay"
MEMORY_S: Final = 86_400
"""How long a thread is followed, `responder.memory_s` of the run: what comes later is not of it."""


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """An answer: its id, when it was written (seconds since 1970), its label; None: not rated."""

    name: str
    at_s: float
    label: int | None


@dataclass(frozen=True, slots=True)
class LiveThread:
    """A first post, what it is about, when it was written, and its answers in order of time.

    `heads` are what the post encoder says of the first post, in millionths; empty: nothing.
    """

    name: str
    topic: str
    began_s: float
    answers: tuple[LiveAnswer, ...]
    heads: tuple[int, ...] = ()

    @property
    def over_s(self) -> float:
        """When its answers are learnt from."""
        return self.began_s + 2 * MEMORY_S

    def taken(self) -> list[LiveAnswer]:
        """Return the answers that came while it is followed."""
        return [one for one in self.answers if 0 <= one.at_s - self.began_s <= MEMORY_S]


@dataclass(frozen=True, slots=True)
class Step:
    """One record: when it is said, its topic, key and value, and the thread of an answer."""

    at_s: float
    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True)
class Expected:
    """What is to be told.

    Attributes:
        shares: Thread -> (C,) the forecast, and what is expected after each rated answer.
        by_model: How many of these forecasts the crowd model made.
        scores: System -> mean log score (natural) of the next answer, of events that are over.
        judged: Thread -> measures as `judging.next_scores` has them.
    """

    shares: dict[str, list[Floats]] = field(default_factory=dict[str, list[Floats]])
    scores: dict[str, float] = field(default_factory=dict[str, float])
    judged: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    by_model: int = 0


def threads_of(
    rows: Sequence[Mapping[str, str]], labels_of: LabelsOf, heads_of: HeadsOf | None = None
) -> list[LiveThread]:
    """Return the threads of RumourEval with `LEAST_ANSWERS` rated answers, the earliest first.

    Args:
        rows: The rows of the set.
        labels_of: Rates answers.
        heads_of: What is said of the first posts; None: nothing is.

    Raises:
        KeyError: A column is missing.
        ValueError: A time cannot be read.
    """
    found: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault((row["event"], row["thread"]), []).append(row)
    labels = dict(zip(map(id, rows), labels_of([row["text"] for row in rows]), strict=True))
    threads: list[LiveThread] = []
    for number, ((topic, _thread), posts) in enumerate(found.items()):
        firsts = [row for row in posts if row["is_source"] == "1"]
        answers = sorted(
            (_seconds(row["created_at"]), f"t{number}-{place}", labels[id(row)])
            for place, row in enumerate(posts) if row["is_source"] != "1"
        )  # fmt: skip
        if not firsts or sum(label >= 0 for _at, _name, label in answers) < LEAST_ANSWERS:
            continue
        said = tuple(LiveAnswer(name, at_s, label if label >= 0 else None)
                     for at_s, name, label in answers)  # fmt: skip
        began_s, heads = _seconds(firsts[0]["created_at"]), first_heads(firsts[0]["text"], heads_of)
        threads.append(LiveThread(f"t{number}", topic, began_s, said, heads))
    return sorted(threads, key=lambda one: (one.began_s, one.name))


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def steps_of(threads: Sequence[LiveThread]) -> list[Step]:
    """Return all records in the order of their times; a thread begins before its answers."""
    found: list[tuple[float, int, str, Step]] = []
    for thread in threads:
        at = _time(thread.began_s)
        post = Post(
            id=thread.name, source=SOURCE, author="first", ingested_at=at, claimed_at=at, text=""
        )
        begins = ForecastEvent(
            event_id=f"e-{thread.name}", kind="taking_off", state="firing", query=thread.topic,
            post_id=thread.name, source=SOURCE, author="first", posted_at=at, decided_at=at,
            target="replies", seen=0, surprise=0.0,
        )  # fmt: skip
        began = thread.began_s
        first: list[tuple[str, Post | ScoredPost | ForecastEvent]] = [(POSTS, post)]
        if thread.heads:
            first.append((SCORED_POSTS, _first_scored(thread, at)))
        for order, (topic, said) in enumerate([*first, (EVENTS, begins)]):
            step = Step(began, topic, thread.name.encode(), encode(said))
            found.append((began, order, thread.name, step))
        for answer in thread.answers:
            step = Step(answer.at_s, SCORED_POSTS, b"a", encode(_scored(thread, answer)))
            found.append((answer.at_s, 3, answer.name, step))
    return [step for *_order, step in sorted(found, key=lambda one: one[:3])]


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _first_scored(thread: LiveThread, at: datetime) -> ScoredPost:
    scores, place = dict[str, list[int]](), 0
    for name in CROWD_HEADS:
        scores[name] = list(thread.heads[place : place + len(HEADS[name])])
        place += len(HEADS[name])
    return ScoredPost(
        id=thread.name, source=SOURCE, author="first", event_at=at, ingested_at=at, scores=scores,
        model_version="m", rated=True, queries=["all"], stratum=SOURCE,
    )  # fmt: skip


def _scored(thread: LiveThread, answer: LiveAnswer) -> ScoredPost:
    at, label = _time(answer.at_s), answer.label
    shares = [MICRO * (place == label) for place in range(len(SENTIMENT))]
    more: dict[str, Any] = {"scores": {} if label is None else {"sentiment": shares}}
    return ScoredPost(
        id=answer.name, source=SOURCE, author="a", event_at=at, ingested_at=at, model_version="m",
        rated=label is not None, queries=["all"], stratum=SOURCE, reply_to=thread.name, **more,
    )  # fmt: skip


def in_order(
    threads: Iterable[LiveThread], last_s: float = inf
) -> Iterator[tuple[bool, LiveThread]]:
    """Yield each thread when it begins (True) and when it is over, in the order of the times.

    Args:
        threads: The threads.
        last_s: What is over later is not over, seconds since 1970.
    """
    moments = [
        moment
        for one in threads
        for moment in ((one.began_s, 1, one.name, one), (one.over_s, 0, one.name, one))
    ]
    for at_s, is_begin, _name, thread in sorted(moments, key=lambda one: one[:3]):
        if is_begin or at_s <= last_s:
            yield bool(is_begin), thread


def expected_of(threads: Sequence[LiveThread], says: Says | None = None) -> Expected:
    """Return what is to be told of threads, worked out one answer after the other.

    Args:
        threads: The threads.
        says: The crowd model; None: there is none.
    """
    usual, strength, found = UsualShares(len(SENTIMENT)), CrowdStrength(), Expected()
    started: dict[str, tuple[Floats, Floats, CrowdStrength]] = {}
    model, said = JudgedModel(says), dict[str, tuple[Floats, Floats | None]]()
    sums: dict[str, float] = dict.fromkeys(("answers", *SYSTEMS), 0.0)
    last_s = max((step.at_s for step in steps_of(threads)), default=0.0)
    for is_begin, thread in in_order(threads, last_s):
        name = thread.name
        labels = [one.label for one in thread.taken() if one.label is not None]
        if is_begin:
            of_topic = usual.forecast(thread.topic)
            forecast, of_model = model.forecast(of_topic, thread.heads)
            said[name] = of_topic, of_model
            found.by_model += forecast is of_model
            start = (forecast, usual.forecast(""), CrowdStrength(strength.learnt))
            started[name], crowd = start, CrowdPosterior(start[0], start[2])
            told = [crowd.shares()]
            for label in labels:
                crowd.add(label)
                told.append(crowd.shares())
            found.shares[name] = told
            found.judged[name] = next_scores(CrowdPosterior(start[0], start[2]), labels)
        elif labels:
            crowd = _score(started[name], labels, sums)
            model.learn(said[name][1], said[name][0], labels)
            strength.learn(crowd)
            usual.learn(thread.topic, np.bincount(labels, minlength=len(SENTIMENT)).astype(float))
    if sums["answers"]:
        found.scores = {system: sums[system] / sums["answers"] for system in SYSTEMS}
    return found


def _score(
    start: tuple[Floats, Floats, CrowdStrength], labels: Sequence[int], sums: dict[str, float]
) -> CrowdPosterior:
    """Show a crowd its answers, add up what was said of each, and return it."""
    crowd = CrowdPosterior(start[0], start[2])
    average = CrowdPosterior(start[1], CrowdStrength()).forecast
    scores = {"answers": float(len(labels)), **dict.fromkeys(SYSTEMS, 0.0)}
    for label in labels:
        for name, shares in {"average": average, **crowd.said_by()}.items():
            scores[name] += float(np.log(shares[label]))
        crowd.add(label)
    for name, score in scores.items():
        sums[name] = sums[name] * exp(-1 / MEMORY) + score
    return crowd


def read_threads(file: Path) -> list[LiveThread]:
    """Return the threads that `main` wrote.

    Raises:
        ConfigError: The file cannot be read, or is of something else.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[LiveThread])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def main(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="The file to be written.")],
    repository: Repository = BUILT,
) -> None:
    """Rate the answers of RumourEval and write its threads, without texts."""
    with refusing():
        rows = list(rows_of(data / CROWDS["rumoureval"].file))
        threads = threads_of(rows, sentiment_labels(repository), encoder_heads(repository))
        out.write_bytes(msgspec.json.encode(threads))


if __name__ == "__main__":
    typer.run(main)
