"""The edge of every scorer: what a model answers becomes a `ScoreBatch` here, or is refused.

Whatever a scorer asks, each of its answers passes `checked` exactly once, before anything is cut
off or joined. There are two ways to be wrong:

- **The whole answer**: rows, labels, types, outputs or the version are not those that were asked
  for. Nothing in it can be trusted, least of all which row belongs to which post: `InvalidAnswer`,
  and the scorer counts as unavailable.
- **A row**: not finite, outside [0, 1], or an exclusive head that does not sum to one. Only this
  row is named in `ScoreBatch.wrong`; it is zero and not rated, so that who forgets to look counts
  nothing of it.

Of a row that the model abstains on the heads are not counted, so they need not sum to one; they
must be finite and in [0, 1] nonetheless. **Not found**: rows in another order, and numbers that are
wrong and still probabilities.

Shapes: `B` posts, `C` classes of a head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidAnswer
from core.heads import HEADS, INDEPENDENT
from core.model_version import is_of_build
from core.ports import ScoreBatch
from core.routes import KNOWN, READ, Routes

RANGE_TOLERANCE: Final = 1e-6
"""So far outside [0, 1] a rounding error may lead: eight units in the last place of float32 at 1.
What is within it is set to 0 or 1."""
SUM_TOLERANCE: Final = 1e-3
"""So far from 1 the sum of an exclusive head may be: what float16 loses over its classes. Of
float32 it is a ten-thousandth of this."""
MAX_VERSION_CHARS: Final = 128
"""The version becomes a label of a metric and a field of every scored post."""
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer has to be an answer to.

    Attributes:
        who: The scorer, as messages name it.
        posts: The number of posts that were sent.
        heads: The names of the heads that the model has.
        version: The build that must have answered, by whichever engine; "" takes any.
    """

    who: str
    posts: int
    heads: tuple[str, ...]
    version: str = ""

    def invalid(self, what: str, found: object, expected: object) -> InvalidAnswer:
        """Return the error that says what came and what was expected, cut to a line."""
        return InvalidAnswer(
            f"{self.who} answered {self.posts} posts with {what} {shown(found)}, "
            f"expected {shown(expected)}"
        )


def shown(value: object) -> str:
    """Return a value of the other side's choice for a message: bounded, without line breaks."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def checked(
    asked: Asked,
    versions: object,
    rated: object,
    heads: Mapping[str, object],
    routes: Routes | None = None,
) -> ScoreBatch:
    """Return an answer as a batch, with its wrong rows named.

    Args:
        asked: What was asked.
        versions: The model version, or one for each post, (B,) or (B, 1), as UTF-8.
        rated: Whether the model rates each post, (B,) or (B, 1) bool.
        heads: The probabilities of each head, (B, C) of any floating-point type.
        routes: How the posts were answered, as `routes_of` lets through.

    Raises:
        InvalidAnswer: The answer as a whole cannot be used.
    """
    if not asked.heads or set(heads) != set(asked.heads):
        raise asked.invalid("heads", sorted(heads), sorted(asked.heads) or "at least one head")
    flags = _flags(asked, rated)
    arrays = {name: _probabilities(asked, name, heads[name]) for name in asked.heads}
    version = version_of(asked, versions)
    wrong = _all_wrong(flags, arrays)
    rows = sorted(wrong)
    return ScoreBatch(
        version,
        _without(flags, rows),
        # Adding zero turns -0.0 into 0.0: which of the two `clip` gives is not told.
        {
            name: np.ascontiguousarray(np.clip(_without(values, rows), 0, 1) + 0, np.float32)
            for name, values in arrays.items()
        },
        {row: wrong[row] for row in rows},
        routes,
    )


def routes_of(asked: Asked, bits: object, costs: object) -> Routes:
    """Return how the posts of an answer were answered, (B, 1) bits and (B, 2) seconds a post.

    Raises:
        InvalidAnswer: They have another shape or type, or say what cannot be.
    """
    if not isinstance(bits, np.ndarray) or bits.dtype != np.uint16:
        raise asked.invalid("ROUTE of type", kind_of(bits), "uint16")
    if bits.shape != (asked.posts, 1):
        raise asked.invalid("ROUTE of shape", bits.shape, (asked.posts, 1))
    flat = bits[:, 0]
    # Bits that nobody has, or something of a post that was not read.
    if (flat & ~np.uint16(KNOWN)).any() or ((flat != 0) & (flat & READ == 0)).any():
        raise asked.invalid("ROUTE", sorted(set(flat.tolist()))[:8], f"bits of {KNOWN}")
    if not isinstance(costs, np.ndarray) or costs.dtype != np.float32:
        raise asked.invalid("COST of type", kind_of(costs), "float32")
    if costs.shape != (asked.posts, 2):
        raise asked.invalid("COST of shape", costs.shape, (asked.posts, 2))
    if not ((costs >= 0) & np.isfinite(costs)).all():
        raise asked.invalid("COST", "of no seconds", "seconds")
    student_s, encoder_s = costs.sum(axis=0, dtype=np.float64).tolist()
    return Routes(flat.copy(), student_s, encoder_s)


def joined(who: str, parts: list[ScoreBatch]) -> ScoreBatch:
    """Return checked answers to the parts of one batch as one, in order; at least one is needed.

    Raises:
        InvalidAnswer: The parts are of different versions or have different heads.
    """
    first, starts = parts[0], np.cumsum([0, *(len(part.rated) for part in parts)]).tolist()
    if any(part.model_version != first.model_version for part in parts):
        found = sorted({part.model_version for part in parts})
        raise InvalidAnswer(f"{who}: the model changed within a batch: {shown(found)}")
    if any(part.heads.keys() != first.heads.keys() for part in parts):
        raise InvalidAnswer(f"{who}: the heads changed within a batch")
    return ScoreBatch(
        first.model_version,
        np.concatenate([part.rated for part in parts]),
        {name: np.concatenate([part.heads[name] for part in parts]) for name in first.heads},
        {
            start + row: found
            for start, part in zip(starts, parts, strict=False)
            for row, found in part.wrong.items()
        },
        _joined_routes([part.routes for part in parts]),
    )


def _joined_routes(parts: list[Routes | None]) -> Routes | None:
    """Return the routes of the parts of a batch, in order; None when any part has none."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Routes(
        np.concatenate([part.bits for part in known]),
        sum(part.student_s for part in known),
        sum(part.encoder_s for part in known),
    )


