"""Measure the shipped model on the official test, beside floors and published figures. No torch.

    python -m models.evaluation.evaluate sentiment --data ../shared/data

Shapes: `N` posts, `C` classes.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from core.errors import GroundswellError
from core.labels import SENTIMENT
from core.ports import ScoreBatch
from models.encoder import data as datasets
from models.encoder.data import LabelledTexts
from models.evaluation.metrics import (
    accuracy,
    expected_calibration_error,
    macro_f1,
    macro_recall,
)
from models.report import versions_of, write_report
from models.serving.normalise import normalise

RESAMPLES: Final = 1_000
SEED: Final = 20171
CHUNK_POSTS: Final = 1_024
MEASURES: Final = ("macro_recall", "macro_f1", "accuracy", "ece")
PUBLISHED: Final = (
    ("SemEval-2017 winners DataStories, BB_twtr (published, not re-checked)", 0.681),
    ("TweetEval SVM, FastText (published)", 0.629),
    ("TweetEval RoBERTa-Base (published)", 0.713),
    ("TweetEval BERTweet (published)", 0.734),
    ("TweetEval TimeLMs-2021 (published)", 0.737),
)
"""Macro recall on the same test, as their authors published it; not measured here."""

Probabilities = NDArray[np.float32]
Truth = NDArray[np.int64]
Score = Callable[[Sequence[str], Sequence[str]], ScoreBatch]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def measure(probabilities: Probabilities, truth: Truth) -> dict[str, float]:
    """All measures of one classifier on (N, C) probabilities."""
    predicted = probabilities.argmax(1)
    return {
        "macro_recall": macro_recall(predicted, truth),
        "macro_f1": macro_f1(predicted, truth, probabilities.shape[1]),
        "accuracy": accuracy(predicted, truth),
        "ece": expected_calibration_error(probabilities, truth),
    }


def bootstrap(
    probabilities: Probabilities, truth: Truth, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Measured]:
    """Measures with percentile intervals over posts drawn again with replacement."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(resamples):
        rows = rng.integers(0, len(truth), len(truth))
        for name, value in measure(probabilities[rows], truth[rows]).items():
            drawn[name].append(value)
    whole = measure(probabilities, truth)
    return {
        name: Measured(whole[name], *np.percentile(drawn[name], (2.5, 97.5)).tolist())
        for name in MEASURES
    }


def majority_floor(train: LabelledTexts, posts: int, classes: int) -> Probabilities:
    """Always the class that is most frequent in training, with the classes' shares there."""
    shares = np.bincount(train.labels, minlength=classes) / len(train)
    return np.tile(shares.astype(np.float32), (posts, 1))


def tfidf_floor(train: LabelledTexts, texts: Sequence[str], seed: int = SEED) -> Probabilities:
    """Logistic regression on TF-IDF of words and word pairs, classes weighted, as a floor.

    Reads the same normalised text as the model.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(max_iter=300, class_weight="balanced", random_state=seed),
    )
    pipeline.fit([normalise(text) for text in train.texts], list(train.labels))
    found: Any = pipeline.predict_proba([normalise(text) for text in texts])
    return found.astype(np.float32)


def score_all(score: Score, texts: Sequence[str], langs: Sequence[str], head: str) -> ScoreBatch:
    """Score in batches of `CHUNK_POSTS`; one batch with the probabilities of `head` comes back."""
    parts = [
        score(texts[start : start + CHUNK_POSTS], langs[start : start + CHUNK_POSTS])
        for start in range(0, len(texts), CHUNK_POSTS)
    ]
    return ScoreBatch(
        parts[0].model_version,
        np.concatenate([part.rated for part in parts]),
        {head: np.concatenate([part.heads[head] for part in parts])},
    )


def _in_process(repository: Path) -> Score:
    from models.build import MODEL_NAME, build
    from models.serving.post_encoder import open_service

    build(repository)
    service = open_service(repository / MODEL_NAME / "1")

    def score(texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        scored = service.score(texts, langs)
        return ScoreBatch(service.version, scored.rated, scored.heads)

    return score


def _through_triton(url: str) -> Score:
    from models.scorers.triton import TritonScorer

    def score(texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        async def once() -> ScoreBatch:
            scorer = TritonScorer(url)
            try:
                return await scorer.score_batch(texts, langs)
            finally:
                await scorer.close()

        return asyncio.run(once())

    return score


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found: rows for people, figures for programs."""

    model_version: str
    rows: Mapping[str, Mapping[str, Measured]]
    figures: Mapping[str, float]


