"""How many likes a reply has by its age, and in the end, as its place among the replies has it.

Early replies get most likes whatever they say, so likes are held against what a reply of that age
and place gets in that source. Likes of a reply are Poisson with mean `level * worth *
mean(place) * share(age)`. `level` is the event's, from all of its replies: a few events get most
likes. `worth` is the reply's, Gamma with mean one, whose strength is learnt too, so that two likes
after a minute say less than two hundred after an hour. All sums decay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Final

AGES_S: Final = (60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0)
"""Ages whose share of the final likes is learnt; between them it follows the logarithm of age."""
USUAL_SHARES: Final = (0.01, 0.05, 0.15, 0.4, 0.8, 0.97)
"""Shares that are assumed of a source of which nothing is known."""
PLACES: Final = 12
"""Groups of places: the first reply, the next two, the next four, …"""
_USUAL_LIKES: Final = 2.0
_SHARE_WEIGHT: Final = 20.0
"""The likes that the usual curve counts for, at each age."""
_PLACE_WEIGHT: Final = 4.0
"""The replies that the neighbouring group, or the usual mean, counts for."""
_USUAL_STRENGTH: Final = 0.5
_LEVEL_WEIGHT: Final = 1.0
"""The likes by which an event is taken for a usual one."""
_STRENGTHS: Final = (0.1, 10.0)
_STRENGTH_WEIGHT: Final = 20.0
_MEMORY: Final = 5_000.0
"""Settled replies over which sums decay by a factor of e."""
_KEPT: Final = exp(-1 / _MEMORY)
_LOG_AGES: Final = [log(age_s) for age_s in AGES_S]


def place_group(place: int) -> int:
    """Return the group of a reply's place among the replies of its event.

    Args:
        place: The number of replies before it.

    Example:
        >>> [place_group(place) for place in (0, 1, 2, 3, 7, 10**9)]
        [0, 1, 1, 2, 3, 11]
    """
    return min((place + 1).bit_length() - 1, PLACES - 1)


@dataclass(frozen=True, slots=True)
class _Curve:
    means: list[float]
    shares: list[float]
    strength: float


class ExpectedLikes:
    """What is learnt of one source. Not thread-safe."""

    def __init__(self) -> None:
        self._seen = [0.0] * len(AGES_S)
        self._final = [0.0] * len(AGES_S)
        self._likes = [0.0] * PLACES
        self._replies = [0.0] * PLACES
        self._excess = 0.0
        self._squares = 0.0
        self._known = self._curve()

    def learn(self, place: int, final: int, seen: Mapping[float, int], level: float = 1.0) -> None:
        """Take in a reply whose likes come no more.

        Args:
            place: The number of replies before it.
            final: Its likes in the end; a score below zero counts as none.
            seen: Its likes by ages of `AGES_S`, as far as they were looked at.
            level: The level of its event.

        Raises:
            ValueError: A number is negative where it cannot be, or an age is none of `AGES_S`.
        """
        if place < 0 or any(likes < 0 or age not in AGES_S for age, likes in seen.items()):
            raise ValueError(f"place {place}, likes by age {seen}: no such reply")
        likes, group = max(final, 0), place_group(place)
        mean = level * self.mean(place)
        for sums in (self._seen, self._final, self._likes, self._replies):
            sums[:] = [value * _KEPT for value in sums]
        # What likes vary beyond Poisson is mean² / strength.
        self._excess = self._excess * _KEPT + (likes - mean) ** 2 - likes
        self._squares = self._squares * _KEPT + mean**2
        self._likes[group] += likes
        self._replies[group] += 1
        for age, so_far in seen.items():
            self._seen[AGES_S.index(age)] += min(so_far, likes)
            self._final[AGES_S.index(age)] += likes
        self._known = self._curve()

    def sums(self) -> list[list[float]]:
        """Return all that was learnt, for `restore`."""
        return [
            list(self._seen), list(self._final), list(self._likes), list(self._replies),
            [self._excess, self._squares],
        ]  # fmt: skip

    def restore(self, sums: Sequence[Sequence[float]]) -> None:
        """Take up what was learnt as `sums` has given it.

        Raises:
            ValueError: It cannot be; nothing is taken up.
        """
        sizes = [len(AGES_S), len(AGES_S), PLACES, PLACES, 2]
        if [len(part) for part in sums] != sizes:
            raise ValueError(f"sums of {[len(part) for part in sums]} numbers, expected {sizes}")
        if not all(isfinite(value) for part in sums for value in part):
            raise ValueError("a sum that is not finite")
        if any(value < 0 for part in sums[:4] for value in part) or sums[4][1] < 0:
            raise ValueError("a sum below zero")
        self._seen, self._final, self._likes, self._replies = (list(part) for part in sums[:4])
        self._excess, self._squares = sums[4]
        self._known = self._curve()

    def _curve(self) -> _Curve:
        """Return what the sums say, so that asking is cheap."""
        means = [0.01] * PLACES
        mean = overall = (sum(self._likes) + _USUAL_LIKES) / (sum(self._replies) + 1)
        for group in range(PLACES - 1, -1, -1):
            # From the last group on, each leans on the one after it while it knows little.
            replies = self._replies[group] + _PLACE_WEIGHT
            mean = (self._likes[group] + _PLACE_WEIGHT * mean) / replies
            means[group] = max(mean, 0.01)
        shares: list[float] = []
        for seen, final, usual in zip(self._seen, self._final, USUAL_SHARES, strict=True):
            learnt = (seen + _SHARE_WEIGHT * usual) / (final + _SHARE_WEIGHT)
            shares.append(max(learnt, shares[-1] if shares else 0.0))
        assumed = _STRENGTH_WEIGHT * overall**2
        excess = max(self._excess + assumed / _USUAL_STRENGTH, 1e-9)
        strength = (self._squares + assumed) / excess
        return _Curve(means, shares, min(max(strength, _STRENGTHS[0]), _STRENGTHS[1]))

    def mean(self, place: int) -> float:
        """Return the likes that a reply at a place has in the end, on average."""
        return self._known.means[place_group(place)]

    def share(self, age_s: float) -> float:
        """Return the share of its final likes that a reply has by an age, never falling with it."""
        shares = self._known.shares
        if age_s <= AGES_S[0]:
            return shares[0] * max(age_s, 0.0) / AGES_S[0]
        above = bisect_right(AGES_S, age_s)
        if above == len(AGES_S):
            return shares[-1]
        part = (log(age_s) - _LOG_AGES[above - 1]) / (_LOG_AGES[above] - _LOG_AGES[above - 1])
        return shares[above - 1] + part * (shares[above] - shares[above - 1])

    @property
    def strength(self) -> float:
        """How alike replies are at one place: the shape of the Gamma of `worth`."""
        return self._known.strength

    def level(
        self, likes: Iterable[float], places: Iterable[int], ages_s: Iterable[float] | None = None
    ) -> float:
        """Return how many times the usual likes an event gets.

        Args:
            likes: The likes of its replies by now; below zero is none.
            places: Their places, in the same order or another.
            ages_s: Their ages, in the order of the places; None where the likes are complete.
        """
        means = map(self.mean, places)
        if ages_s is None:
            usual = sum(means)
        else:
            by_age = zip(means, ages_s, strict=True)
            usual = sum(mean * self.share(age_s) for mean, age_s in by_age)
        return (_LEVEL_WEIGHT + sum(max(one, 0) for one in likes)) / (_LEVEL_WEIGHT + usual)

    def worth(self, likes: int, place: int, age_s: float, level: float = 1.0) -> float:
        """Return how many times the likes of its age and place a reply gets: the clock taken out.

        The posterior mean of `worth`: one where nothing was to be seen yet.
        """
        strength = self.strength
        usual = level * self.mean(place) * self.share(age_s)
        return (strength + max(likes, 0)) / (strength + usual)

    def final(self, likes: int, place: int, age_s: float, level: float = 1.0) -> float:
        """Return the likes that a reply is expected to have in the end, given those by now."""
        coming = level * self.mean(place) * (1 - self.share(age_s))
        return max(likes, 0) + coming * self.worth(likes, place, age_s, level)
