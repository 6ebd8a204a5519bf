"""Recorded posts whose replies have likes, and pairs of replies made from them."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from core.errors import ConfigError
from models.popalm.pairs import (
    LikedReply,
    OffTopicPair,
    Pair,
    PairBuilder,
    normalised,
    off_topic_pairs,
)

SEED: Final = 16
PAIRS_PER_EVENT: Final = 200
"""Of an event with more pairs so many are drawn, so that no event is the whole training."""
_LEADING: Final = 2
"""Of ten replies in order, the first two are held against the last two."""

Thread = tuple[str, Sequence[str]]
"""A post and its replies, the best liked first where that is known."""


@dataclass(frozen=True, slots=True)
class LikedEvent:
    """A post with its replies, in order of time where times are known, else best liked first.

    Attributes:
        source: What set, or part of one, it comes from.
        post: The text of the post.
        replies: Its replies.
    """

    source: str
    post: str
    replies: tuple[LikedReply, ...]


@dataclass(frozen=True, slots=True)
class WeiboPairs:
    """What a file of preference pairs says once likes decide.

    Attributes:
        recorded: The pairs of the file that its likes confirm.
        rebuilt: All pairs that the likes of its replies give.
        off_topic: Own and foreign replies.
        refused: The number of recorded pairs that were refused, by reason.
    """

    recorded: Sequence[Pair]
    rebuilt: Sequence[Pair]
    off_topic: Sequence[OffTopicPair]
    refused: dict[str, int]


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzip'd file of JSON lines."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        yield from map(json.loads, opened)


def _rows_of(file: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        yield from csv.DictReader(opened)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def weibo_posts(data: Path) -> list[dict[str, Any]]:
    """Return the posts of `responses_popalm` with `split`, `post` and `replies`."""
    return _read(data / "responses_popalm" / "posts.jsonl.gz", lambda file: list(lines_of(file)))


def weibo_pairs(data: Path) -> WeiboPairs:
    """Return the pairs of `responses_popalm`, told apart by likes and by whose replies they are."""
    own: dict[str, set[str]] = {}
    said: set[str] = set()
    for row in weibo_posts(data):
        replies = set(map(normalised, row["replies"]))
        own.setdefault(normalised(row["post"]), set()).update(replies)
        said |= replies
    recorded, rebuilt = PairBuilder(), PairBuilder()
    likes: dict[str, dict[str, int]] = {}
    foreign: list[tuple[str, str, str]] = []
    file = data / "responses_popalm" / "preference_pairs_dev.jsonl.gz"
    for row in _read(file, lambda file: list(lines_of(file))):
        post, one, other = row["post"], row["preferred"], row["rejected"]
        if normalised(other) in said - own.get(normalised(post), set()):
            foreign.append((post, one, other))
            continue
        counts = row["preferred_likes"], row["rejected_likes"]
        recorded.add(post, LikedReply(one, counts[0]), LikedReply(other, counts[1]))
        likes.setdefault(post, {}).update({one: counts[0], other: counts[1]})
    for post, counted in likes.items():
        rebuilt.add_all(post, [LikedReply(text, count) for text, count in counted.items()])
    refused = {str(reason): count for reason, count in recorded.refused.items()}
    return WeiboPairs(recorded.pairs, rebuilt.pairs, off_topic_pairs(foreign), refused)


def _read(file: Path, read: Any) -> Any:
    try:
        return read(file)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error


def reddit_events(data: Path) -> list[LikedEvent]:
    """Return the posts of `responses_reddit_scores` with their comments in order of time."""

    def read(file: Path) -> list[LikedEvent]:
        found: dict[tuple[str, str], list[LikedReply]] = {}
        for row in _rows_of(file):
            reply = LikedReply(row["text"], int(row["score"]), _seconds(row["created_at"]))
            found.setdefault((row["source"], row["post"]), []).append(reply)
        return [_event(source, post, replies) for (source, post), replies in found.items()]

    return _read(data / "responses_reddit_scores" / "comments.csv.gz", read)


def rumour_events(data: Path) -> list[LikedEvent]:
    """Return the sources of `responses_rumoureval` with the replies of their threads."""

    def read(file: Path) -> list[LikedEvent]:
        posts: dict[str, str] = {}
        found: dict[str, list[LikedReply]] = {}
        for row in _rows_of(file):
            if row["is_source"] == "1":
                posts[row["thread"]] = row["text"]
            elif row["likes"]:
                reply = LikedReply(row["text"], int(row["likes"]), _seconds(row["created_at"]))
                found.setdefault(row["thread"], []).append(reply)
        return [_event("rumoureval", posts[key], own) for key, own in found.items() if key in posts]

    return _read(data / "responses_rumoureval" / "posts.csv.gz", read)


def _event(source: str, post: str, replies: list[LikedReply]) -> LikedEvent:
    ordered = sorted(replies, key=lambda reply: reply.at_s or 0.0)
    return LikedEvent(source, post, tuple(ordered))


def pairs_of(events: Sequence[LikedEvent]) -> list[Pair]:
    """Return pairs of near age, at most `PAIRS_PER_EVENT` of an event, drawn by `SEED`."""
    rng = random.Random(SEED)
    found: list[Pair] = []
    for event in events:
        builder = PairBuilder()
        builder.add_all(event.post, event.replies)
        few = len(builder.pairs) <= PAIRS_PER_EVENT
        found += builder.pairs if few else rng.sample(builder.pairs, PAIRS_PER_EVENT)
    return found


def ranked_pairs(data: Path) -> list[Pair]:
    """Return pairs of first and last replies of the Weibo posts of `train`, by their order alone.

    How many likes they have is not known, so every pair has the same margin.
    """
    judged = {normalised(row["post"]) for row in weibo_posts(data) if row["split"] != "train"}
    found: list[Pair] = []
    for row in weibo_posts(data):
        replies = row["replies"]
        if row["split"] != "train" or normalised(row["post"]) in judged:
            continue
        if len(replies) < 3 * _LEADING:
            continue
        for one in replies[:_LEADING]:
            for other in replies[-_LEADING:]:
                if normalised(one) != normalised(other):
                    found.append(Pair(row["post"], one, other, 1.0))
    return found


def read_threads(file: Path) -> list[Thread]:
    """Return the threads of `evaluation.responses.training_threads`; a blank reply is none.

    Raises:
        ConfigError: The file is not there, or not what it should be.
    """

    def read(file: Path) -> list[Thread]:
        rows = map(json.loads, file.read_text("utf-8").splitlines())
        cleaned = ((row["post"], [text for text in row["replies"] if text.strip()]) for row in rows)
        return [(str(post), replies) for post, replies in cleaned if replies]

    return _read(file, read)


def read_drawn(folder: Path) -> dict[str, list[str]]:
    """Return what decoders drew to posts, of all files of `models.popalm.training.answer`.

    Raises:
        ConfigError: There is none, or one is not what it should be.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for row in _read(file, lambda file: list(map(json.loads, file.read_text().splitlines()))):
            found.setdefault(row["post"], []).extend(map(str, row["answers"]))
    if not found:
        raise ConfigError(f"{folder} has no file SYSTEM.jsonl: models.popalm.training.answer")
    return found
