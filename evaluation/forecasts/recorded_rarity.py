"""How rare recorded posts are by all counts together, and how often such posts there were.

    python -m evaluation.forecasts.recorded_rarity --data ../shared/data --sets congress,accounts

Recorded sets have counts of one age, the last. So what is asked is the tail alone: each post is
read against the median of what its author's posts came to, by the rarity that the posts whose
outcome was known by then teach, as on the stream. If that is honest, one post in a thousand is as
rare as one in a thousand.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from core.report import write_report
from evaluation.encoder.__main__ import refusing
from evaluation.forecasts.__main__ import chosen_sets
from evaluation.options import DataFolder, JsonFile
from models.engagement.history import DAY_S
from models.engagement.layout import OUTCOMES, from_log16
from models.engagement.together import OrdinaryPosts, beyond, reach_of
from models.engagement.training.sets import HORIZON_S, EngagementSet, read_set

LEVELS: Final = (1e-2, 1e-3, 3e-4)
_LEAST_KNOWN: Final = 8
"""Outcomes of an author without which nothing is said of a post."""
_LEAST: Final = 20
"""Engagements in all below which nothing takes off."""
_USE_EVERY_S: Final = HORIZON_S / 48
_WARM: Final = 2_000
"""Posts that teach before any is judged."""


def logs_of(posts: EngagementSet) -> Iterator[tuple[float, float]]:
    """Yield of posts in order of time when they came, and how far they went beyond their author's.

    Those of authors of whom too little is known by then are left out, those with too few counts go
    nowhere.
    """
    counts = np.expm1(from_log16(posts.counts).astype(np.float64))
    totals = np.nansum(counts, axis=1).tolist()
    known: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=OUTCOMES))
    waiting: deque[tuple[float, int, float]] = deque()
    share = np.ones((1, 3))
    for row in np.argsort(posts.at_s, kind="stable").tolist():
        at_s, author = float(posts.at_s[row]), int(posts.author[row])
        while waiting and waiting[0][0] <= at_s - HORIZON_S:
            _, of, total = waiting.popleft()
            known[of].append(total)
        if np.isnan(counts[row]).all():
            continue
        waiting.append((at_s, author, totals[row]))
        if len(known[author]) < _LEAST_KNOWN:
            continue
        prior = np.zeros((1, 3, 5))
        prior[0, 0] = math.log1p(statistics.median(known[author]))
        far = beyond(prior, [[totals[row], 0, 0]], share)[0] if totals[row] >= _LEAST else -math.inf
        yield at_s, float(far)


def rarities_of(posts: EngagementSet) -> tuple[NDArray[np.float64], float]:
    """Return how rare each judged post was said to be, and over how many days they came."""
    ordinary = OrdinaryPosts()
    waiting: deque[tuple[float, int]] = deque()
    judged: list[tuple[float, float]] = []
    used_s, taught = -math.inf, 0
    for at_s, far in logs_of(posts):
        while waiting and waiting[0][0] <= at_s - HORIZON_S:
            ordinary.learn(waiting.popleft()[1])
            taught += 1
        if at_s >= used_s + _USE_EVERY_S:
            ordinary.use()
            used_s = at_s
        if taught >= _WARM:
            judged.append((at_s, float(ordinary.surprise([max(far, 0.0)])[0])))
        waiting.append((at_s, reach_of(far)))
    times, rarities = np.array(judged).reshape(-1, 2).T
    return rarities, float(np.ptp(times)) / DAY_S if len(times) else 0.0


def main(
    data: DataFolder,
    sets: Annotated[str, typer.Option(help="Comma-separated; else all.")] = "",
    json_file: JsonFile = None,
) -> None:
    """Say how many recorded posts are as rare as is said of them."""
    figures: dict[str, float] = {}
    with refusing():
        for name in chosen_sets(data, sets):
            rarities, days = rarities_of(read_set(data, name))
            figures[f"{name}.posts"] = len(rarities)
            figures[f"{name}.days"] = round(days, 1)
            for level in LEVELS:
                hits = int((rarities < level).sum())
                figures[f"{name}.below_{level:g}"] = hits
                figures[f"{name}.expected_{level:g}"] = round(level * len(rarities), 1)
            of_set = {key: value for key, value in figures.items() if key.startswith(f"{name}.")}
            sys.stdout.write(f"{of_set}\n")
            sys.stdout.flush()
    if json_file is not None:
        write_report(json_file, "forecasts recorded rarity", figures, settings={"sets": sets})


if __name__ == "__main__":
    typer.run(main)