def _flags(asked: Asked, rated: object) -> NDArray[np.bool_]:
    """Return RATED as (B,)."""
    if not isinstance(rated, np.ndarray) or rated.dtype != np.bool_:
        raise asked.invalid("RATED of type", kind_of(rated), "bool")
    if rated.shape not in ((asked.posts,), (asked.posts, 1)):
        raise asked.invalid("RATED of shape", rated.shape, (asked.posts, 1))
    return np.ascontiguousarray(rated.reshape(-1))


def _probabilities(asked: Asked, name: str, values: object) -> NDArray[Any]:
    """Return a head's numbers, (B, C), of the type they came in."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise asked.invalid(f"{name} of type", kind_of(values), "a floating-point type")
    expected = (asked.posts, len(HEADS[name]))
    if values.shape != expected:
        raise asked.invalid(f"{name} of shape", values.shape, expected)
    return values


def kind_of(value: object) -> str:
    """Return the type of what came, as messages name it."""
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def version_of(asked: Asked, versions: object) -> str:
    """Return the one version that all rows have, as text.

    Raises:
        InvalidAnswer: There is none, several, or another than was asked.
    """
    found: Any = versions
    if isinstance(versions, np.ndarray):
        if versions.shape not in ((asked.posts,), (asked.posts, 1)):
            raise asked.invalid("MODEL_VERSION of shape", versions.shape, (asked.posts, 1))
        several = versions.reshape(-1).tolist()
        if not several or any(one != several[0] for one in several):
            raise asked.invalid("MODEL_VERSION", several, "one version for all")
        found = several[0]
    try:
        version = found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        raise asked.invalid("MODEL_VERSION", found, "UTF-8") from error
    if not (
        isinstance(version, str)
        and 0 < len(version) <= MAX_VERSION_CHARS
        and version.isprintable()
        and version == version.strip()
    ):
        raise asked.invalid(
            "MODEL_VERSION", version, f"1 to {MAX_VERSION_CHARS} printable characters"
        )
    if asked.version and not is_of_build(version, asked.version):
        raise asked.invalid("MODEL_VERSION", version, asked.version)
    return version


def _all_wrong(flags: NDArray[np.bool_], arrays: Mapping[str, NDArray[Any]]) -> dict[int, str]:
    """Return row -> the first thing that is wrong with it."""
    # A byte that is neither 0 nor 1 would multiply what is counted.
    wrong = {
        int(row): "RATED: a byte that is neither 0 nor 1"
        for row in np.flatnonzero(flags.view(np.uint8) > 1)
    }
    for name, values in arrays.items():
        for row, found in _wrong_rows(name, values, flags).items():
            wrong.setdefault(row, found)
    return wrong


def _wrong_rows(name: str, values: NDArray[Any], rated: NDArray[np.bool_]) -> dict[int, str]:
    """Return row -> what is wrong with it in this head."""
    inside = (values >= -RANGE_TOLERANCE) & (values <= 1 + RANGE_TOLERANCE)  # of NaN neither holds
    found: dict[int, str] = {}
    if not inside.all():  # by rows it takes ten times as long, and is hardly ever needed
        found = {int(row): _what(name, values[row]) for row in np.flatnonzero(~inside.all(axis=1))}
        values = np.where(inside, values, 0)
    if name not in INDEPENDENT:
        sums: Any = values.sum(axis=1, dtype=np.float64)
        for row in np.flatnonzero(rated & (np.abs(sums - 1) > SUM_TOLERANCE)):
            what = f"{name}: probabilities that sum to {sums[row]:.4f}, expected 1"
            found.setdefault(int(row), what)
    return found


def _what(name: str, row: NDArray[Any]) -> str:
    for kind, has_it in (
        ("NaN", np.isnan(row)),
        ("+inf", row == np.inf),
        ("-inf", row == -np.inf),
        ("a number below 0", row < 0),
    ):
        if has_it.any():
            return f"{name}: {kind}, expected numbers in [0, 1]"
    return f"{name}: a number above 1, expected numbers in [0, 1]"


def _without(values: NDArray[Any], rows: list[int]) -> NDArray[Any]:
    """Return a copy in which these rows are zero; the array itself where there are none."""
    if rows:
        values = values.copy()
        values[rows] = 0
    return values
