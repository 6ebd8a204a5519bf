"""Forecasts sharpened by counts keep what a posterior must keep."""

import math

import msgspec
import numpy as np
import pytest

from core.forecast_settings import ForecastSettings
from models.engagement.distributions import log_beta_binomial, log_gamma, shapes
from models.engagement.exposure import STATE, Exposed, Exposure
from models.engagement.rarity import RARE, SAID, rarity_of, rectified, surprise_of
from models.engagement.sharpening import sharpen
from models.engagement.taking_off import TakingOff
from models.engagement.watched_post import WatchedPost

PRIOR = np.log1p([3.0, 6, 11, 25, 60])


def exposed(share: float, dispersion: float, rows: int) -> Exposed:
    full = np.full((rows, 3), share), np.full((rows, 3), dispersion)
    return Exposed(*full, np.zeros(rows), np.ones(rows))


def test_log_gamma_is_that_of_the_standard_library() -> None:
    x = np.geomspace(1e-6, 1e9, 400)
    assert log_gamma(x) == pytest.approx([math.lgamma(value) for value in x], rel=1e-8, abs=1e-8)


def test_probabilities_of_all_counts_by_an_age_sum_to_one() -> None:
    seen = np.arange(41.0)
    for share in (0.05, 0.6, 0.97):
        likely = np.exp(log_beta_binomial(seen, 40 - seen, *shapes(share, 3.0)))
        assert likely.sum() == pytest.approx(1, abs=1e-6)


def test_nothing_seen_leaves_the_prior_and_the_end_is_the_count() -> None:
    prior = np.tile(PRIOR, (2, 3, 1))
    at = Exposed(np.array([[0.0] * 3, [1.0] * 3]), np.full((2, 3), 4.0), np.zeros(2), np.ones(2))
    found = sharpen(prior, [[0, np.nan, 0], [7, 0, np.nan]], at)
    assert found.quantiles[0] == pytest.approx(prior[0], abs=1e-5)
    assert found.quantiles[1, 0] == pytest.approx(np.full(5, np.log1p(7)))
    assert found.quantiles[1, 2] == pytest.approx(PRIOR, abs=1e-5)
    assert np.isnan(found.surprise[0, 1])
    assert found.surprise[0, 0] == 1


@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.8, 0.97])
def test_quantiles_never_cross_never_fall_below_the_count_and_surprise_falls(share: float) -> None:
    counts = np.arange(0.0, 120)
    rows = len(counts)
    seen = np.repeat(counts[:, None], 3, axis=1)
    found = sharpen(np.tile(PRIOR, (rows, 3, 1)), seen, exposed(share, 4.0, rows))
    quantiles = found.quantiles[:, 0]
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles >= np.log1p(counts)[:, None] - 1e-5).all()
    assert np.diff(quantiles, axis=0).min() > -0.05  # a fall by rounding to whole counts
    assert (np.diff(found.surprise[:, 0]) < 0).all()


def test_surprise_is_the_share_of_posts_as_forecast_with_as_many() -> None:
    rng = np.random.default_rng(1)
    spread = 0.6
    scores = np.array([-1.2816, -0.6745, 0, 0.6745, 1.2816])
    finals = np.exp(3 + spread * rng.normal(size=200_000)).round()
    seen = rng.binomial(finals.astype(int), rng.beta(0.3 * 4, 0.7 * 4, finals.size))
    prior = np.tile(np.log1p(np.exp(3 + spread * scores)), (1, 3, 1))
    for count in (1, 5, 12, 20):
        found = sharpen(prior, [[count] * 3], exposed(0.3, 4.0, 1)).surprise[0, 0]
        assert found == pytest.approx((seen >= count).mean(), rel=0.1)


def test_exposure_learns_the_share_and_is_taken_up_where_it_was_put_down() -> None:
    rng = np.random.default_rng(2)
    learnt = Exposure(86_400)
    for number in range(300):
        key, final = number.to_bytes(12, "little"), int(rng.integers(5, 60))
        counts = [rng.binomial(final, 0.3), np.nan, 0]
        at_s = 1e9 + 400.0 * number
        learnt.sample(key, at_s, 300, counts)
        learnt = Exposure.from_blob(learnt.to_blob(), 86_400)
        learnt.settle(key, [final, 10, np.nan])
    share = learnt.share([1, 300, 3_600, 86_400])
    assert share[1, 0] == pytest.approx(0.3, abs=0.03)
    assert share[1, 1] == pytest.approx(0.08)  # its counts by then were not known
    assert (np.diff(share, axis=0) > 0).all()
    assert (share[3] == 1).all()
    assert learnt.dispersion([300])[0, 0] > 8
    assert len(learnt.to_blob()) == STATE.itemsize
    with pytest.raises(ValueError, match="another layout"):
        Exposure.from_blob(b"\x02" + learnt.to_blob()[1:], 86_400)


