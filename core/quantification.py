"""Shares of classes in a window, corrected for what the classifier confuses. Standard library only.

A window holds expected counts: calibrated probabilities added up. Their mean is the share of each
class only where the classes are as frequent as in the posts the model was calibrated on; a class
that is rarer or more frequent is pulled towards that. How probabilities spread over the true
classes moves much less, so it is measured once on held-out posts (`evaluation.shares` fits it
and writes `quantification.json` beside the weights) and inverted when a share is read: the
*probabilistic adjusted count* of Bella et al. 2010 (ICDM, section III), as least squares on the
simplex, so that no share is negative and all add up to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from core.errors import ConfigError
from core.schemas import Interval

CORRECTIONS_FILE: Final = "quantification.json"
MOST_BLOCKS: Final = 8
"""Every subset of blocks may be tried: 255 for eight, 31 for the largest head that panes count."""
_LEAST_RIDGE: Final = 1e-9
_TOLERANCE: Final = 1e-9
_DEVIATIONS: Final = 1.96
"""So many standard deviations to either side hold 95 %."""


class Correction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the probabilities of one head spread over the true classes.

    Attributes:
        labels: The classes, in the order of `core.heads.HEADS`.
        blocks: The block of each class, from 0 without gaps. Classes that too few held-out posts
            had share a block: only the blocks' shares are corrected, and inside one the expected
            mix stays. Usually each class is its own.
        matrix: `matrix[i][j]` is the mean probability of block i over posts that are truly of
            block j; each column adds up to one.
        ridge: The weight of the uncorrected share, in posts: a window of few posts is corrected
            less, because inverting a confusion also multiplies the noise. 0 is no such weight.
        posts: How many held-out posts the matrix was fitted on.
        block_posts: How many of them were truly of each block; without them no interval is known.
        fitted_on: What those posts were.
    """

    labels: tuple[str, ...]
    blocks: tuple[int, ...]
    matrix: tuple[tuple[float, ...], ...]
    ridge: float = 0.0
    posts: int = 0
    block_posts: tuple[int, ...] = ()
    fitted_on: str = ""


class Corrections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The corrections of a model, by head: the content of `quantification.json`."""

    model_version: str
    heads: dict[str, Correction]

    def head(self, name: str, model_version: str) -> Correction | None:
        """Return the correction of a head, if it was fitted to the model that made the scores.

        A score's version is that of the weights, and a precision after a dot.
        """
        fits = model_version == self.model_version or model_version.startswith(
            f"{self.model_version}."
        )
        return self.heads.get(name) if fits else None


def load_corrections(file: Path) -> Corrections:
    """Read `quantification.json`.

    Raises:
        ConfigError: It is not there, or not such a file.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Corrections)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{file} does not hold corrections: {error}") from error
    for name, correction in found.heads.items():
        size = len(correction.matrix)
        is_square = all(len(row) == size for row in correction.matrix)
        is_assigned = len(correction.blocks) == len(correction.labels)
        if not (is_square and is_assigned and set(correction.blocks) == set(range(size))):
            raise ConfigError(
                f"{file}: head {name} needs a block for each class and a square matrix"
            )
        of_blocks = correction.block_posts
        if of_blocks and not (len(of_blocks) == size and min(of_blocks) > 0):
            raise ConfigError(f"{file}: head {name} needs a count of posts for each block")
        if not 2 <= size <= MOST_BLOCKS:
            raise ConfigError(f"{file}: head {name} has {size} blocks, expected 2 to {MOST_BLOCKS}")
    return found


def adjusted_shares(
    expected_counts: Sequence[float], rated: float, correction: Correction
) -> tuple[float, ...]:
    """Return the share of each class in a window, corrected.

    See `corrected_intervals`; the shares are each in [0, 1], together 1.

    Example:
        >>> found = Correction(
        ...     labels=("no", "yes"), blocks=(0, 1), matrix=((0.8, 0.3), (0.2, 0.7))
        ... )
        >>> [round(share, 6) for share in adjusted_shares([65.0, 35.0], 100, found)]
        [0.7, 0.3]
    """
    found = _corrected(expected_counts, rated, correction)
    return tuple(found.blocks[block] * part for block, part in found.classes)


def corrected_intervals(
    expected_counts: Sequence[float], rated: float, correction: Correction
) -> tuple[Interval, ...]:
    """Return the corrected share of each class in a window, with its 95 % interval.

    With q the mean probabilities and M the matrix, it is the p on the simplex that makes
    `|M p - q|^2 + ridge / rated * |p - q|^2` least. The minimum is found exactly.

    The interval is what the number of posts leaves open, of the window and of the held-out ones,
    at the most: a pane keeps no squares of probabilities, and those of a class spread no wider
    than if one post in so many had all of it. It does not know how far the posts are from those
    held out, nor the mix inside a block. Without `block_posts` it is [0, 1].

    Args:
        expected_counts: The sum of the probabilities of each class over the window's rated posts,
            in any unit.
        rated: The number of those posts.
        correction: The correction of the head and of the model version.

    Returns:
        One share a class; no rated posts give the empty tuple.

    Raises:
        ValueError: As many counts as classes are needed.
    """
    found = _corrected(expected_counts, rated, correction)
    errors = _standard_errors(found, rated, correction) if found.classes else []
    intervals: list[Interval] = []
    for block, part in found.classes:
        share, error = found.blocks[block], _DEVIATIONS * errors[block]
        low, high = max(0.0, share - error), min(1.0, share + error)
        intervals.append(Interval(share * part, low * part, high * part))
    return tuple(intervals)


