"""Streams of the test's own through the stack: a day with a shift, and a file in real time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from testkit.compose.console import Console
from testkit.compose.failures import ComposeTestFailed, wait_while
from testkit.compose.pages import wait_for_alert
from testkit.compose.stack import Stack

_RATE_POSTS_PER_S: Final = 50.0
_LIVE_POSTS: Final = 8_000
_QUIET_MINUTES, _LOUD_MINUTES = 1_500, 10
_USUAL_POSTS, _MANY_POSTS = 2, 40
POSTS: Final = _QUIET_MINUTES * _USUAL_POSTS + _LOUD_MINUTES * _MANY_POSTS + _LIVE_POSTS
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


def prepare_day(stack: Stack, folder: Path) -> None:
    """Put a day of little talk with ten loud minutes at its end in place of the source.

    It is longer than a query must be known before it is judged (`shifts.warmup_s`), and no setting
    is another one for it.
    """
    minutes = [_USUAL_POSTS] * _QUIET_MINUTES + [_MANY_POSTS] * _LOUD_MINUTES
    first = datetime.now(UTC) - timedelta(minutes=len(minutes) + 2)
    times = (first + timedelta(minutes=minute, seconds=60 * number / posts)
             for minute, posts in enumerate(minutes) for number in range(posts))  # fmt: skip
    _lay(stack, folder, "day", times, "")


def check_shift(console: Console) -> None:
    """Wait until the loud minutes are an alert at Alertmanager, and go where its link leads.

    Raises:
        ComposeTestFailed: There is none, or it does not lead to its page in the console.
    """
    alert = wait_for_alert("GroundswellShift", query="all", kind="volume", direction="up")
    link = alert["annotations"].get("link", "")
    console.check_alert(link, "all")


def begin_replay(stack: Stack, folder: Path) -> None:
    """Put a file in place of the source that runs, at a pace that lasts while others are tried.

    Its posts begin a minute ago: the first come late into windows that closed, the rest in time.
    """
    first = datetime.now(UTC) - timedelta(seconds=_LATE_S)
    times = (first + timedelta(seconds=number / _RATE_POSTS_PER_S)
             for number in range(_LIVE_POSTS))  # fmt: skip
    _lay(stack, folder, "live", times, f"rate_posts_per_s = {_RATE_POSTS_PER_S}\n")
    stack("up", "--detach", "--no-deps", "ingest")


def _lay(stack: Stack, folder: Path, name: str, times: Iterable[datetime], pace: str) -> None:
    """Write posts of these times to a file, and have ingest replay it when it is brought up."""
    place = folder / name
    place.mkdir(mode=0o755)
    with (place / "posts.jsonl").open("w", encoding="utf-8") as file:
        for number, at in enumerate(times):
            row = {"id": f"{name}{number}", "author": f"writer{number % 397}", "lang": "en",
                   "created_at": at.isoformat(),
                   "text": _TEXTS[number % len(_TEXTS)].format(number)}  # fmt: skip
            file.write(f"{json.dumps(row)}\n")
    (place / "options.toml").write_text(f'path = "{_INSIDE}/posts.jsonl"\n{pace}')
    for path in place.iterdir():
        path.chmod(0o444)
    stack.environment |= {
        "GROUNDSWELL_SOURCE": "replay",
        "GROUNDSWELL_SOURCE_OPTIONS": f"{_INSIDE}/options.toml",
        "GROUNDSWELL_INGEST_RESTART": "on-failure",
    }
    # A cursor is of one file: another one is refused over it.
    stack.lay_over(
        folder / f"{name}.yml",
        f"""services:
  ingest:
    environment: {{ GROUNDSWELL__INGEST__CURSOR_DIR: "/var/lib/groundswell/ingest/{name}" }}
    volumes: ['{place}:{_INSIDE}:ro']
""",
    )


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


def recount(stack: Stack, root: Path) -> dict[str, Any]:
    """Return figures and windows of the plain program, run in the stack's network.

    Raises:
        ComposeTestFailed: With everything that does not add up.
    """
    said = stack("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python",
                 "--volume", f"{root}/testkit:/app/testkit:ro", "closer",
                 "-m", "testkit.compose.recount", "replay", str(POSTS))  # fmt: skip
    answer = json.loads(said)
    if answer["faults"]:
        raise ComposeTestFailed("\n".join([*answer["faults"], str(answer["figures"])]))
    return answer
