"""The measurement that sets the demo's rate, on scorers of known speed and a clock of its own."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from core.clock import ManualClock
from core.errors import ScorerUnavailable
from core.ports import ScoreBatch
from services.local.demo_rate import (
    GIVE_UP_S,
    LEAST_POSTS_PER_S,
    MEASURE_S,
    Measured,
    chosen_rate,
    distinct_posts,
    measure,
    told,
)
from testkit.scorers.fake import FakeScorer


class Paced(FakeScorer):
    """Scores so many posts per second after a first batch that takes longer, or is away."""

    def __init__(self, posts_per_s: float, first_s: float = 0.0, away: float = 0.0) -> None:
        super().__init__()
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.texts: list[str] = []
        self.sizes: list[int] = []
        self._posts_per_s, self._first_s, self._away = posts_per_s, first_s, away
        self.fixed_s = 0.0

    async def score_batch(self, texts, langs) -> ScoreBatch:  # type: ignore[no-untyped-def]
        if self.clock.monotonic() < self._away:
            raise ScorerUnavailable("loading")
        once_s = self.fixed_s if self.texts else self._first_s
        self.clock.advance(len(texts) / self._posts_per_s + once_s)
        self.texts += texts
        self.sizes.append(len(texts))
        return await super().score_batch(texts, langs)


async def measured(scorer: Paced) -> Measured:
    return await measure(scorer, distinct_posts(), scorer.clock)


def test_no_text_of_the_measurement_is_known_to_a_cache() -> None:
    texts = [post.text for post in islice(distinct_posts(), 3_000)]
    assert len(set(texts)) == 3_000


@pytest.mark.parametrize("posts_per_s", [12.0, 130.0, 900.0])
async def test_the_rate_is_found_in_about_two_seconds_and_the_first_batch_is_free(
    posts_per_s: float,
) -> None:
    scorer = Paced(posts_per_s, first_s=0.7)
    found = await measured(scorer)
    assert found.posts_per_s == pytest.approx(posts_per_s, rel=0.01)
    assert MEASURE_S / 3 < found.seconds < MEASURE_S
    assert scorer.clock.monotonic() < 2 * MEASURE_S
    assert len(set(scorer.texts)) == len(scorer.texts)


async def test_a_machine_of_a_few_posts_a_second_still_sends_some() -> None:
    found = await measured(Paced(0.5))
    assert found.posts_per_s == pytest.approx(0.5)
    assert chosen_rate(found, 200.0) == LEAST_POSTS_PER_S
    assert "scores 0.5 posts/s" in told(found, LEAST_POSTS_PER_S, "x")


async def test_a_scorer_that_is_away_at_first_is_waited_for() -> None:
    found = await measured(Paced(100.0, away=0.9))
    assert found.posts_per_s == pytest.approx(100.0, rel=0.01)


async def test_a_scorer_that_scores_nothing_is_said_to() -> None:
    found = await measured(Paced(100.0, away=1_000.0))
    assert (found.posts, found.posts_per_s) == (0, 0.0)
    assert GIVE_UP_S <= found.seconds < GIVE_UP_S + 1
    rate = chosen_rate(found, 200.0)
    assert rate == LEAST_POSTS_PER_S
    assert told(found, rate, "x") == "the scorer scored nothing in 15 s; the demo sends 0.5/s"


@pytest.mark.parametrize(
    ("posts", "rate"), [(260, 65.0), (5_000, 200.0), (42, 10.0), (30, 7.5), (1, LEAST_POSTS_PER_S)]
)
def test_half_is_sent_and_never_more_than_may_be(posts: int, rate: float) -> None:
    assert chosen_rate(Measured(posts, 2.0), 200.0) == rate


def test_the_line_says_what_the_machine_scores_and_what_is_sent() -> None:
    assert told(Measured(2_400, 2.0), 200.0, "AVX2, VNNI") == (
        "this machine scores 1,200 posts/s (AVX2, VNNI); the demo sends 200"
    )


async def test_what_every_batch_costs_besides_its_posts_is_no_part_of_what_the_machine_can() -> (
    None
):
    scorer = Paced(110.0)
    scorer.fixed_s = 0.1
    found = await measured(scorer)
    assert max(scorer.sizes) >= 16
    assert found.posts_per_s > 55.0, "in batches of four it would be 29"
