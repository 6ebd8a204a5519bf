"""The forecast of a crowd before its first answer, beside the usual shares of its topic.

    .venv-server/bin/python -m evaluation.crowds.before_answers --data DIR --json before.json

By the post's own sentiment and emotion (`HeadsForecast`), fitted on the events of all sets together
but those of a fold, and by what is known of the post and its author (`ReactionModel` of nobody
known, FanChuan alone, whose labels are people's). Usual shares are those of other folds, too.
Sentiment of the answers of RumourEval and Reddit is that of the built post encoder.

Shapes: `n` events, `H` classes of heads, `C` labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import typer
from numpy.typing import NDArray

from core.errors import ConfigError
from core.report import write_report
from evaluation.crowds.events import CROWDS, LEAST_ANSWERS, SENTIMENTS, place_of
from evaluation.crowds.judging import jensen_shannon
from evaluation.crowds.known_before import author_gains
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured, Rows, bootstrap
from evaluation.options import BUILT, DataFolder, JsonFile, Repository, Resamples
from evaluation.responses.threads import FOLDER, rows_of
from models.serving.place import FIRST_VERSION, built_model
from models.socialalign.crowd import UsualShares
from models.socialalign.crowd_config import CROWD_HEADS, HEAD_CLASSES
from models.socialalign.heads_forecast import HeadsForecast, fit_heads_forecast
from models.socialalign.posterior import Floats

SETS: Final = ("fanchuan", "rumoureval", "reddit")
LEAST_LEARNT: Final = 5
"""Answers of an event that is learnt from."""
FOLDS: Final = 5
SEEDS: Final = (20171, 20172, 20173)
PENALTIES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_INNER: Final = 4
_OF_USUAL: Final = 10
_BATCH: Final = 1_024
Ints = NDArray[np.int64]
HeadsOf = Callable[[Sequence[str]], Floats]
"""Texts to (n, H) what the post encoder says of them; NaN of one that it does not rate."""


@dataclass(frozen=True, slots=True)
class HeadedEvent:
    """An event: its set, topic, (H,) heads of its post, and (C,) how often each label was given."""

    of: str
    topic: str
    heads: Floats
    counts: Floats


def encoder_heads(repository: Path) -> HeadsOf:
    """Return what asks the built post encoder.

    Raises:
        ConfigError: It was not built, or openvino is not installed here.
    """
    from models.serving.post_encoder import open_service

    service = open_service(built_model(repository, "post_encoder", FIRST_VERSION))

    def heads_of(texts: Sequence[str]) -> Floats:
        found = [np.zeros((0, HEAD_CLASSES))]
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            scored = service.score(batch, [""] * len(batch))
            heads = np.hstack([scored.heads[name] for name in CROWD_HEADS]).astype(np.float64)
            found.append(np.where(scored.rated[:, None], heads, np.nan))
        return np.concatenate(found)

    return heads_of


def headed_events(data: Path, heads_of: HeadsOf) -> list[HeadedEvent]:
    """Return the events of all sets with `LEAST_LEARNT` answers.

    Of FanChuan the official test's answers are left out: the shipped weights are fitted on these.

    Raises:
        ConfigError: A set is not there, or is not what it should be.
    """
    answers: list[tuple[str, str, str, int]] = []
    try:
        for row in rows_of(data / f"{FOLDER}fanchuan/comments.csv.gz"):
            if row["parent_text"] and row["split"] != "test":
                label = place_of(row, "sentiment", SENTIMENTS)
                answers.append(("fanchuan", row["topic"], row["parent_text"], label))
        rows = list(rows_of(data / CROWDS["rumoureval"].file))
        first = {row["thread"]: row["text"] for row in rows if row["is_source"] == "1"}
        said = [row for row in rows if row["is_source"] != "1" and row["thread"] in first]
        answers += _rated(
            "rumoureval", said, heads_of, lambda row: (row["event"], first[row["thread"]])
        )
        rows = list(rows_of(data / CROWDS["reddit"].file))
        answers += _rated("reddit", rows, heads_of, lambda row: (row["source"], row["post"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{data}: {type(error).__name__}: {error}") from error
    counts: dict[tuple[str, str, str], Floats] = {}
    for of, topic, text, label in answers:
        counts.setdefault((of, topic, text), np.zeros(len(SENTIMENTS)))[label] += 1
    kept = [key for key, seen in counts.items() if seen.sum() >= LEAST_LEARNT]
    heads = heads_of([text for _of, _topic, text in kept])
    return [
        HeadedEvent(key[0], key[1], of_post, counts[key])
        for key, of_post in zip(kept, heads, strict=True)
    ]


def _rated(
    name: str, rows: Sequence[Mapping[str, str]], heads_of: HeadsOf,
    event_of: Callable[[Mapping[str, str]], tuple[str, str]],
) -> list[tuple[str, str, str, int]]:  # fmt: skip
    heads = heads_of([row["text"] for row in rows])[:, : len(SENTIMENTS)]
    return [
        (name, *event_of(row), int(shares.argmax()))
        for row, shares in zip(rows, heads, strict=True) if not np.isnan(shares).any()
    ]  # fmt: skip


def usual_of(events: Sequence[HeadedEvent], known: Ints, asked: Ints) -> Floats:
    """Return (n, C) usual shares of the topics of the asked events, learnt from the known."""
    usual = {name: UsualShares(len(SENTIMENTS)) for name in {one.of for one in events}}
    for row in known.tolist():
        usual[events[row].of].learn(events[row].topic, events[row].counts)
    found = [usual[events[row].of].forecast(events[row].topic) for row in asked.tolist()]
    return np.array(found).reshape(len(asked), len(SENTIMENTS))


def fit_on(
    events: Sequence[HeadedEvent], rows: Ints, rng: np.random.Generator
) -> tuple[HeadsForecast, float]:
    """Fit on some events; the penalty is what predicts those of inner folds best."""
    usual, folds = np.zeros((len(events), len(SENTIMENTS))), rng.integers(_OF_USUAL, size=len(rows))
    for fold in range(_OF_USUAL):
        usual[rows[folds == fold]] = usual_of(events, rows[folds != fold], rows[folds == fold])
    heads = np.stack([one.heads for one in events])
    counts = np.stack([one.counts for one in events])
    inner = rng.integers(_INNER, size=len(rows))

    def fitted(known: Ints, penalty: float) -> HeadsForecast:
        return fit_heads_forecast(usual[known], heads[known], counts[known], penalty)

    def score(penalty: float) -> float:
        total = 0.0
        for fold in range(_INNER):
            held, model = rows[inner == fold], fitted(rows[inner != fold], penalty)
            total += float(_scores(model.shares(usual[held], heads[held]), counts[held]).sum())
        return total

    best = max(PENALTIES, key=score)
    return fitted(rows, best), best


def _scores(shares: Floats, counts: Floats) -> Floats:
    """Return (n,) the mean log score of the answers of each event."""
    means: Floats = (np.log(shares) * counts).sum(axis=1) / counts.sum(axis=1)
    return means


def heads_gains(events: Sequence[HeadedEvent], seed: int) -> tuple[Floats, Floats]:
    """Return (n, 2) log score and Jensen-Shannon distance of the topic, and what heads add."""
    rng = np.random.default_rng(seed)
    topic, gain = np.zeros((len(events), 2)), np.zeros((len(events), 2))
    order = rng.permutation(len(events))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        known = np.setdiff1d(order, held)
        model, _penalty = fit_on(events, known, rng)
        usual = usual_of(events, known, held)
        shares = model.shares(usual, np.stack([events[row].heads for row in held.tolist()]))
        for row, of_topic, of_heads in zip(held.tolist(), usual, shares, strict=True):
            topic[row] = _measured(of_topic, events[row].counts)
            gain[row] = _measured(of_heads, events[row].counts) - topic[row]
    return topic, gain


def _measured(shares: Floats, counts: Floats) -> Floats:
    observed = counts / counts.sum()
    return np.array([float(observed @ np.log(shares)), jensen_shannon(observed, shares)])


def judge_heads(events: Sequence[HeadedEvent], resamples: int) -> dict[str, Measured]:
    """Return figures by set, of events with `LEAST_ANSWERS`, means over seeds."""
    runs = [heads_gains(events, seed) for seed in SEEDS]
    topic, gain = (np.mean([run[part] for run in runs], axis=0) for part in (0, 1))
    found: dict[str, Measured] = {}
    for name in SETS:
        rows = [row for row, one in enumerate(events)
                if one.of == name and one.counts.sum() >= LEAST_ANSWERS]  # fmt: skip
        if not rows:
            raise ConfigError(f"{name}: no event has {LEAST_ANSWERS} answers")
        found |= paired(name, "heads", topic[rows], gain[rows], resamples)
    return found


def paired(
    name: str, system: str, topic: Floats, gain: Floats, resamples: int
) -> dict[str, Measured]:
    """Return what the topic has and what a system adds, with intervals over events."""

    def measure(rows: Rows) -> dict[str, float]:
        of_topic, added = topic[rows].mean(axis=0), gain[rows].mean(axis=0)
        return {
            f"{name}.topic_log_score": float(of_topic[0]), f"{name}.topic_js": float(of_topic[1]),
            f"{name}.{system}_gain": float(added[0]), f"{name}.{system}_js_gain": float(added[1]),
        }  # fmt: skip

    return bootstrap(measure, len(topic), resamples)


def main(
    data: DataFolder,
    repository: Repository = BUILT,
    json_file: JsonFile = None,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Judge forecasts before the first answer."""
    with refusing():
        found = judge_heads(headed_events(data, encoder_heads(repository)), resamples)
        topic, gain = author_gains(data / f"{FOLDER}fanchuan")
        found |= paired("fanchuan_author", "known", topic, gain, resamples)
    for name, measured in found.items():
        typer.echo(f"{name}: {measured.value:.4f} [{measured.low:.4f}, {measured.high:.4f}]")
    if json_file is not None:
        figures: dict[str, float | None] = {}
        for name, measured in found.items():
            figures |= measured.figures(f"before.{name}")
        settings = {"sets": list(SETS), "seeds": list(SEEDS), "folds": FOLDS,
                    "bootstrap_resamples": resamples}  # fmt: skip
        packages = ("numpy", "openvino")
        write_report(json_file, "crowds before answers", figures, settings=settings,
                     packages=packages, seed=SEED)  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