def evaluate_sentiment(data: Path, score: Score, resamples: int = RESAMPLES) -> Evaluation:
    """Evaluate on the 12,284 posts of SemEval-2017 task 4A.

    A post that the model does not read at all (no letters) is counted as neutral, so no post is
    left out of the main row. The second row has only the posts that the model rates.
    """
    train, test = datasets.sentiment_train(data), datasets.sentiment_test(data)
    truth = np.asarray(test.labels, np.int64)
    english = score_all(score, test.texts, ["en"] * len(test), "sentiment")
    untagged = score_all(score, test.texts, [""] * len(test), "sentiment")
    found = english.heads["sentiment"].copy()
    unread = found.sum(axis=1) == 0
    found[unread] = np.eye(len(SENTIMENT), dtype=np.float32)[SENTIMENT.index("neutral")]
    rated = english.rated
    rows = {
        f"{english.model_version}": bootstrap(found, truth, resamples),
        "the same, rated posts only": bootstrap(found[rated], truth[rated], resamples),
        "TF-IDF logistic regression": bootstrap(tfidf_floor(train, test.texts), truth, resamples),
        "majority class": bootstrap(majority_floor(train, len(test), 3), truth, resamples),
    }
    figures: dict[str, float] = {}
    for short, row in zip(("model", "rated_only", "tfidf", "majority"), rows.values(), strict=True):
        for name, measured in row.items():
            figures[f"{short}_{name}"] = measured.value
            figures[f"{short}_{name}_low"] = measured.low
            figures[f"{short}_{name}_high"] = measured.high
    recall = [float(np.mean(found[truth == c].argmax(1) == c)) for c in range(len(SENTIMENT))]
    figures |= {
        f"model_recall_{label}": value for label, value in zip(SENTIMENT, recall, strict=True)
    }
    figures |= {
        "posts": len(test),
        "unread_posts": int(unread.sum()),
        "rated_share_tagged_en": float(np.mean(rated)),
        "rated_share_untagged": float(np.mean(untagged.rated)),
    }
    return Evaluation(english.model_version, rows, figures)


def print_table(evaluation: Evaluation) -> None:
    """The table for people, on standard output."""
    figures = evaluation.figures
    table = Table(
        title=f"SemEval-2017 task 4A test, {figures['posts']:,.0f} posts, 95 % intervals",
        caption=(
            f"rated: {figures['rated_share_tagged_en']:.1%} of the posts when tagged en, "
            f"{figures['rated_share_untagged']:.1%} when untagged"
        ),
    )
    table.add_column("classifier")
    for title in ("macro recall", "macro F1", "accuracy", "calibration error"):
        table.add_column(title, justify="right")
    for name, row in evaluation.rows.items():
        table.add_row(name, *(str(row[measure_name]) for measure_name in MEASURES))
    table.add_section()
    for name, recall in PUBLISHED:
        table.add_row(name, f"{recall:.3f}", "", "", "")
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def main(
    head: Annotated[str, typer.Argument(help="What to evaluate: sentiment.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
    via: Annotated[str, typer.Option(help="openvino (in process) or triton.")] = "openvino",
    url: Annotated[str, typer.Option(help="Triton's gRPC host:port.")] = "127.0.0.1:8001",
    repository: Annotated[Path, typer.Option(help="Built model repository.")] = Path(
        ".groundswell/model_repository"
    ),
    resamples: Annotated[int, typer.Option(min=10, help="Bootstrap resamples.")] = RESAMPLES,
) -> None:
    """Measure the shipped model on the official test split."""
    if head != "sentiment":
        raise typer.BadParameter(f"there is no evaluation of {head!r}; expected sentiment")
    if via not in ("openvino", "triton"):
        raise typer.BadParameter(f"--via is openvino or triton, not {via!r}")
    try:
        score = _in_process(repository) if via == "openvino" else _through_triton(url)
        evaluation = evaluate_sentiment(data, score, resamples)
    except GroundswellError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    print_table(evaluation)
    if json_file is not None:
        packages = ("openvino", "nncf", "numpy", "tokenizers", "scikit-learn", "tritonclient")
        settings = {
            "head": head,
            "via": via,
            "model_version": evaluation.model_version,
            "bootstrap_resamples": resamples,
        }
        write_report(json_file, evaluation.figures, versions_of(packages), SEED, settings)


if __name__ == "__main__":
    typer.run(main)
