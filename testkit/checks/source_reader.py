"""Reads a network source in a test as the runner does, with an acknowledgement after each poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from core.clock import Clock, SystemClock
from core.metrics import Metrics
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.options import load_options
from services.ingest.sources import SOURCES
from services.ingest.sources.base import (
    Cursor,
    Gap,
    Source,
    SourceContext,
    SourceItem,
    Unmappable,
)

T = TypeVar("T")

FAST_LIMITS = {
    "backoff_first_s": 0.02,
    "backoff_max_s": 0.1,
    "connect_timeout_s": 3.0,
    "idle_min_s": 1.0,
    "idle_initial_s": 3.0,
}
"""Limits of a source whose platform is on this machine."""


class SourceReader:
    """Keeps what a source delivers.

    Args:
        name: of the source.
        options: of it; `limits` are laid over `FAST_LIMITS`.
        directory: its state.
        secret: of the source.
        acknowledges: False keeps back what the runner would say.
        clock: What the time is; the machine's unless given.
        author_key: Of the author hashes; "" leaves authors plain.

    Attributes:
        items: all that was delivered so far.
        cursor: after the last of them.
    """

    def __init__(
        self,
        name: str,
        options: dict[str, Any],
        directory: Path,
        *,
        secret: str = "",
        acknowledges: bool = True,
        clock: Clock | None = None,
        author_key: str = "",
    ) -> None:
        kind: type[Source] = SOURCES.get(name)
        limits = FAST_LIMITS | options.get("limits", {})
        self.metrics = Metrics(role="ingest")
        context = SourceContext(
            directory,
            Secret(author_key),
            clock or SystemClock(),
            metrics=self.metrics,
            secret=Secret(secret),
        )
        self.source = kind(load_options(kind.Options, None, options | {"limits": limits}), context)
        self.items: list[SourceItem] = []
        self.cursor: Cursor | None = None
        self.acknowledges = acknowledges

    def open(self, cursor: Cursor | None = None) -> SourceReader:
        """Open the source at a cursor."""
        self.cursor = cursor
        self.source.open(cursor)
        return self

    def __enter__(self) -> SourceReader:
        """Leave the opening to `open`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the source."""
        self.source.close()

    def poll(self) -> None:
        """Take what is there."""
        found = self.source.poll(500, 0.02)
        self.items += found
        if found:
            self.cursor = found[-1].cursor
            if self.acknowledges:
                self.source.acknowledged(self.cursor)

    def until(self, claim: Callable[[], bool], deadline_s: float = 60.0) -> None:
        """Poll until `claim` is true.

        Raises:
            TimeoutError: it did not come true.
        """
        give_up_s = time.monotonic() + deadline_s
        while not claim():
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"not in time; the last of {len(self.items)}: {self.items[-3:]}")
            self.poll()

    def until_posts(self, count: int) -> list[Post]:
        """Poll until there are so many posts, and return all."""
        self.until(lambda: len(self.posts) >= count)
        return self.posts

    def _of(self, kind: type[T]) -> list[T]:
        return [item.record for item in self.items if isinstance(item.record, kind)]

    @property
    def posts(self) -> list[Post]:
        """Posts delivered so far."""
        return self._of(Post)

    @property
    def events(self) -> list[PostEvent]:
        """Events delivered so far."""
        return self._of(PostEvent)

    @property
    def gaps(self) -> list[Gap]:
        """Gaps so far."""
        return self._of(Gap)

    @property
    def unmappable(self) -> list[Unmappable]:
        """What could not become a record."""
        return self._of(Unmappable)

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric of the source, 0 if it was never set."""
        found = self.metrics.registry.get_sample_value(
            f"groundswell_{name}", {"source": self.source.name, **labels}
        )
        return found or 0.0
