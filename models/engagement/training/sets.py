"""Recorded posts with their counts, as columns: the sets `engagement_*` of the data folder.

A set is `engagement_NAME/posts.csv.gz`. Columns `author, created_at, text, likes, replies, reposts`
are read, `reply_to` and `post_id` where they are there; an empty count is unknown, not zero.
"""

import csv
import gzip
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.shape import shape_of
from core.text import clean_text, readable_text
from models.engagement.features import Floats, PostColumns
from models.engagement.history import DAY_S
from models.engagement.layout import TARGETS, UNKNOWN, to_log16

csv.field_size_limit(16 * 1024 * 1024)

SETS: Final = ("congress", "leaders", "accounts", "musk", "facebook", "bluesky", "brand")
HORIZON_S: Final = DAY_S
"""The age at which a count is an outcome, for every set: the counts were read long after it."""
COLLECTED: Final[Mapping[str, tuple[float, float]]] = {
    "accounts": (
        datetime(2021, 4, 23, 21, tzinfo=UTC).timestamp(),
        datetime(2021, 4, 25, tzinfo=UTC).timestamp(),
    ),
}
"""When the counts of a set were read, from and to, where posts were younger than the horizon then:
their counts had not settled and are taken as unknown."""
_NEEDED: Final = frozenset({"author", "created_at", "text", *TARGETS})


@dataclass(frozen=True, slots=True)
class EngagementSet:
    """The posts of a set, author by author, each author's in order of time.

    Attributes:
        name: The name of the set, such as `musk`.
        digest: The SHA-256 of its file, in hex.
        authors: The names of the authors, in the order of `author`.
        author: (N,) the number of each post's author.
        post_ids: (N,) as in the file; the row's number where the file has none.
        at_s: (N,) the times of the posts, in seconds since 1970.
        shapes: (N, 8) as in `core.shape.SHAPE`.
        counts: (N, 3) counts as kept logs; unknown where they are empty or had not settled.
        rows: (N,) each post's row in the file.
        unsettled: How many posts were too young when their counts were read.
        dropped: What was wrong with a row that was left out -> how many of them.
    """

    name: str
    digest: str
    authors: tuple[str, ...]
    author: NDArray[np.int64]
    post_ids: NDArray[np.str_]
    at_s: NDArray[np.float64]
    shapes: Floats
    counts: NDArray[np.uint16]
    rows: NDArray[np.int64]
    unsettled: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])

    def __len__(self) -> int:
        return len(self.at_s)

    def select(self, chosen: NDArray[Any]) -> "EngagementSet":
        """Return some of the posts, by mask or by number."""
        columns = ("author", "post_ids", "at_s", "shapes", "counts", "rows")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def posts(self, heads: Floats, rated: NDArray[np.bool_]) -> PostColumns:
        """Return the posts as features want them, with their head scores."""
        return PostColumns(self.at_s, self.shapes, heads, rated)


def set_file(data: Path, name: str) -> Path:
    """Return the file of a set.

    Raises:
        ConfigError: It is not there.
    """
    path = data / f"engagement_{name}" / "posts.csv.gz"
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: name the folder of the data sets with --data")
    return path


def present_sets(data: Path) -> tuple[str, ...]:
    """Return the sets that a data folder has: the known ones first, in their order."""
    found = {folder.parent.name.removeprefix("engagement_") for folder in _files(data)}
    return tuple(name for name in SETS if name in found) + tuple(sorted(found - set(SETS)))


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a file of posts, in order."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read_set(data: Path, name: str, horizon_s: float = HORIZON_S) -> EngagementSet:
    """Read a set.

    Raises:
        ConfigError: The file is not there, lacks a column, or has no usable post.
    """
    path = set_file(data, name)
    read = _Columns()
    for row, record in enumerate(rows_of(path)):
        if row == 0 and (lacking := _NEEDED - record.keys()):
            raise ConfigError(f"{path}: no column {', '.join(sorted(lacking))}")
        read.add(row, record)
    if not read.at_s:
        raise ConfigError(f"{path} has no usable post: {dict(read.dropped) or 'it is empty'}")
    return read.finish(name, _digest(path), horizon_s)


def _files(data: Path) -> list[Path]:
    return [path for path in data.glob("engagement_*/posts.csv.gz") if path.is_file()]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Columns:
    """The columns of a set while its file is read."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.author: list[int] = []
        self.post_ids: list[str] = []
        self.at_s: list[float] = []
        self.shapes: list[tuple[int, ...]] = []
        self.counts: list[list[float]] = []
        self.rows: list[int] = []
        self.dropped = Counter[str]()

    def add(self, row: int, record: Mapping[str, str]) -> None:
        """Take a row, or count what is wrong with it."""
        at_s, counts = _time(record["created_at"]), [_count(record[name]) for name in TARGETS]
        if at_s is None:
            self.dropped["created_at is no time"] += 1
        elif not record["author"]:
            self.dropped["no author"] += 1
        elif any(count is None for count in counts):
            self.dropped["a count is no number from 0 on"] += 1
        else:
            self.author.append(self.numbers.setdefault(record["author"], len(self.numbers)))
            self.post_ids.append(record.get("post_id") or str(row))
            self.at_s.append(at_s)
            text, _ = clean_text(readable_text(record["text"]))  # what ingest makes of it
            self.shapes.append(shape_of(text, reply_to=record.get("reply_to") or None))
            self.counts.append([np.nan if count is None else count for count in counts])
            self.rows.append(row)

    def finish(self, name: str, digest: str, horizon_s: float) -> EngagementSet:
        """Return the set, author by author and in order of time."""
        at_s, author = np.asarray(self.at_s), np.asarray(self.author, np.int64)
        counts = to_log16(np.log1p(np.asarray(self.counts)))
        first, last = COLLECTED.get(name, (np.inf, -np.inf))
        unsettled = (at_s > first - horizon_s) & (at_s < last)
        counts[unsettled] = UNKNOWN
        whole = EngagementSet(
            name, digest, tuple(self.numbers), author, np.asarray(self.post_ids, np.str_), at_s,
            np.asarray(self.shapes, np.float32), counts, np.asarray(self.rows, np.int64),
            int(unsettled.sum()), dict(self.dropped),
        )  # fmt: skip
        return whole.select(np.lexsort((at_s, author)))


def _time(text: str) -> float | None:
    """Return a time in seconds since 1970, None if it is none; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    at_s = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return at_s if at_s >= 0 else None


def _count(text: str) -> float | None:
    """Return a count, NaN if it is empty and None if it is no count."""
    try:
        count = float(text or "nan")
    except ValueError:
        return None
    return count if not text or 0 <= count < np.inf else None
