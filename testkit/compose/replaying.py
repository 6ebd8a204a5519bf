"""A stream of the test's own through the stack: replayed, and its windows counted again plainly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from testkit.compose.engine import ComposeTestFailed, wait_while
from testkit.compose.stack import Stack

POSTS: Final = 8_000
_RATE_POSTS_PER_S: Final = 50.0
_PATIENCE_S: Final = 600.0
_INSIDE: Final = "/replay"
_LATE_S: Final = 60.0
_TEXTS: Final = (
    "my flight is delayed again and nobody says why, for the {}th time",
    "what a lovely derby, match number {} this season",
    "tenemos que hacer algo con el alquiler, van {} subidas",
    "we should all write to the council about the strike on bus {}",
)
"""They match queries of `configs/queries.toml`, one each."""


def begin_replay(stack: Stack, folder: Path) -> None:
    """Put a file in place of the source that runs, at a pace that lasts while others are tried.

    Its posts begin a minute ago: the first come late into windows that closed, the rest in time.
    """
    place = folder / "replay"
    place.mkdir(mode=0o755)
    first = datetime.now(UTC) - timedelta(seconds=_LATE_S)
    with (place / "posts.jsonl").open("w", encoding="utf-8") as file:
        for number in range(POSTS):
            at = first + timedelta(seconds=number / _RATE_POSTS_PER_S)
            row = {"id": f"r{number}", "author": f"writer{number % 397}", "lang": "en",
                   "created_at": at.isoformat(),
                   "text": _TEXTS[number % len(_TEXTS)].format(number)}  # fmt: skip
            file.write(f"{json.dumps(row)}\n")
    (place / "options.toml").write_text(
        f'path = "{_INSIDE}/posts.jsonl"\nrate_posts_per_s = {_RATE_POSTS_PER_S}\n'
    )
    for path in place.iterdir():
        path.chmod(0o444)
    stack.environment |= {
        "GROUNDSWELL_SOURCE": "replay",
        "GROUNDSWELL_SOURCE_OPTIONS": f"{_INSIDE}/options.toml",
        "GROUNDSWELL_INGEST_RESTART": "on-failure",
    }
    stack.lay_over(folder / "replay.yml",
                   f"services:\n  ingest:\n    volumes: ['{place}:{_INSIDE}:ro']\n")  # fmt: skip
    stack("up", "--detach", "--no-deps", "ingest")


def end_replay(stack: Stack) -> None:
    """Wait until the file has been read to its end.

    Raises:
        ComposeTestFailed: Ingest does not end, or ends with an error.
    """

    def lacking() -> str:
        status = stack.container("ingest")["State"]["Status"]
        return "" if status == "exited" else f"the replay has no end: ingest is {status}"

    wait_while(lacking, _PATIENCE_S, every_s=1)
    if code := stack.container("ingest")["State"]["ExitCode"]:
        raise ComposeTestFailed(f"the replay ended with status {code}")


def recount(stack: Stack, root: Path) -> dict[str, float]:
    """Return the figures of the plain program, run in the stack's network.

    Raises:
        ComposeTestFailed: With everything that does not add up.
    """
    said = stack("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python",
                 "--volume", f"{root}/testkit:/app/testkit:ro", "closer",
                 "-m", "testkit.compose.recount", "replay", str(POSTS))  # fmt: skip
    answer = json.loads(said)
    if answer["faults"]:
        raise ComposeTestFailed("\n".join([*answer["faults"], str(answer["figures"])]))
    return answer["figures"]
