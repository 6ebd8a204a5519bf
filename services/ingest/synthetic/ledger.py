"""Files beside a synthetic run: what was intended, and what Kafka has, for an oracle to count."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import IO, Final

import msgspec

from core.errors import ConfigError
from services.ingest.sources.base import Cursor
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.schedule import Schedule
from services.ingest.synthetic.utterances import IgnitedPost, Utterance

IGNITION: Final = "ignition"
TRUTH_MAX_S = 86_400
"""An unbounded run has its first day in the truth file."""


class Ledger:
    """One JSON list per acknowledged item: kind, id, author, key, number, detail, topic, sentiment.

    A line is written once Kafka has the item, and before the cursor that covers it is stored. After
    a crash lines may come twice, never not at all: a reader keeps one of each number.

    The line of a post that takes off is followed by one of the kind `ignition`, which is no item:
    its number is negative, its detail how far the post goes (`IgnitedPost`).

    Args:
        path: The file.
        is_fresh: Start an empty file, else go on.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(self, path: Path, is_fresh: bool) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("wb" if is_fresh else "ab")
        except OSError as error:
            raise ConfigError(f"synthetic: ledger {path} cannot be written: {error}") from error
        self._unacknowledged: deque[tuple[Cursor, Utterance]] = deque()

    def add(self, cursor: Cursor, utterance: Utterance) -> None:
        """Remember an item that leaves now."""
        self._unacknowledged.append((cursor, utterance))

    def acknowledged(self, cursor: Cursor) -> None:
        """Write the lines of all items up to `cursor`, and hand them to the system."""
        held = self._unacknowledged
        if not any(own == cursor for own, _ in held):
            return
        lines: list[bytes] = []
        while held:
            own, utterance = held.popleft()
            lines.append(ledger_line(utterance))
            if utterance.ignited is not None:
                lines.append(_ignition_line(utterance, utterance.ignited))
            if own == cursor:
                break
        self._file.write(b"".join(lines))
        self._file.flush()

    def close(self) -> None:
        """Close the file; items that were not acknowledged are not in it."""
        self._file.close()


def ledger_line(utterance: Utterance) -> bytes:
    """Return the line of one item."""
    record = utterance.record
    post_id = getattr(record, "post_id", None) or getattr(record, "id", "")
    line = (
        utterance.kind,
        post_id,
        record.author,
        record.author,
        utterance.number,
        utterance.detail,
        utterance.topic,
        utterance.sentiment,
    )
    return msgspec.json.encode(line) + b"\n"


def _ignition_line(utterance: Utterance, ignited: IgnitedPost) -> bytes:
    """Return the line that follows that of a post which takes off; its number is no item's."""
    number = -utterance.number
    line = (
        IGNITION, ignited.post_id, ignited.author, ignited.author, number,
        ignited, utterance.topic, utterance.sentiment,
    )  # fmt: skip
    return msgspec.json.encode(line) + b"\n"


def read_ignitions(path: Path) -> list[IgnitedPost]:
    """Return the posts of a ledger that take off, each once, in the order in which Kafka has them.

    Raises:
        OSError: The file cannot be read.
    """
    found: dict[str, IgnitedPost] = {}
    for line in path.read_bytes().splitlines():
        if line.startswith(b'["ignition"'):
            try:
                ignited = msgspec.convert(msgspec.json.decode(line)[5], IgnitedPost)
            except (msgspec.MsgspecError, IndexError):  # torn by a crash: it comes again
                continue
            found.setdefault(ignited.post_id, ignited)
    return list(found.values())


def write_truth(path: Path, options: SyntheticOptions, schedule: Schedule) -> None:
    """Write the start, the shifts and the intended opinion per minute and topic.

    Raises:
        ConfigError: The file cannot be written.
    """
    covers_s = options.duration_s or 1.5 * options.posts / options.posts_per_s or TRUTH_MAX_S
    covers_s = min(covers_s, TRUTH_MAX_S)
    tree = {
        "start": schedule.start.isoformat(),
        "seed": options.seed,
        "covers_s": covers_s,
        "shifts": msgspec.to_builtins(options.shifts),
        "ignitions": msgspec.to_builtins(options.ignitions),
        "minutes": list(schedule.minutes(covers_s)),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(tree)) + b"\n")
    except OSError as error:
        raise ConfigError(f"synthetic: truth {path} cannot be written: {error}") from error
