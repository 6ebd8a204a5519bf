"""A few of the items that could not become posts, as files for a person to look at.

All of them are in `dead-posts`; these are the newest of each kind, where a format that changed is
seen without a Kafka tool. Bounded in number, size and age, because they are somebody's words.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from core.clock import Clock
from core.logs import get_logger

MAX_SAMPLES: Final = 50
MAX_BYTES: Final = 16_384
MAX_AGE_S: Final = 7 * 86_400.0
EVERY_S: Final = 60.0
"""Of one kind of fault a sample is taken once a minute at most."""
MAX_KINDS: Final = 1_000


class Sample(msgspec.Struct, frozen=True):
    """One file: what was wrong, and the first 16 KiB of the item (base64)."""

    at: datetime
    detail: str
    size: int
    payload: bytes


class SampleStore:
    """Keeps samples in `<source>.samples/`; used by one thread.

    Args:
        directory: where the folder is; made with the first sample.
        source: registered name.
        clock: what time it is.
    """

    def __init__(self, directory: Path, source: str, clock: Clock) -> None:
        self._folder = directory / f"{source}.samples"
        self._clock = clock
        self._taken_s: dict[str, float] = {}
        self._place: int | None = None

    def keep(self, raw: bytes, detail: str) -> bool:
        """Keep an item unless one of its kind was kept a moment ago; True if it was.

        A disk that is full or refuses is logged and costs a sample, not the stream.
        """
        now_s = self._clock.monotonic()
        if now_s - self._taken_s.get(detail, -EVERY_S) < EVERY_S:
            return False
        if len(self._taken_s) >= MAX_KINDS:
            self._taken_s.clear()
        self._taken_s[detail] = now_s
        sample = Sample(self._clock.now(), detail, len(raw), raw[:MAX_BYTES])
        try:
            self._write(sample)
        except OSError as error:
            get_logger(__name__).warning("a sample was not kept", error=str(error))
            return False
        return True

    def samples(self) -> list[Sample]:
        """Return what is kept, newest first; files that are none are left out."""
        found: list[Sample] = []
        for path in self._files():
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Sample))
            except (OSError, msgspec.MsgspecError):
                continue
        return sorted(found, key=lambda sample: sample.at, reverse=True)

    def _write(self, sample: Sample) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._place is None:
            self._place = self._first_place()
        content = msgspec.json.format(msgspec.json.encode(sample))
        (self._folder / f"{self._place:03d}.json").write_bytes(content)
        self._place = (self._place + 1) % MAX_SAMPLES

    def _first_place(self) -> int:
        """Forget what is too old; return the place after the newest file."""
        newest: tuple[float, int] = (0.0, -1)
        oldest_s = self._clock.now().timestamp() - MAX_AGE_S
        for path in self._files():
            written_s = path.stat().st_mtime
            if written_s < oldest_s:
                path.unlink(missing_ok=True)
            elif path.stem.isdecimal():
                newest = max(newest, (written_s, int(path.stem)))
        return (newest[1] + 1) % MAX_SAMPLES

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))
