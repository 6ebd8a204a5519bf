"""What a reply gets is held against what a reply of its age and place gets in its source."""

import random

import pytest

from models.popalm.expected_likes import AGES_S, PLACES, USUAL_SHARES, ExpectedLikes, place_group

HOUR_S = 3_600.0


def taught(means: list[float], share: float, replies: int = 4_000, seed: int = 1) -> ExpectedLikes:
    """Return what is learnt of replies whose likes fall with their place."""
    rng = random.Random(seed)
    expected = ExpectedLikes()
    for _ in range(replies):
        place = rng.randrange(20)
        final = round(means[place_group(place)] * rng.gammavariate(0.5, 2))
        expected.learn(place, final, {HOUR_S: sum(rng.random() < share for _ in range(final))})
    return expected


def test_of_an_unknown_source_the_usual_curve_is_assumed_and_grows_with_age() -> None:
    expected = ExpectedLikes()
    for age_s, share in zip(AGES_S, USUAL_SHARES, strict=True):
        assert expected.share(age_s) == pytest.approx(share)
    ages = [0.0, 10.0, 60.0, 61.0, 500.0, 40_000.0, 90_000.0, 1e9]
    shares = [expected.share(age_s) for age_s in ages]
    assert shares == sorted(shares)
    assert shares[0] == expected.share(-5.0) == 0
    assert expected.share(1e9) <= 1


def test_means_by_place_share_by_age_and_strength_are_learnt() -> None:
    means = [60.0, 20.0, 8.0, 3.0, 1.0]
    expected = taught(means, share=0.9)
    for place, mean in ((0, 60), (1, 20), (4, 8), (10, 3)):
        assert expected.mean(place) == pytest.approx(mean, rel=0.25)
    assert expected.share(HOUR_S) == pytest.approx(0.9, abs=0.03)
    assert expected.strength == pytest.approx(0.5, rel=0.4)
    assert expected.mean(10**6) > 0  # a place that was never seen leans on the rest


def test_the_same_likes_are_worth_more_when_young_and_late() -> None:
    expected = taught([60.0, 20.0, 8.0, 3.0, 1.0], share=0.5)
    assert expected.worth(10, 0, 60) > expected.worth(10, 0, HOUR_S)
    assert expected.worth(10, 12, HOUR_S) > expected.worth(10, 0, HOUR_S)
    assert expected.worth(0, 3, 0) == 1


def test_what_is_expected_in_the_end_is_never_below_what_there_is() -> None:
    expected = ExpectedLikes()
    assert expected.final(0, 0, 0) == pytest.approx(expected.mean(0))
    for likes in (0, 1, 50):
        for age_s in (0.0, 100.0, 1e7):
            assert expected.final(likes, 2, age_s) >= likes


def test_a_score_below_zero_is_no_like() -> None:
    expected = ExpectedLikes()
    expected.learn(0, -9, {HOUR_S: 3})
    assert expected.mean(0) > 0
    assert expected.worth(-4, 0, HOUR_S) == expected.worth(0, 0, HOUR_S)


def test_what_is_no_reply_is_refused() -> None:
    for place, seen in ((-1, {}), (0, {HOUR_S: -1}), (0, {17.0: 1})):
        with pytest.raises(ValueError, match="no such reply"):
            ExpectedLikes().learn(place, 3, seen)


def test_places_are_grouped_by_their_order_of_size() -> None:
    groups = [place_group(place) for place in range(5_000)]
    assert groups == sorted(groups)
    assert set(groups) == set(range(PLACES))


def test_what_was_learnt_is_taken_up_to_the_last_bit() -> None:
    chance, first = random.Random(2), ExpectedLikes()
    for place in range(200):
        first.learn(place, chance.randrange(9), {60.0: 1, 3_600.0: 2}, level=1.5)
    second = ExpectedLikes()
    second.restore(first.sums())
    for one in (first, second):
        one.learn(3, 5, {900.0: 4})
    assert second.sums() == first.sums()
    assert second.final(3, 5, 600.0) == first.final(3, 5, 600.0)


@pytest.mark.parametrize("spoil", [
    lambda sums: sums[:4], lambda sums: [[1.0], *sums[1:]],
    lambda sums: [[float("nan")] * 6, *sums[1:]], lambda sums: [[-1.0] * 6, *sums[1:]],
])  # fmt: skip
def test_sums_that_cannot_be_are_refused_and_change_nothing(spoil) -> None:
    expected = ExpectedLikes()
    before = expected.sums()
    with pytest.raises(ValueError, match="sum"):
        expected.restore(spoil(before))
    assert expected.sums() == before


def test_the_level_of_an_event_is_its_likes_over_those_of_its_places_and_ages() -> None:
    expected = taught([60.0, 20.0, 8.0, 3.0, 1.0], share=0.5)
    usual = [expected.mean(place) for place in range(3)]
    assert expected.level(usual, range(3)) == pytest.approx(1)
    assert expected.level([7 * likes for likes in usual], range(3)) > 5
    by_age = [likes * expected.share(HOUR_S) for likes in usual]
    assert expected.level(by_age, range(3), [HOUR_S] * 3) == pytest.approx(1)
    assert expected.level([0, -9, -1], range(3)) == expected.level([0, 0, 0], range(3)) < 1
    assert expected.level([], []) == 1