def test_surprises_of_ordinary_posts_come_to_mean_what_they_say() -> None:
    rng = np.random.default_rng(3)
    learnt = Exposure(86_400)
    prior = np.tile(PRIOR, (1, 3, 1))
    assert sharpen(prior, [[900] * 3], learnt.at([3_600])).surprise[0, 0] < 0.01
    before = sharpen(prior, [[900] * 3], learnt.at([3_600])).surprise[0, 0]
    for _ in range(2_000):
        learnt.learn_least(float(rng.uniform() ** 3))  # far more rare ones than there should be
    assert sharpen(prior, [[900] * 3], learnt.at([3_600])).surprise[0, 0] > before
    kept = [surprise_of(rarity_of(float(raw))) for raw in rng.uniform(size=30_000) ** 1.4]
    for raw in kept[:20_000]:
        learnt.learn_least(raw)
    at = learnt.at([3_600])
    honest = rectified(np.array(kept[20_000:]), at.offset, at.stretch)
    assert (honest < RARE).mean() == pytest.approx(RARE, abs=0.01)


def test_rarities_are_kept_in_steps_of_half_a_unit_and_bounded() -> None:
    for raw in (1.0, 0.2, 0.1, 1e-3, 1e-4, 1e-9, 0.0):
        stands = surprise_of(rarity_of(raw))
        assert rarity_of(stands) == rarity_of(raw)
        if 1e-3 <= raw < 0.13:
            assert abs(math.log(stands / raw)) <= 0.25
    assert rarity_of(1.0) == 0
    assert rarity_of(0.0) == SAID - 1


def post(seen: int, surprise: float, number: int = 1) -> WatchedPost:
    logs = [PRIOR.tolist()] * 3
    return WatchedPost(
        number.to_bytes(12, "little"), str(number), "demo", "ann", 1e9, (seen, None, None),
        (surprise, math.nan, math.nan), logs, logs, normal=9,
    )  # fmt: skip


def test_a_post_takes_off_once_and_is_over_after_two_looks() -> None:
    rule = TakingOff("all", ForecastSettings())
    rule.track(1e9)
    assert rule.look(post(19, 1e-9), 1e9 + 60) is None  # too few
    assert rule.look(post(412, 0.01), 1e9 + 60) is None  # not rare
    began = rule.look(post(412, 1e-9), 1e9 + 420)
    assert began is not None
    assert began.sentence == (
        "412 likes after 7 minutes; as forecast 11 (3 to 60) in a day; normal for the author 9"
    )
    rule = TakingOff.from_blob(rule.to_blob(), "all", ForecastSettings())
    assert rule.look(post(500, 0.02), 1e9 + 500) is None
    assert rule.look(post(500, 0.001), 1e9 + 510) is None  # back below: counted anew
    assert rule.look(post(500, 0.02), 1e9 + 520) is None
    ended = rule.look(post(500, 0.02), 1e9 + 530)
    assert ended is not None
    assert (ended.event_id, ended.state, ended.ended_as) == (began.event_id, "resolved", "over")
    assert rule.end(post(500, 1.0), 1e9 + 540, "settled") is None


def test_a_larger_share_of_false_events_allows_as_many_times_more_up_to_the_level() -> None:
    strict, lax, open_ = (
        TakingOff("all", ForecastSettings(false_share=share)) for share in (0.1, 0.4, 1.0)
    )
    for rule in (strict, lax, open_):
        rule.track(1e9, 600)
    assert strict.level(1e9 + 3_600) == pytest.approx(0.1 / 600)
    assert lax.level(1e9 + 3_600) == pytest.approx(4 * strict.level(1e9 + 3_600))
    assert open_.level(1e9 + 3_600) == ForecastSettings().surprise
    with pytest.raises(msgspec.ValidationError, match="<= 1"):
        msgspec.convert({"false_share": 1.5}, ForecastSettings)


def test_the_hours_budget_is_kept_and_the_level_falls_with_the_posts_tracked() -> None:
    rule = TakingOff("all", ForecastSettings(events_per_hour=3))
    assert rule.level(1e9) == 0.001
    rule.track(1e9, 100_000)
    assert rule.level(1e9 + 3_000) < 2e-6
    told = [rule.look(post(99, 1e-12, number), 1e9 + number) for number in range(1, 9)]
    assert sum(event is not None for event in told) == 3
    assert rule.held_back == 5
    assert rule.look(post(99, 1e-12, 50), 1e9 + 3_700) is not None
    with pytest.raises(ValueError, match="bytes, not"):
        TakingOff.from_blob(rule.to_blob() + b"x", "all", ForecastSettings())
