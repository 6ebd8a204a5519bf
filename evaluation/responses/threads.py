"""Posts with their real replies, by set: what is learnt from, what is judged, what both share.

A set is a folder `responses_NAME` of the data. Where a set has an official test that is judged,
else its last part in time.
"""

from __future__ import annotations

import csv
import gzip
import json
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

from core.errors import ConfigError

FOLDER: Final = "responses_"
LEAST_REPLIES: Final = 3
"""One that is held out, one that is the consensus, and one that both are judged against."""
LEAST_JUDGED: Final = 2
"""A post, and another one to compare it with."""
COPIED_CHARACTERS: Final = 20
"""A reply this long that stands in both splits is a copy; a shorter one may be said twice."""


@dataclass(frozen=True, slots=True)
class Thread:
    """A post with the replies that it got, the best liked first where the set knows.

    Attributes:
        post: The text of the post.
        replies: The texts of its replies.
        order: What splits are made by: the official split, or the time as text (UTC).
    """

    post: str
    replies: tuple[str, ...]
    order: str


@dataclass(frozen=True, slots=True)
class ThreadSet:
    """A set, split.

    Attributes:
        name: Its name.
        language: `zh` or `en`: which encoder reads it, and how tokens are joined.
        train: What floors and models may learn from.
        test: What is judged; every thread has at least `LEAST_REPLIES` replies.
        removed: What was left out, counted by reason.
    """

    name: str
    language: str
    train: Sequence[Thread]
    test: Sequence[Thread]
    removed: Mapping[str, int]


