"""Write what a decoder may learn from: the training parts of sets, without what is judged.

python -m evaluation.responses.training_threads --data ../shared/data --out threads.jsonl
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from evaluation.encoder.__main__ import refusing
from evaluation.options import DataFolder
from evaluation.responses.threads import (
    COPIED_CHARACTERS,
    Thread,
    ThreadSet,
    load_threads,
    normalised,
)

ENGLISH: Final = "reddit_pairs,bluesky"


def apart(sets: list[ThreadSet]) -> list[Thread]:
    """Return the training threads of all sets in order of time, without text that any set judges.

    Each set is apart from its own test already; a text may stand in two sets.
    """
    judged = {
        normalised(text)
        for one in sets
        for thread in one.test
        for text in (thread.post, *thread.replies)
        if len(normalised(text)) >= COPIED_CHARACTERS
    }
    threads = sorted((thread for one in sets for thread in one.train), key=lambda one: one.order)
    kept: list[Thread] = []
    for thread in threads:
        replies = tuple(text for text in thread.replies if normalised(text) not in judged)
        if replies and thread.post.strip() and normalised(thread.post) not in judged:
            kept.append(Thread(thread.post, replies, thread.order))
    return kept


def main(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    sets: Annotated[str, typer.Option(help="Comma-separated.")] = ENGLISH,
) -> None:
    """Write a JSON object for each thread to learn from, the oldest first."""
    with refusing():
        threads = apart([load_threads(data, name) for name in sets.split(",")])
    lines = (json.dumps({"post": one.post, "replies": list(one.replies)}) for one in threads)
    out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    typer.echo(f"{out}: {len(threads)} threads to learn from")


if __name__ == "__main__":
    typer.run(main)
