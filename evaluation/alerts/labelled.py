"""Real streams with labels by people, as windows: the judge's verdict on what did happen.

Labels stand in for scores, so the model's errors are out of it: positive is 1, negative -1.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from core.errors import ConfigError
from core.schemas import MICRO, Stratum, Window
from core.settings import ShiftSettings
from stream.shifts.explanation import sentence
from stream.shifts.judge import ShiftJudge
from stream.shifts.signals import JudgeContext, ShiftSignal

_SCORES: Final = {"negative": -1, "neutral": 0, "positive": 1, "mixed": 0, "no_majority": 0}


@dataclass(frozen=True, slots=True)
class LabelledStream:
    """How a file becomes windows: pane length, and what is known before it is judged.

    Attributes:
        pane_s: long enough that a pane has a few posts.
        warmup_s: after so long it is judged.
        by_topic: also one query a topic, beside `all`.
    """

    pane_s: int
    warmup_s: int
    by_topic: bool = True


STREAMS: Final[dict[str, LabelledStream]] = {
    "airline": LabelledStream(pane_s=900, warmup_s=2 * 86_400),
    "gop_debate": LabelledStream(pane_s=60, warmup_s=1_800),
    "debate_2008": LabelledStream(pane_s=60, warmup_s=1_200, by_topic=False),
}

Row = Mapping[str, str]
ScoreOf = Callable[[Row], float | None]
"""From a post to its sentiment, -1 to 1; None if it is not rated."""


def by_people(row: Row) -> float:
    """Return what people said of a post."""
    return float(_SCORES[row["label"]])


def by_model(rows: Sequence[Row], scores: Sequence[float | None]) -> ScoreOf:
    """Return what `evaluation.alerts.model_scores` wrote of the posts of a file."""
    known = {id(row): score for row, score in zip(rows, scores, strict=True)}
    return lambda row: known[id(row)]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a gzip'd CSV that have a label with a sentiment.

    Raises:
        ConfigError: the file is not there.
    """
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: set GROUNDSWELL_DATA to the folder of the data")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["label"] in _SCORES]


def replay(
    name: str, rows: Sequence[Row], settings: ShiftSettings, score_of: ScoreOf = by_people
) -> dict[str, Any]:
    """Judge a labelled stream and return what was said.

    Args:
        name: of `STREAMS`.
        rows: of the file, any order.
        settings: thresholds; the warm-up is the stream's.
        score_of: what stands for a post's sentiment.
    """
    from msgspec.structs import replace

    stream = STREAMS[name]
    judge = ShiftJudge(replace(settings, warmup_s=stream.warmup_s), stream.pane_s)
    said: list[ShiftSignal] = []
    context = JudgeContext(model_version="people")
    begun: datetime | None = None
    for windows in panes(rows, stream, score_of):
        begun = begun or windows[0].start
        said += judge.judge_many(windows, context)
        said += judge.judge_quiet(int(windows[0].start.timestamp()), context)
    return {
        "posts": len(rows),
        "pane_s": stream.pane_s,
        "judged_from": (begun + timedelta(seconds=stream.warmup_s)).isoformat() if begun else None,
        "alerts": [_told(signal) for signal in said if signal.state == "firing"],
    }


def panes(
    rows: Sequence[Row], stream: LabelledStream, score_of: ScoreOf = by_people
) -> Iterator[list[Window]]:
    """Yield the windows of each pane in order, empty ones included for `all`."""
    by_pane: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        at = int(datetime.fromisoformat(row["created_at"]).timestamp())
        by_pane[at // stream.pane_s * stream.pane_s].append(row)
    for start_s in range(min(by_pane), max(by_pane) + stream.pane_s, stream.pane_s):
        inside = by_pane.get(start_s, [])
        windows = [_window("all", start_s, stream.pane_s, inside, score_of)]
        if stream.by_topic:
            topics = sorted({row["topic"] for row in inside if row.get("topic")})
            for topic in topics:
                own = [row for row in inside if row.get("topic") == topic]
                windows.append(_window(topic, start_s, stream.pane_s, own, score_of))
        yield windows


def _window(
    query: str, start_s: int, pane_s: int, rows: Sequence[Row], score_of: ScoreOf
) -> Window:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        score = score_of(row)
        stratum = sums[row.get("topic") or "none"]
        stratum[0] += 1
        if score is not None:
            stratum[1] += 1
            stratum[2] += round(score * MICRO)
            stratum[3] += round(score * score * MICRO)
    start = datetime.fromtimestamp(start_s, UTC)
    total = [sum(stratum[place] for stratum in sums.values()) for place in range(4)]
    return Window(
        query=query,
        start=start,
        end=start + timedelta(seconds=pane_s),
        revision=0,
        counters={
            "posts": total[0],
            "rated": total[1],
            "sentiment_sum": total[2],
            "sentiment_square": total[3],
        },
        authors=len({row["author"] for row in rows}),
        closed_at=start + timedelta(seconds=pane_s),
        strata={name: Stratum(*stratum) for name, stratum in sums.items()},
    )


def _told(signal: ShiftSignal) -> dict[str, Any]:
    return {
        "query": signal.query,
        "kind": signal.kind,
        "direction": signal.direction,
        "severity": signal.severity,
        "started": datetime.fromtimestamp(signal.started_s, UTC).isoformat(),
        "fired": datetime.fromtimestamp(signal.fired_s, UTC).isoformat(),
        "change": round(signal.change.value, 4),
        "mix": round(signal.mix, 4),
        "opinion": round(signal.opinion, 4),
        "strata": [
            {"stratum": one.stratum, "mix": round(one.mix, 4), "opinion": round(one.opinion, 4)}
            for one in signal.strata[:4]
        ],
        "sentence": sentence(signal),
    }
