"""A small recorded set, and a model that knows nothing but the author's median."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.ports import EngagementAnswer
from evaluation.forecasts.serving import Rows, Scored
from models.engagement.features import BASES
from models.engagement.training.dataset import no_scores
from models.engagement.training.sets import read_set

STEPS = np.array([-1.2, -0.5, 0.0, 0.5, 1.2])
BEGIN_S = 1_600_000_000


def write_set(
    data: Path, name: str, *, authors: int = 25, posts: int = 60, seed: int = 0, usual: int = 3
) -> None:
    """Write a set of authors who each have a level of their own; replies get less."""
    rng = np.random.default_rng(seed)
    folder = data / f"engagement_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["source", "author", "post_id", "created_at", "text", "likes", "replies", "reposts"]
    with gzip.open(folder / "posts.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for author in range(authors):
            level = rng.normal(usual, 1)
            at_s = BEGIN_S + np.cumsum(rng.exponential(6 * 3600, posts)).astype(int)
            for number, time_s in enumerate(at_s.tolist()):
                is_reply = rng.uniform() < 0.3
                likes = int(np.expm1(max(0, rng.normal(level - is_reply, 0.8))))
                when = datetime.fromtimestamp(time_s, UTC).isoformat()
                text = f"{'@somebody ' if is_reply else ''}number {number}"
                of_replies = "" if rng.uniform() < 0.2 else likes // 3
                writer.writerow(
                    ["x", f"a{author}", f"{author}-{number}", when, text, likes, of_replies, ""]
                )


def recorded(data: Path, name: str = "tiny", **options: int) -> Scored:
    """Return a set that was just written, without head scores."""
    write_set(data, name, **options)
    posts = read_set(data, name)
    heads, rated = no_scores(posts)
    return Scored(posts, heads, rated, name)


def by_the_median(
    rows: Rows, features: NDArray[np.float32], sequence: NDArray[np.float32]
) -> EngagementAnswer:
    """Answer with what is usual of the author, and the same steps around it."""
    base = np.nan_to_num(features[:, list(BASES)])
    quantiles = np.maximum(base[:, :, None] + STEPS, 0).astype(np.float32)
    return EngagementAnswer("median-1", quantiles)
