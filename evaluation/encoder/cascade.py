"""What the student and the cascade are worth beside the encoder: every head, shares, speed.

    python -m evaluation.encoder.cascade --data ../shared/data --json cascade.json

The same built encoder answers alone, behind the student, and not at all. All three read the same
posts of the official tests and are resampled alike, so what is lost is a paired difference; windows
for shares are the same for all three too. No torch.

Shapes: `N` posts.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from msgspec.structs import replace

from core.errors import ConfigError
from core.heads import HEADS
from core.quantification import CORRECTIONS_FILE, load_corrections
from core.report import write_report
from core.routes import READ, SENT
from evaluation.encoder.bootstrap import RESAMPLES, SEED, Measured
from evaluation.encoder.frontier import JUDGED, SPEED_POSTS, Point, open_point, quality, speed
from evaluation.options import BUILT, DataFolder, JsonFile, Repository, Resamples
from evaluation.shares.estimators import Method, probabilistic_adjusted_count, probabilistic_count
from evaluation.shares.heldout import SOURCES, decide, targets_of
from evaluation.shares.windows import Labelled, measure
from models.build import WEIGHTS
from models.build_student import STUDENT_WEIGHTS, choose_answers
from models.encoder.config import load_config
from models.encoder.heads import official_test, sentiment
from models.serving.cascade import Cascade
from models.serving.place import built_model, check_bits
from models.serving.post_encoder import TOKENIZER_FILE, PostEncoderService
from models.serving.student import open_student
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine
from models.student.config import Answers, load_student_config

WINDOW: Final = 200
OWN_WINDOWS: Final = 200
SHARES_SEED: Final = 20174


@contextmanager
def answering(repository: Path) -> Iterator[list[Point]]:
    """Open the model built in a repository three times: answered by each of `Answers`.

    The repository is left as it is.

    Raises:
        ConfigError: Nothing is built there, or no student of it is shipped.
    """
    place = built_model(repository).parent
    if not place.is_dir():
        raise ConfigError(f"{place} holds no built model: run `groundswell models build`")
    with tempfile.TemporaryDirectory() as scratch:
        points: list[Point] = []
        for answers in Answers:
            copy = Path(scratch) / answers / "repository"
            shutil.copytree(place, copy / place.name)
            choose_answers(copy / place.name, answers)
            points.append(open_point(f"{answers}={copy}"))
        yield points


def sent_share(folder: Path, texts: Sequence[str], threads: int = 0) -> float:
    """Return the share of the texts that are read which the shipped student sends on.

    Args:
        folder: The version folder of the built encoder, which is left as it is.
        texts: English texts.
        threads: CPU threads; 0 means the cores that this process may use.

    Raises:
        ConfigError: Nothing is built there, or no student of it is shipped.
    """
    config = load_config(folder)
    check_bits(folder, config.version)
    student, engine = open_student(STUDENT_WEIGHTS, config, threads)
    encoder, _choice = open_engine(folder, config, threads=threads)
    cascade = Cascade(replace(student, answers=Answers.CASCADE), engine, config.heads, encoder)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    service = PostEncoderService(config, tokenizer, encoder, cached=0, cascade=cascade)
    routes = service.score(texts, ["en"] * len(texts)).routes
    return 0.0 if routes is None else routes.count(SENT) / max(1, routes.count(READ))


def sent_shares(point: Point, data: Path) -> dict[str, float]:
    """Return head -> the share of its official test that the encoder answered."""
    found: dict[str, float] = {}
    for head in JUDGED:
        texts = official_test(head).posts(data).texts
        routes = point.service.score(texts, ["en"] * len(texts)).routes
        if routes is not None:
            found[head] = routes.count(SENT) / max(1, routes.count(READ))
    return found


def _labelled(point: Point, data: Path, head: str) -> Labelled:
    """Return the rated posts of a head's test, as a point sees them."""
    posts = SOURCES[head].test(data)
    batch = point.scores(posts.texts)
    found = batch.heads[head][batch.rated].astype(np.float64)
    truth = np.asarray(posts.labels, np.int64)[batch.rated]
    return Labelled(found, decide(head, found, point.service.config.head(head).cut), truth)