def normalised(text: str) -> str:
    """Return what two texts share that are the same to a reader: NFKC, case and space folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """Open a gzip'd text; what breaks off or is no gzip inside is refused by its name."""
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
            yield cast(TextIO, opened)
    except (EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise ConfigError(f"{file}: {error}") from error


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzip'd file that has one on each line.

    Raises:
        ConfigError: A line is none, or the file breaks off.
    """
    with _opened(file) as opened:
        for number, line in enumerate(opened, 1):
            try:
                found: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{file}, line {number}: no JSON object ({error})") from error
            if not isinstance(found, dict):
                raise ConfigError(f"{file}, line {number}: no JSON object")
            yield cast("dict[str, Any]", found)


def rows_of(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a gzip'd CSV file, every value as its text.

    Raises:
        ConfigError: A row has fewer or more values than there are columns, or the file breaks off.
    """
    csv.field_size_limit(1 << 24)
    with _opened(file) as opened:
        reader = csv.DictReader(opened)
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(f"{file}, line {reader.line_num}: not a value for each column")
            yield row


def _popalm(folder: Path) -> Iterator[Thread]:
    for row in lines_of(folder / "posts.jsonl.gz"):
        yield Thread(row["post"], tuple(row["replies"]), row["split"])


def _reddit_pairs(folder: Path) -> Iterator[Thread]:
    for row in lines_of(folder / "threads.jsonl.gz"):
        yield Thread(row["post"], tuple(row["replies"]), row["date"])


def _bluesky(folder: Path) -> Iterator[Thread]:
    """Yield posts with their replies, and parents with the post that answers them."""
    found: dict[str, dict[str, str]] = {}
    for row in lines_of(folder / "threads.jsonl.gz"):
        for reply in row["replies"]:
            found.setdefault(row["text"], {}).setdefault(reply["text"], reply["created_at"])
        if row["parent"]:
            found.setdefault(row["parent"]["text"], {}).setdefault(row["text"], row["created_at"])
    for post, replies in found.items():
        yield Thread(post, tuple(replies), max(replies.values()))


def _rumoureval(folder: Path) -> Iterator[Thread]:
    """Yield the sources with their direct replies; the official development part is learnt from."""
    rows = list(rows_of(folder / "posts.csv.gz"))
    replies: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        replies.setdefault(row["parent_id"], []).append(row)
    for row in rows:
        if row["is_source"] == "1":
            likes = sorted(replies.get(row["id"], []), key=lambda one: -int(one["likes"] or 0))
            yield Thread(row["text"], tuple(one["text"] for one in likes), row["split"])


Read = Callable[[Path], Iterator[Thread]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a set is read.

    Attributes:
        language: `zh` or `en`.
        read: Yields its threads from its folder.
        test_share: The last part in time that is judged where there is no official test.
    """

    language: str
    read: Read
    test_share: float = 0.2


KINDS: Final[Mapping[str, Kind]] = {
    "popalm": Kind("zh", _popalm),
    "reddit_pairs": Kind("en", _reddit_pairs),
    "bluesky": Kind("en", _bluesky, 0.5),  # few of its posts have three replies
    "rumoureval": Kind("en", _rumoureval),
}


def load_threads(data: Path, name: str) -> ThreadSet:
    """Read a set, split it, and leave out what both splits share.

    Raises:
        ConfigError: The set is not there, or its file is not what it should be.
    """
    folder = data / f"{FOLDER}{name}"
    try:
        threads = list(KINDS[name].read(folder))
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        raise ConfigError(f"{folder}: {type(error).__name__}: {error}") from error
    return split(name, threads)


def split(name: str, threads: Sequence[Thread]) -> ThreadSet:
    """Split threads and leave out what repeats, has too few replies, or stands in both splits.

    Raises:
        ConfigError: Nothing is left to learn from or to judge.
    """
    train, test = _parted([_cleaned(thread) for thread in threads], KINDS[name].test_share)
    removed = {"test_repeated": len(test), "test_too_few_replies": 0, "train_of_test": len(train)}
    test = list({normalised(thread.post): thread for thread in reversed(test)}.values())[::-1]
    removed["test_repeated"] -= len(test)
    judged = [thread for thread in test if len(thread.replies) >= LEAST_REPLIES]
    removed["test_too_few_replies"] = len(test) - len(judged)
    train, removed["train_replies_of_test"] = _apart(train, test)
    removed["train_of_test"] -= len(train)
    if not train or len(judged) < LEAST_JUDGED:
        raise ConfigError(f"set {name}: {len(train)} posts to learn from, {len(judged)} to judge")
    return ThreadSet(name, KINDS[name].language, train, judged, removed)


def _cleaned(thread: Thread) -> Thread:
    """Return a thread without empty replies; what is said twice stays, as published."""
    return Thread(thread.post, tuple(filter(normalised, thread.replies)), thread.order)


def _parted(threads: Sequence[Thread], share: float) -> tuple[list[Thread], list[Thread]]:
    """Return what is learnt from and what is judged: by official split, else by time."""
    if any(thread.order == "test" for thread in threads):
        train = [thread for thread in threads if thread.order != "test"]
        return train, [thread for thread in threads if thread.order == "test"]
    times = sorted(thread.order for thread in threads)
    cut = times[int(len(times) * (1 - share))] if times else ""
    # A whole day, where only days are known, is on one side.
    train = [thread for thread in threads if thread.order < cut]
    return train, [thread for thread in threads if thread.order >= cut]


def _apart(train: Sequence[Thread], test: Sequence[Thread]) -> tuple[list[Thread], int]:
    """Return training threads that no judged thread is a part of, and how many replies went."""
    posts = {normalised(thread.post) for thread in test}
    replies = {normalised(reply) for thread in test for reply in thread.replies}
    long = {text for text in posts | replies if len(text) >= COPIED_CHARACTERS}
    kept: list[Thread] = []
    dropped = 0
    for thread in train:
        post = normalised(thread.post)
        if post in posts or post in long or not thread.replies:
            continue
        own = tuple(reply for reply in thread.replies if normalised(reply) not in long)
        dropped += len(thread.replies) - len(own)
        if own:
            kept.append(Thread(thread.post, own, thread.order))
    return kept, dropped
