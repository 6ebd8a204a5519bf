"""Made-up posts with replies: all say the same function words, each post has things of its own."""

import gzip
import json
import random
from pathlib import Path

from evaluation.responses.threads import Thread

FUNCTION_WORDS = ("the", "of", "and", "to", "is", "that")
THINGS = tuple(
    f"{start}{end}" for start in "bdfgklmnprstvz" for end in ("aro", "eni", "iso", "olu")
)


def made_up(posts: int, seed: int = 3, replies: int = 5, order: str = "test") -> list[Thread]:
    """Return threads whose replies share all function words, and two things of their post."""
    rng = random.Random(seed)
    found = []
    for number in range(posts):
        things = rng.sample(THINGS, 6)
        post = f"post {number} says at length what came of {' '.join(things)} in the end"
        said = []
        for _ in range(replies):
            words = [*FUNCTION_WORDS, *rng.sample(things, 2), rng.choice(THINGS)]
            rng.shuffle(words)
            said.append(" ".join(words))
        found.append(Thread(post, tuple(said), order))
    return found


def write_popalm(data: Path, threads: list[Thread]) -> None:
    """Write threads as a set in the folder of data."""
    folder = data / "responses_popalm"
    folder.mkdir(parents=True)
    with gzip.open(folder / "posts.jsonl.gz", "wt", encoding="utf-8") as file:
        for thread in threads:
            row = {"split": thread.order, "post": thread.post, "replies": thread.replies}
            file.write(json.dumps(row) + "\n")