def _ways(head: str) -> dict[str, Method]:
    corrections = load_corrections(WEIGHTS / CORRECTIONS_FILE)
    ways: dict[str, Method] = {"counted": lambda p, _: probabilistic_count(p)}
    soft = corrections.heads.get(head)
    if soft is not None:
        ways["corrected"] = lambda p, _: probabilistic_adjusted_count(p, soft)
    return ways


def own_mix_error(posts: Labelled, way: Method) -> float:
    """Return the mean absolute error of all shares in windows of the test's own mix."""
    rng, classes = np.random.default_rng(SHARES_SEED), posts.probabilities.shape[1]
    errors: list[float] = []
    for _ in range(OWN_WINDOWS):
        window = posts.select(rng.choice(len(posts), WINDOW))
        truth = np.bincount(window.truth, minlength=classes) / WINDOW
        errors.append(float(np.abs(way(window.probabilities, window.labels) - truth).mean()))
    return float(np.mean(errors))


def share_errors(points: Sequence[Point], data: Path) -> dict[str, float]:
    """Return the errors of shares in windows of 200: own mix, and swept from 5 % to 95 %.

    `<point>_<head>_shares_<way>` is of the own mix, `<point>_<head>_swept_<way>` of the sweep, the
    mean over all classes. Each point has the same windows of the posts that it rates.
    """
    figures: dict[str, float] = {}
    for head in SOURCES:
        ways = _ways(head)
        for point in points:
            posts = _labelled(point, data, head)
            swept = [
                measure(posts, target, ways, (WINDOW,)) for target in targets_of(head, posts.truth)
            ]
            for name, way in ways.items():
                figures[f"{point.name}_{head}_shares_{name}"] = own_mix_error(posts, way)
                figures[f"{point.name}_{head}_swept_{name}"] = float(
                    np.mean([errors.mean(name) for errors in swept])
                )
    return figures


def _print(
    points: Sequence[Point],
    found: Mapping[str, Mapping[str, Measured]],
    others: Mapping[str, float],
) -> None:
    for head in HEADS:
        rows = [name for name in found[points[0].name] if name.startswith(f"{head}_")]
        for name in (row for row in rows if not row.endswith("_lost")):
            for point in points:
                figures = found[point.name]
                lost = f"lost {figures[f'{name}_lost']}"
                typer.echo(f"{point.name:<9}{name:<34}{figures[name]!s:<26}{lost}")
    for name, value in others.items():
        typer.echo(f"{name:<52} {value:,.4f}")


def main(
    data: DataFolder,
    json_file: JsonFile = None,
    repository: Repository = BUILT,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 3,
    resamples: Resamples = RESAMPLES,
) -> None:
    """Measure student and cascade beside the encoder on the official tests."""
    try:
        with answering(repository) as points:
            for point in points:
                point.service.warm_up()
            others = speed(points, sentiment.test(data).texts[:SPEED_POSTS], rounds)
            sent = sent_shares(points[1], data)
            others |= {f"cascade_{head}_sent_share": share for head, share in sent.items()}
            others |= share_errors(points, data)
            found = quality(points, data, resamples)
            versions = {point.name: point.service.version for point in points}
            student = load_student_config(points[1].folder)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    _print(points, found, others)
    if json_file is not None:
        figures = dict(others)
        for name, each in found.items():
            for figure, value in each.items():
                figures |= value.figures(f"{name}_{figure}")
        settings: dict[str, Any] = {
            "models": versions, "student": student.version, "least_sure": student.least_sure,
            "window_posts": WINDOW, "rounds": rounds, "bootstrap_resamples": resamples,
        }  # fmt: skip
        write_report(
            json_file, "evaluation.encoder.cascade", figures,
            settings=settings, packages=("openvino", "numpy"), seed=SEED,
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
