"""All counts of a post together: how far beyond the forecast, and how rare that is in a source."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from core.forecast_settings import ForecastSettings
from models.engagement.layout import REACHES, STAGES
from models.engagement.pending import PendingPost, PendingPosts
from models.engagement.taking_off import TakingOff
from models.engagement.together import OrdinaryPosts, beyond, combined, reach_of
from models.engagement.watched_post import WatchedPost

Logs = NDArray[np.float64]
POSTS = 20_000


def law(name: str) -> Callable[[np.random.Generator, int], Logs]:
    """Return how far beyond the forecast the posts of a source go, by the name of its law."""
    return {
        "alike": lambda rng, size: 0.6 * rng.normal(size=size),
        "apart": lambda rng, size: 1.2 * rng.normal(size=size),
        "Pareto": lambda rng, size: rng.exponential(0.9, size) - 0.9,
    }[name]


def taught(logs: Logs) -> OrdinaryPosts:
    """Return what is learnt of posts, and in use."""
    posts = OrdinaryPosts()
    for log in logs.tolist():
        posts.learn(reach_of(log))
    posts.use()
    return posts


def test_how_far_beyond_is_of_all_counts_that_are_known_and_forecast() -> None:
    prior = np.full((1, 3, 5), math.log1p(100))
    share = np.array([[0.5, 0.2, 0.1]])
    assert beyond(prior, [[395, 40, 5]], share)[0] == pytest.approx(math.log(445 / 85))
    assert beyond(prior, [[395, math.nan, 5]], share)[0] == pytest.approx(math.log(405 / 65))
    prior[0, 0] = math.nan
    assert beyond(prior, [[395, 40, 5]], share)[0] == pytest.approx(math.log(50 / 35))
    assert math.isnan(beyond(prior, [[395, math.nan, math.nan]], share)[0])


def test_reaches_grow_with_the_log_and_are_bounded() -> None:
    reaches = [reach_of(log) for log in np.arange(-2, 9, 0.05).tolist()]
    assert reaches == sorted(reaches)
    assert set(reaches) == set(range(REACHES))
    assert reach_of(math.nan) == 0


def test_of_a_new_source_nothing_is_rare_that_is_not_wild_and_single_counts_decide() -> None:
    new = OrdinaryPosts()
    assert new.surprise([math.log(10)])[0] > 0.02
    assert new.surprise([0.0])[0] == 1
    assert new.trust == 0
    assert combined([0.3, math.nan], 1e-9, new.trust) == 0.3


@pytest.mark.parametrize("name", ["alike", "apart", "Pareto"])
@pytest.mark.parametrize("unsaid", [0, 60])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_more_posts_are_rare_than_it_says_whatever_the_law_of_the_source(
    name: str, unsaid: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logs = law(name)(rng, POSTS)
    took_off = rng.uniform(math.log(20), math.log(100), unsaid)
    posts = taught(rng.permutation(np.concatenate([logs, took_off])))
    later = posts.surprise(law(name)(rng, 400_000))
    for level in (1e-2, 1e-3, 3e-4):
        assert level / 30 < (later < level).mean() < 1.6 * level
    assert posts.trust > 0.74


def test_surprise_falls_with_the_log_and_is_taken_up_where_it_was_put_down() -> None:
    posts = taught(law("alike")(np.random.default_rng(3), 3_000))
    logs = np.arange(-1, 12, 0.01)
    found = posts.surprise(logs)
    assert (np.diff(found) <= 0).all()
    assert ((found > 0) & (found <= 1)).all()
    assert math.isnan(posts.surprise([math.nan])[0])
    posts.learn(3)  # not in use before it is said
    again = OrdinaryPosts(*posts.to_parts())
    assert again.surprise(logs).tolist() == found.tolist()
    again.use()
    assert again.surprise(logs).tolist() != found.tolist()


def test_what_is_learnt_is_of_the_last_posts() -> None:
    rng = np.random.default_rng(4)
    posts = taught(np.concatenate([law("apart")(rng, 20_000), law("alike")(rng, 60_000)]))
    assert posts.surprise([2.2])[0] < 4e-3  # 0.1 % of the later posts, 3 % of the earlier
    assert sum(posts.to_parts()[0]) == pytest.approx(8_000, rel=0.05)


def test_what_is_surprising_alone_or_together_is_weighted() -> None:
    assert combined([1e-3, 0.5, math.nan], 0.2, 0.75) == pytest.approx(4e-3)
    assert combined([1e-3, 0.5, math.nan], 3e-4, 0.75) == pytest.approx(4e-4)
    assert combined([0.9], 0.9, 0.5) == 1
    assert math.isnan(combined([math.nan], math.nan, 0.5))
    assert combined([], 0.3, 0.5) == 0.6


def test_a_post_takes_off_by_all_counts_together_and_is_over_by_them() -> None:
    def post(together: float) -> WatchedPost:
        logs = [[math.log1p(n) for n in (3, 6, 11, 25, 60)]] * 3
        return WatchedPost(
            b"1" * 12, "1", "demo", "ann", 1e9, (60, 30, 3), (0.1, 0.05, 1e-9), logs, logs,
            together=together, trust=0.8,
        )  # fmt: skip

    rule = TakingOff("all", ForecastSettings())
    rule.track(1e9)
    assert rule.look(post(0.01), 1e9 + 60) is None  # three reposts, however rare, are too few
    began = rule.look(post(1e-5), 1e9 + 120)
    assert began is not None
    assert (began.target, began.seen, began.state) == ("replies", 30, "firing")
    assert began.surprise < 1e-4


def test_how_far_a_post_went_and_how_old_it_is_share_a_byte() -> None:
    post = PendingPost.new(1_000.0, 0, 1, [7])
    assert (post.stage, post.reach) == (0, 0)
    for stage, reach in ((2, 0), (2, REACHES - 1), (STAGES - 1, 4), (0, 9)):
        post.stage, post.reach = stage, reach
        assert (post.stage, post.reach) == (stage, reach)
    assert post.queries == [7]
    pending = PendingPosts([300, 3_600])
    assert pending.load([(b"k" * 12, bytes(post.record))], lambda _: "") == []
    found = pending.find(b"k" * 12)
    assert found is not None
    assert (found.stage, found.reach) == (0, 9)
    post.stage = 2
    ((_, why),) = pending.load([(b"l" * 12, bytes(post.record))], lambda _: "")
    assert why == "stage 2, expected one below 2"
