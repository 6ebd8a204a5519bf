"""A few of the items that could not become posts, as files for a person to look at.

All of them are in `dead-posts`; these are the newest of each kind, where a format that changed is
seen without a Kafka tool (`groundswell dead-posts samples`). They are somebody's words: bounded in
number and size, encrypted as in `dead-posts`, and deleted when they are a week old.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec

from core.clock import Clock
from core.logs import get_logger
from core.sealing import PLAIN, Sealer

MAX_SAMPLES: Final = 50
MAX_BYTES: Final = 16_384
MAX_AGE_S: Final = 7 * 86_400.0
EVERY_S: Final = 60.0
"""Of one kind of fault a sample is taken once a minute at most."""
MAX_KINDS: Final = 1_000
EXPIRE_EVERY_S: Final = 60.0
_OWNER_ONLY: Final = 0o600


class Sample(msgspec.Struct, frozen=True):
    """One file: what was wrong, and the first 16 KiB of the item (base64).

    `sealed_by` is the id of the author key that they are encrypted under; "" if they are plain.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    detail: str
    size: int
    payload: bytes
    sealed_by: str = ""


class SampleStore:
    """Keeps samples in `<source>.samples/`; used by one thread.

    Args:
        directory: The directory that the folder is in; made with the first sample.
        source: The registered name of the source.
        clock: Tells what time it is.
        sealer: Encrypts the items; without one they stay plain, as authors do.
    """

    def __init__(self, directory: Path, source: str, clock: Clock, sealer: Sealer = PLAIN) -> None:
        self._directory = directory
        self._folder = directory / f"{source}.samples"
        self._clock = clock
        self._sealer = sealer
        self._next_expiry_s = clock.monotonic()
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
        payload = self._sealer.seal(raw[:MAX_BYTES])
        sample = Sample(self._clock.now(), detail, len(raw), payload, self._sealer.key_id)
        try:
            self._write(sample)
        except OSError as error:
            get_logger(__name__).warning("a sample was not kept", error=str(error))
            return False
        return True

    def samples(self) -> list[Sample]:
        """Return what is kept, newest first; files that are none are left out."""
        found = [sample for path in self._files() if (sample := _read(path)) is not None]
        return sorted(found, key=lambda sample: sample.at, reverse=True)

    def expire_when_due(self) -> None:
        """Delete samples over a week old, once a minute at most; called while the source runs.

        Those of every source, since one that is not used any more would keep its own for ever. So
        are plain ones, left from before there was a key, and files that are no samples: nobody can
        say how old those are.
        """
        if self._clock.monotonic() < self._next_expiry_s:
            return
        self._next_expiry_s = self._clock.monotonic() + EXPIRE_EVERY_S
        oldest = self._clock.now() - timedelta(seconds=MAX_AGE_S)
        faults: list[str] = []
        for path in self._directory.glob("*.samples/*"):
            sample = _read(path)
            is_bare = sample is not None and bool(self._sealer.key_id) and not sample.sealed_by
            if sample is None or sample.at < oldest or is_bare:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:  # one that stays keeps no other
                    faults.append(str(error))
        if faults:
            get_logger(__name__).warning(
                "old samples were not deleted", number=len(faults), error=faults[0]
            )

    def _write(self, sample: Sample) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._place is None:
            self._place = self._first_place()
        path = self._folder / f"{self._place:03d}.json"
        scratch = path.with_suffix(".tmp")  # never half a sample beside whoever deletes old ones
        scratch.touch(_OWNER_ONLY)
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(sample)))
        scratch.replace(path)
        self._place = (self._place + 1) % MAX_SAMPLES

    def _first_place(self) -> int:
        """Return the place after the newest file."""
        found = [
            (sample.at, int(path.stem))
            for path in self._files()
            if path.stem.isdecimal() and (sample := _read(path)) is not None
        ]
        return (max(found)[1] + 1) % MAX_SAMPLES if found else 0

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))


def _read(path: Path) -> Sample | None:
    """Return the sample in a file; None if it holds none, or is gone by now."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sample)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
