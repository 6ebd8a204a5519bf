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
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from core.errors import ConfigError

CORRECTIONS_FILE: Final = "quantification.json"
MOST_BLOCKS: Final = 8
"""Every subset of blocks may be tried: 255 for eight, 31 for the largest head that panes count."""
_LEAST_RIDGE: Final = 1e-9
_TOLERANCE: Final = 1e-9


class Correction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the probabilities of one head spread over the true classes.

    Attributes:
        labels: classes, in the order of `core.labels.HEADS`.
        blocks: block of each class, from 0 without gaps. Classes that too few held-out posts had
            share a block: only the blocks' shares are corrected, and inside one the expected mix
            stays. Usually each class is its own.
        matrix: `matrix[i][j]` is the mean probability of block i over posts that are truly of
            block j; each column adds up to one.
        ridge: weight of the uncorrected share, in posts: a window of few posts is corrected less,
            because inverting a confusion also multiplies the noise. 0 is no such weight.
        posts: how many held-out posts the matrix was fitted on.
        fitted_on: what those posts were.
    """

    labels: tuple[str, ...]
    blocks: tuple[int, ...]
    matrix: tuple[tuple[float, ...], ...]
    ridge: float = 0.0
    posts: int = 0
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
        ConfigError: it is not there, or not such a file.
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
        if not 2 <= size <= MOST_BLOCKS:
            raise ConfigError(f"{file}: head {name} has {size} blocks, expected 2 to {MOST_BLOCKS}")
    return found


def adjusted_shares(
    expected_counts: Sequence[float], rated: float, correction: Correction
) -> tuple[float, ...]:
    """Return the share of each class in a window, corrected.

    With q the mean probabilities and M the matrix, it is the p on the simplex that makes
    `|M p - q|^2 + ridge / rated * |p - q|^2` least. The minimum is found exactly.

    Args:
        expected_counts: sum of the probabilities of each class over the window's rated posts, in
            any unit.
        rated: number of those posts.
        correction: that of the head and of the model version.

    Returns:
        One share a class, each in [0, 1], together 1; no rated posts give the empty tuple.

    Raises:
        ValueError: as many counts as classes are needed.

    Example:
        >>> found = Correction(
        ...     labels=("no", "yes"), blocks=(0, 1), matrix=((0.8, 0.3), (0.2, 0.7))
        ... )
        >>> [round(share, 6) for share in adjusted_shares([65.0, 35.0], 100, found)]
        [0.7, 0.3]
    """
    if len(expected_counts) != len(correction.labels):
        raise ValueError(f"{len(correction.labels)} classes, {len(expected_counts)} counts")
    counts = [max(0.0, count) for count in expected_counts]
    whole = sum(counts)
    if rated <= 0 or whole <= 0:
        return ()
    in_block = [0.0] * len(correction.matrix)
    members = [0] * len(correction.matrix)
    for block, count in zip(correction.blocks, counts, strict=True):
        in_block[block] += count
        members[block] += 1
    corrected = _invert([total / whole for total in in_block], rated, correction)
    return tuple(
        corrected[block] * (count / in_block[block] if in_block[block] > 0 else 1 / members[block])
        for block, count in zip(correction.blocks, counts, strict=True)
    )


def _invert(shares: list[float], rated: float, correction: Correction) -> tuple[float, ...]:
    """The corrected shares of the blocks, from their mean probabilities."""
    size = len(shares)
    ridge = correction.ridge / rated + _LEAST_RIDGE
    matrix = correction.matrix
    gram = [
        [sum(row[i] * row[j] for row in matrix) + (ridge if i == j else 0.0) for j in range(size)]
        for i in range(size)
    ]
    pull = [
        sum(row[i] * share for row, share in zip(matrix, shares, strict=True)) + ridge * shares[i]
        for i in range(size)
    ]
    return _least_on_simplex(gram, pull)


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
