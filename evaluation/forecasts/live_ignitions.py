"""Made-up posts of which some take off, through the whole stack: is it said of these alone?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from core.forecast_schemas import ForecastEvent
from evaluation.forecasts.ignitions import IN_TIME_S, PER_POSTS
from evaluation.forecasts.live_stack import LiveStack
from models.engagement.taking_off import HOUR_S
from services.ingest.synthetic.ledger import read_ignitions
from services.ingest.synthetic.utterances import IgnitedPost

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
LEAST_RECALL: Final = 0.9
MOST_FALSE: Final = 1.0
"""An hour and 100,000 tracked posts."""
_POSTS: Final = "groundswell_forecast_posts_total"
_OVER_BUDGET: Final = "groundswell_forecast_events_over_budget_total"
_OPTIONS: Final = """\
seed = {seed}
speed = 0.0
start_at = "{start}"
duration_s = {duration_s}
posts_per_s = {posts_per_s}
daily_cycle = 0.0
engagement_share = 1.0
life_s = {life_s}
ledger = "{ledger}"

[[ignitions]]
at_s = {every_s}
every_s = {every_s}
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was noticed in one live run, or in several.

    Attributes:
        tracked: Posts that the forecaster tracked.
        hours: Event time.
        ignited: Posts that took off, by the ledger, once outcomes were known.
        in_time: Those of them of which an event said so within ten minutes of event time.
        noticed: Those of which one said so at all.
        early: Posts that took off before any outcome was known: nothing can be expected of them.
        early_in_time: Those of them that were noticed in time all the same.
        false: Posts that were said to take off and did not.
        held_back: Looks that the hour's budget kept from being told.
        took_s: Seconds by the wall clock.
    """

    tracked: int
    hours: float
    ignited: int
    in_time: int
    noticed: int
    early: int
    early_in_time: int
    false: int
    held_back: int
    took_s: float

    def __add__(self, other: Watched) -> Watched:
        """Return both runs as one."""
        pairs = zip(_values(self), _values(other), strict=True)
        return Watched(*(mine + its for mine, its in pairs))  # type: ignore[arg-type]

    @property
    def false_per_100k(self) -> float:
        """False events an hour for each 100,000 posts that are tracked in an hour."""
        return self.false * PER_POSTS / self.tracked if self.tracked else float("nan")

    @property
    def recall(self) -> float:
        """The share of the posts that took off of which an event said so in time."""
        return self.in_time / self.ignited if self.ignited else float("nan")

    @property
    def is_good(self) -> bool:
        """Tell whether enough were noticed, and little else."""
        return self.recall >= LEAST_RECALL and self.false_per_100k <= MOST_FALSE

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found | {"recall_10min": self.recall, "false_per_100k": self.false_per_100k}


def _values(one: Watched) -> list[float]:
    return [getattr(one, name) for name in one.__slots__]


def judge(
    ignited: Sequence[IgnitedPost], events: Iterable[ForecastEvent], warm_s: float
) -> dict[str, int]:
    """Return what events say of posts that took off and of others, by the names of `Watched`.

    Args:
        ignited: The posts that took off.
        events: What was said, of all queries.
        warm_s: Seconds after the first post until outcomes are known.
    """
    said: dict[str, float] = {}
    for event in events:
        if event.kind == "taking_off" and event.state == "firing":
            age_s = (event.decided_at - event.posted_at).total_seconds()
            said[event.post_id] = min(age_s, said.get(event.post_id, age_s))
    known_from = START + timedelta(seconds=warm_s)
    late = [post for post in ignited if post.start >= known_from]
    known = {post.post_id for post in ignited}
    in_time = {post_id for post_id, age_s in said.items() if age_s <= IN_TIME_S}
    counted = {post.post_id for post in late}
    return {
        "ignited": len(late),
        "in_time": len(counted & in_time),
        "noticed": len(counted & said.keys()),
        "early": len(known - counted),
        "early_in_time": len((known - counted) & in_time),
        "false": len(said.keys() - known),
    }


def watch_live(
    seed: int, hours: float, posts_an_hour: int, horizon_s: int, every_s: float
) -> Watched:
    """Return what is noticed of made-up posts in the whole stack.

    Args:
        seed: The seed of the source.
        hours: Event time.
        posts_an_hour: Posts in an hour of it; all are tracked, and all get counts over their lives.
        horizon_s: How long a life is.
        every_s: Seconds from one ignition to the next.
    """
    forecasts = {"horizon_s": horizon_s, "ages_s": [age for age in (300, 3_600) if age < horizon_s]}
    with LiveStack({"forecasts": forecasts}) as stack:
        ledger = stack.folder / "ledger.jsonl"
        options = _write_options(
            stack.folder / "synthetic.toml", seed=seed, start=START.isoformat(),
            duration_s=hours * HOUR_S, posts_per_s=posts_an_hour / HOUR_S, life_s=float(horizon_s),
            ledger=ledger, every_s=every_s,
        )  # fmt: skip
        took_s = stack.run("--source", "synthetic", "--options", str(options))
        said = judge(read_ignitions(ledger), stack.events(), horizon_s)
        tracked = stack.page.total(_POSTS, outcome="tracked")
        held_back = stack.page.total(_OVER_BUDGET)
    return Watched(
        tracked=int(tracked), hours=hours, held_back=int(held_back), took_s=took_s, **said
    )


def _write_options(path: Path, **values: object) -> Path:
    path.write_text(_OPTIONS.format_map(values), "utf-8")
    return path