class _Corrected(NamedTuple):
    """The shares of blocks, the system that they solve, and the block and part of each class."""

    blocks: tuple[float, ...]
    gram: list[list[float]]
    pulls: list[list[float]]
    classes: list[tuple[int, float]]


def _corrected(
    expected_counts: Sequence[float], rated: float, correction: Correction
) -> _Corrected:
    if len(expected_counts) != len(correction.labels):
        raise ValueError(f"{len(correction.labels)} classes, {len(expected_counts)} counts")
    counts = [max(0.0, count) for count in expected_counts]
    whole = sum(counts)
    if rated <= 0 or whole <= 0:
        return _Corrected((), [], [], [])
    in_block = [0.0] * len(correction.matrix)
    members = [0] * len(correction.matrix)
    for block, count in zip(correction.blocks, counts, strict=True):
        in_block[block] += count
        members[block] += 1
    gram, pulls = _system(rated, correction)
    pull = [sum(h * total for h, total in zip(row, in_block, strict=True)) / whole for row in pulls]
    classes = [
        (block, count / in_block[block] if in_block[block] > 0 else 1 / members[block])
        for block, count in zip(correction.blocks, counts, strict=True)
    ]
    return _Corrected(_least_on_simplex(gram, pull), gram, pulls, classes)


def _system(rated: float, correction: Correction) -> tuple[list[list[float]], list[list[float]]]:
    """Return G and H of the system `G p = H q`: M'M and M', both with the ridge."""
    matrix, size = correction.matrix, len(correction.matrix)
    ridge = correction.ridge / rated + _LEAST_RIDGE
    pulls = [[matrix[k][i] + (ridge if i == k else 0.0) for k in range(size)] for i in range(size)]
    gram = [
        [sum(row[i] * row[j] for row in matrix) + (ridge if i == j else 0.0) for j in range(size)]
        for i in range(size)
    ]
    return gram, pulls


def _standard_errors(found: _Corrected, rated: float, correction: Correction) -> list[float]:
    """Return an upper bound of the standard error of each block's share.

    A vector of probabilities with mean m spreads no wider than a choice of one class by m, so each
    column of the matrix gives the variance of its posts in the window, and of its own mean.
    """
    size = len(found.blocks)
    if not correction.block_posts:
        return [1.0] * size
    whole = tuple(range(size))
    slopes = [
        _solve(_bordered(found.gram, whole), [*(row[k] for row in found.pulls), 0.0])[:size]
        for k in range(size)
    ]  # slopes[k][i] is how share i answers to the mean probability of block k
    errors: list[float] = []
    for i in range(size):
        variance = 0.0
        for j, (share, posts) in enumerate(zip(found.blocks, correction.block_posts, strict=True)):
            mean = sum(correction.matrix[k][j] * slopes[k][i] for k in range(size))
            square = sum(correction.matrix[k][j] * slopes[k][i] ** 2 for k in range(size))
            variance += (share / rated + share**2 / posts) * max(0.0, square - mean**2)
        errors.append(sqrt(variance))
    return errors


def _least_on_simplex(gram: list[list[float]], pull: list[float]) -> tuple[float, ...]:
    """The p on the simplex with the least `p G p / 2 - h p`; G is positive definite.

    On a given support the minimum is a linear system. The support whose solution is nowhere
    negative, and whose multiplier no class outside of it would improve on, is the optimum. Nearly
    always that is the full one, which is tried first.
    """
    classes = len(pull)
    best: tuple[float, tuple[float, ...]] | None = None
    for support in _supports(classes):
        *inside, multiplier = _solve(_bordered(gram, support), [*(pull[i] for i in support), 1.0])
        if min(inside) < -_TOLERANCE:
            continue
        shares = [0.0] * classes
        for i, value in zip(support, inside, strict=True):
            shares[i] = max(0.0, value)
        slopes = [sum(g * p for g, p in zip(row, shares, strict=True)) for row in gram]
        excess = max(
            (pull[i] - slopes[i] - multiplier for i in range(classes) if i not in support),
            default=0.0,
        )
        if best is None or excess < best[0]:
            whole = sum(shares)
            best = excess, tuple(share / whole for share in shares)
        if excess <= _TOLERANCE:
            break
    assert best is not None  # noqa: S101 -- a support of one class is always feasible
    return best[1]


def _supports(classes: int) -> Iterator[tuple[int, ...]]:
    for size in range(classes, 0, -1):
        yield from combinations(range(classes), size)


def _bordered(gram: list[list[float]], support: tuple[int, ...]) -> list[list[float]]:
    rows = [[*(gram[i][j] for j in support), 1.0] for i in support]
    return [*rows, [*(1.0 for _ in support), 0.0]]


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with row exchanges; the arguments are used up."""
    size = len(right)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(matrix[row][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        right[column], right[pivot] = right[pivot], right[column]
        for row in range(column + 1, size):
            factor = matrix[row][column] / matrix[column][column]
            for i in range(column, size):
                matrix[row][i] -= factor * matrix[column][i]
            right[row] -= factor * right[column]
    solution = [0.0] * size
    for row in reversed(range(size)):
        known = sum(matrix[row][i] * solution[i] for i in range(row + 1, size))
        solution[row] = (right[row] - known) / matrix[row][row]
    return solution
