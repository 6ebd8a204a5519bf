"""Write replies of persons of whom something is known: to learn from, to stop by, to judge.

    python -m evaluation.crowds.persona_replies --data ../shared/data --out persons.jsonl

Of a person is known what stood at the time of the reply: what they say of themselves, and their
last posts under *other* threads, so that nothing of the event itself is told. RumourEval keeps its
official split; of Bluesky the last fifth in time is judged, the tenth before it validates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.errors import ConfigError
from evaluation.encoder.__main__ import refusing
from evaluation.options import DataFolder
from evaluation.responses.threads import COPIED_CHARACTERS, FOLDER, lines_of, normalised, rows_of
from models.socialalign.persona_reply import (
    JUDGE,
    LEARN,
    PARTS,
    VALIDATE,
    Part,
    PersonReply,
    write_person_replies,
)

HISTORY: Final = 3
"""So many of a person's last posts are told."""
_PARTS: Final[Mapping[str, Part]] = {"train": LEARN, "dev": VALIDATE, "test": JUDGE}
_VALIDATED_FROM: Final = 0.7
_JUDGED_FROM: Final = 0.8


@dataclass(frozen=True, slots=True)
class Said:
    """One post of one person.

    Attributes:
        author: Who wrote it, as the set names them.
        about: What they say of themselves; empty where it is not known.
        at: The time, as text that sorts.
        thread: The thread it stands in.
        topic: What that is about.
        text: What it says.
        post: The text that it replies to; empty where it is no reply.
        part: The official part; None where the set has none.
    """

    author: str
    about: str
    at: str
    thread: str
    topic: str
    text: str
    post: str
    part: Part | None


def _rumoureval(folder: Path) -> Iterator[Said]:
    rows = list(rows_of(folder / "posts.csv.gz"))
    texts = {row["id"]: row["text"] for row in rows}
    for row in rows:
        post = "" if row["is_source"] == "1" else texts.get(row["parent_id"], "")
        author = f"{row['platform']} {row['author']}" if row["author"] else ""
        yield Said(
            author, row["author_bio"], row["created_at"], row["thread"], row["event"],
            row["text"], post, _PARTS[row["split"]],
        )  # fmt: skip


def _bluesky(folder: Path) -> Iterator[Said]:
    for number, row in enumerate(lines_of(folder / "threads.jsonl.gz")):
        parent = row.get("parent") or {"text": ""}
        # A parent that several posts reply to makes them one thread.
        thread = parent["text"] or f"thread {number}"
        if parent["text"]:
            yield _skeet(parent, thread, "")
        yield _skeet(row, thread, parent["text"])
        for reply in row["replies"]:
            yield _skeet(reply, thread, row["text"])


def _skeet(row: Mapping[str, Any], thread: str, post: str) -> Said:
    author, at, text = (row[name] for name in ("author", "created_at", "text"))
    if not all(isinstance(one, str) for one in (author, at, text, post)):
        raise TypeError("expected author, created_at and text as texts")
    return Said(author, "", at, thread, "bluesky", text, post, None)


_SETS: Final = {"rumoureval": _rumoureval, "bluesky": _bluesky}


def persona_replies(source: str, posts: Sequence[Said]) -> list[PersonReply]:
    """Return replies of which the author is known, the earliest first.

    Args:
        source: The name of the set.
        posts: All posts of the set, in any order; the same one may come twice.
    """
    earlier: dict[str, list[Said]] = {}
    found: list[tuple[Said, str]] = []
    for said in sorted(set(posts), key=lambda one: (one.at, one.text)):
        if not said.author or not said.text.strip():
            continue
        before = earlier.setdefault(said.author, [])
        person = told(said, before)
        if said.post.strip() and person:
            found.append((said, person))
        before.append(said)
    times = sorted(said.at for said, _person in found)
    return [
        PersonReply(
            said.part or _part_by_time(said.at, times),
            source,
            said.topic,
            person,
            said.post,
            said.text,
        )
        for said, person in found
    ]


def told(said: Said, before: Sequence[Said]) -> str:
    """Return what was known of the author of a post before it, the last first; may be empty."""
    last = [
        one.text for one in reversed(before) if one.thread != said.thread and one.at < said.at
    ]  # fmt: skip
    parts = [said.about, *last[:HISTORY]]
    return " | ".join(" ".join(part.split()) for part in parts if part.strip())


def _part_by_time(at: str, times: Sequence[str]) -> Part:
    if at >= times[int(len(times) * _JUDGED_FROM)]:
        return JUDGE
    return VALIDATE if at >= times[int(len(times) * _VALIDATED_FROM)] else LEARN


def apart(replies: Sequence[PersonReply]) -> list[PersonReply]:
    """Leave out of what is learnt from every reply that is judged word for word."""
    judged = {normalised(one.reply) for one in replies if one.part == JUDGE}
    return [
        one
        for one in replies
        if one.part == JUDGE
        or len(normalised(one.reply)) < COPIED_CHARACTERS
        or normalised(one.reply) not in judged
    ]


def load_persona_replies(data: Path) -> list[PersonReply]:
    """Return the replies of all sets.

    Raises:
        ConfigError: A set is not there, or is not what it should be.
    """
    found: list[PersonReply] = []
    for name, read in _SETS.items():
        folder = data / f"{FOLDER}{name}"
        try:
            found += persona_replies(name, list(read(folder)))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{folder}: {type(error).__name__}: {error}") from error
    return apart(found)


def main(data: DataFolder, out: Annotated[Path, typer.Option(help="The file to write.")]) -> None:
    """Write a JSON object for each reply."""
    with refusing():
        replies = load_persona_replies(data)
    write_person_replies(out, replies)
    parts = [one.part for one in replies]
    counts = ", ".join(f"{parts.count(part)} to {part}" for part in PARTS)
    typer.echo(f"{out}: {counts}")


if __name__ == "__main__":
    typer.run(main)
