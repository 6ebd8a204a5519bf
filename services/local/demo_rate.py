"""How many posts per second the demo sends: half of what this machine scores.

    python -m services.local.demo_rate FILE MOST

Measures the scorer that the settings name for about two seconds, writes the source's options to
FILE and prints what it found. A process of its own: the supervisor stays free of gRPC's threads,
which a program that starts others must not have.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core import config
from core.clock import Clock, SystemClock
from core.errors import ScorerRefused, ScorerUnavailable
from core.ports import Scorer
from core.processor import read_flags
from core.schemas import Post
from services.bootstrap import make_scorer
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.conversation import Conversation
from services.local.machine import describe_extensions

MEASURE_S: Final = 2.0
GIVE_UP_S: Final = 15.0
"""A scorer that has answered nothing for so long is taken to score nothing."""
LEAST_POSTS_PER_S: Final = 0.5
_FIRST_BATCH: Final = 4
_LARGEST_BATCH: Final = 256
_SHORT_BATCH_S: Final = 0.25  # a batch that takes less is doubled: fixed costs are not the model's
_GROWING_S: Final = MEASURE_S / 2  # batches may grow for so long before they count
_SEED: Final = 20_251
"""Another conversation than the demo's: its texts must not be known to the model's cache."""
_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Measured:
    """What the scorer did.

    Attributes:
        posts: The posts that it scored.
        seconds: How long that took.
    """

    posts: int
    seconds: float

    @property
    def posts_per_s(self) -> float:
        """The rate, 0 if nothing was scored."""
        return self.posts / self.seconds if self.posts else 0.0


def distinct_posts() -> Iterator[Post]:
    """Yield posts of a synthetic conversation, no text twice."""
    seen: set[str] = set()
    # Quick ticks: only the texts are wanted, and their times mean nothing here.
    talk = Conversation(
        SyntheticOptions(seed=_SEED, posts_per_s=1_000.0), datetime(2026, 1, 1, tzinfo=UTC)
    )
    for _, items in talk.ticks():
        for item in items:
            post = item.record
            if isinstance(post, Post) and post.text not in seen:
                seen.add(post.text)
                yield post


async def measure(scorer: Scorer, posts: Iterator[Post], clock: Clock) -> Measured:
    """Score for about `MEASURE_S` seconds, in batches that grow while they take little time.

    What the first batch costs besides its posts (a connection, kernels) is not counted, nor is the
    time in which batches grow, unless the first alone takes all of it.
    """
    began_s = clock.monotonic()
    await _score(scorer, posts, _FIRST_BATCH, clock, began_s)
    warm_s = clock.monotonic()
    if warm_s - began_s >= MEASURE_S:
        is_scored = warm_s - began_s < GIVE_UP_S
        return Measured(_FIRST_BATCH if is_scored else 0, warm_s - began_s)
    size = _FIRST_BATCH
    counted, counted_from_s = 0, warm_s
    while (elapsed_s := (now_s := clock.monotonic()) - warm_s) < MEASURE_S:
        if elapsed_s < _GROWING_S:  # these batches were smaller than what a busy worker sends
            counted, counted_from_s = 0, now_s
        counted += await _score(scorer, posts, size, clock, now_s)
        if clock.monotonic() - now_s < _SHORT_BATCH_S:
            size = min(2 * size, _LARGEST_BATCH)
    return Measured(counted, clock.monotonic() - counted_from_s)


async def _score(
    scorer: Scorer, posts: Iterator[Post], size: int, clock: Clock, began_s: float
) -> int:
    """Score one batch and return its size; 0 if nothing came before it was time to give up."""
    batch = [next(posts) for _ in range(size)]
    while True:
        left_s = began_s + GIVE_UP_S - clock.monotonic()
        if left_s <= 0:
            return 0
        try:
            async with asyncio.timeout(left_s):
                await scorer.score_batch([p.text for p in batch], [p.lang for p in batch])
        except (ScorerUnavailable, ScorerRefused, TimeoutError):
            await clock.sleep(_AGAIN_S)
        else:
            return size


def chosen_rate(measured: Measured, most: float) -> float:
    """Return the posts per second to send: half of what was scored, never nothing."""
    half = min(most, measured.posts_per_s / 2)
    return max(LEAST_POSTS_PER_S, float(int(half)) if half >= 10 else round(half, 1))


def told(measured: Measured, rate: float, features: str) -> str:
    """Return the line that a person is shown.

    Example:
        >>> told(Measured(260, 2.0), 65.0, "AVX2, no VNNI")
        'this machine scores 130 posts/s (AVX2, no VNNI); the demo sends 65'
    """
    if not measured.posts:
        return f"the scorer scored nothing in {measured.seconds:.0f} s; the demo sends {rate:g}/s"
    scores = measured.posts_per_s
    shown = f"{scores:,.0f}" if scores >= 10 else f"{scores:.1f}"
    return f"this machine scores {shown} posts/s ({features}); the demo sends {rate:g}"


async def _measure_as_set() -> Measured:
    scorer = make_scorer(config.load())
    try:
        return await measure(scorer, distinct_posts(), SystemClock())
    finally:
        await scorer.close()


def main(words: Sequence[str]) -> None:
    """Measure, write, tell."""
    place, most = Path(words[0]), float(words[1])
    measured = asyncio.run(_measure_as_set())
    rate = chosen_rate(measured, most)
    place.parent.mkdir(parents=True, exist_ok=True)
    # Without its daily cycle, which would send half as much again in the evening.
    place.write_text(f"posts_per_s = {rate}\ndaily_cycle = 0.0\n")
    sys.stdout.write(told(measured, rate, describe_extensions(read_flags())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
