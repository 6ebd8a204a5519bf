"""Distributions of counts: how many of a post's final engagements are there by an age.

Each engagement of a post falls before the age with a probability that differs from post to post
as a beta distribution does; how many do is then beta-binomial.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]

_SHIFT: Final = 6
"""The argument is moved up by so much, where Stirling's series is good to nine digits."""
_HALF_LOG_2PI: Final = 0.9189385332046727


def log_gamma(x: ArrayLike) -> Doubles:
    """Return the logarithm of the gamma function of positive numbers; the same shape.

    By Stirling's series (Abramowitz and Stegun 6.1.41) after the recurrence 6.1.16.
    """
    x = np.asarray(x, np.float64)
    # x (x+5), (x+1) (x+4) and (x+2) (x+3) are the same polynomial but for a constant
    outer = x * (x + 5)
    product = outer * (outer + 4)
    product *= outer + 6
    z = x + _SHIFT
    inverse = 1 / z
    series = inverse * inverse
    series = inverse * (1 / 12 - series * (1 / 360 - series / 1260))
    return series + ((z - 0.5) * np.log(z) - z + _HALF_LOG_2PI) - np.log(product)


def shapes(share: ArrayLike, dispersion: ArrayLike) -> tuple[Doubles, Doubles]:
    """Return the two parameters of the beta distribution of a share of the final count.

    The second one is at least a half, so that late in life posts are ever more alike, as they are.

    Args:
        share: The expected share, in (0, 1).
        dispersion: Sum of the parameters: the smaller, the more posts differ.
    """
    share = np.asarray(share, np.float64)
    least = np.clip(2 - 2 * share, 0.5, 1)
    total = np.maximum(np.asarray(dispersion, np.float64), least / (1 - share))
    return total * share, total * (1 - share)


def log_beta_binomial(seen: ArrayLike, coming: ArrayLike, a: ArrayLike, b: ArrayLike) -> Doubles:
    """Return the log probability that `seen` of `seen + coming` are there by an age.

    Args:
        seen: How many are there; not negative, need not be whole.
        coming: How many are still to come; as `seen`.
        a: The first that `shapes` returns.
        b: The second.
    """
    seen, coming = np.asarray(seen, np.float64), np.asarray(coming, np.float64)
    total = seen + coming
    ways = log_gamma(total + 1) - log_gamma(coming + 1) - log_gamma(seen + 1)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    of_shares = log_gamma(coming + b) - log_gamma(total + a + b) + log_gamma(seen + a)
    return ways + of_shares - (log_gamma(a) + log_gamma(b) - log_gamma(a + b))


def logit(share: Doubles) -> Doubles:
    """Return the log odds of shares, elementwise."""
    return np.log(share / (1 - share))
