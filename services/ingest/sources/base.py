"""What a source is: it is opened at a cursor, polled for items, told what Kafka has, and closed.

Polled, not run: one thread takes items, collects acknowledgements and stores the cursor, so a
source needs no thread, no queue and no stop flag of its own, and is slowed by not being polled.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

from core.clock import Clock, SystemClock
from core.metrics import Metrics
from core.schemas import Post, PostEvent
from core.settings import Secret
from services.ingest.sources.options import Manifest

Cursor: TypeAlias = Any
"""Where a source goes on: anything JSON can carry, understood by that source only."""

Options = TypeVar("Options", bound=Struct)


class RawRecord(Struct, frozen=True, gc=False):
    """Bytes that go to a topic as they are, good or bad; the worker judges them."""

    value: bytes
    author: str
    topic: Literal["posts", "post-events"] = "posts"
    well_formed: bool = False
    """True if they decode to a record of that topic."""


class Unmappable(Struct, frozen=True, gc=False):
    """Something of the platform that could not become a post; `detail` never has its text."""

    raw: bytes
    detail: str


class Ignored(Struct, frozen=True, gc=False):
    """Something that is none of ours, such as a follow: it only moves the cursor."""


class Gap(Struct, frozen=True, gc=False):
    """Items that were there and that the source can no longer get; counted, never passed over.

    Attributes:
        cause: A word from a small closed set, used as a metric label.
        lost_s: How much of the stream's time is missing; 0 if unknown.
        items: How many items, if the source can tell.
    """

    cause: str
    lost_s: float = 0.0
    items: int = 0


class SourceItem(Struct, frozen=True, gc=False):
    """One thing that a source delivers.

    Attributes:
        record: What it is.
        cursor: From here the source goes on *after* this item. The very object of the item before
            says that this one does not move it: after a crash it comes again, and is counted then.
        duplicate: The source knows that it delivered the same post before.
        due_s: For paced sources: seconds after the start of the run when it is to leave.
    """

    record: Post | PostEvent | RawRecord | Unmappable | Ignored | Gap
    cursor: Cursor
    duplicate: bool = False
    due_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What every source is given besides its options.

    Attributes:
        state_dir: Where it may write files of its own.
        author_key: The key of the author hashes; empty means that authors stay as they are.
        clock: Tells the time.
        wait: Blocks for so many seconds.
        metrics: The metrics of this process.
        secret: The source's own token or key, from `ingest.source_secret`.
    """

    state_dir: Path
    author_key: Secret = field(default_factory=Secret)
    clock: Clock = field(default_factory=SystemClock)
    wait: Callable[[float], None] = time.sleep
    metrics: Metrics = field(default_factory=lambda: Metrics(role="ingest"))
    secret: Secret = field(default_factory=Secret)


class Source(ABC, Generic[Options]):
    """Where posts come from.

    Life: `open` once, then `poll` until `exhausted` or the process is told to stop, `acknowledged`
    in between, `close` once. All calls come from one thread.

    A subclass has a frozen Struct of options (units in the names) as `Options`.
    """

    name: ClassVar[str]
    """Its registered name, and `Post.source`."""
    can_wait: ClassVar[bool] = True
    """False if what is not taken now is gone: then a full buffer makes a counted gap."""
    is_live: ClassVar[bool] = True
    """False for what is recorded or made up. Of people who speak now no author goes out unhidden:
    without `ingest.author_key` such a source does not start."""
    Options: ClassVar[type[Struct]]
    manifest: ClassVar[Manifest] = Manifest(name="", title="")
    """What is said of a source of a network, in its folder; of others their docstring says it."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.options = options
        self.context = context

    def check_input(self) -> None:
        """Refuse input that cannot be read, before a stack is started for it; connects to nothing.

        Raises:
            ConfigError: the options name something that cannot be read.
        """

    @abstractmethod
    def open(self, cursor: Cursor | None) -> None:
        """Make ready to deliver what comes after `cursor`; None means from the beginning.

        Raises:
            ConfigError: the options name something that cannot be read.
        """

    @abstractmethod
    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return up to `max_items`, waiting at most `timeout_s` for the first one.

        Bad input is returned as `Unmappable`, never raised. Empty means nothing in time, or the
        end: see `exhausted`.

        Raises:
            TransientError: the platform is away; polled again later.
        """

    @property
    @abstractmethod
    def exhausted(self) -> bool:
        """True when nothing will ever come again; always False for a live source."""

    def acknowledged(self, cursor: Cursor) -> None:
        """Called before `cursor` is stored: everything up to it is safe in Kafka."""
        return

    def recalls(self, cursor: Cursor) -> bool:
        """Tell, before `open`, whether the last `acknowledged` was for `cursor` and was finished.

        Asked after a crash in that moment. A source that keeps nothing then has nothing to lose;
        one that keeps something answers for itself, or everything since its last cursor comes
        again.
        """
        return type(self).acknowledged is Source.acknowledged

    def close(self) -> None:
        """Release what `open` took; must return within a second."""
        return

    def fingerprint(self) -> str:
        """Return text that changes when a stored cursor would mean something else."""
        return ""


class PacedSource(Source[Options]):
    """A source that can make its items at any time and hands each out when it is due.

    A subclass writes `items`; `paced` False means as fast as they are taken.
    """

    paced: bool = False

    def __init__(self, options: Options, context: SourceContext) -> None:
        super().__init__(options, context)
        self._items: Iterator[SourceItem] = iter(())
        self._held: SourceItem | None = None
        self._started_s: float | None = None
        self._exhausted = False

    @abstractmethod
    def items(self, cursor: Cursor | None) -> Iterator[SourceItem]:
        """Yield what comes after `cursor`, in the order in which it is to leave."""

    def open(self, cursor: Cursor | None) -> None:
        """Start the generator; the run starts with the first `poll`."""
        self._items = self.items(cursor)
        self._held = None
        self._started_s = None
        self._exhausted = False

    @property
    def exhausted(self) -> bool:
        """True when the generator has ended."""
        return self._exhausted

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        """Return what is due; see `Source.poll`."""
        if not self.paced:
            found = list(islice(self._items, max_items))
            self._exhausted = len(found) < max_items
            return found
        return self._poll_due(max_items, timeout_s)

    def _poll_due(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        now = self.context.clock.monotonic
        if self._started_s is None:
            self._started_s = now()
        give_up_s = now() + timeout_s
        found: list[SourceItem] = []
        while len(found) < max_items:
            if self._held is None:
                self._held = next(self._items, None)
            if self._held is None:
                self._exhausted = True
                break
            early_s = self._started_s + self._held.due_s - now()
            if early_s <= 0:
                found.append(self._held)
                self._held = None
                continue
            left_s = give_up_s - now()
            if found or left_s <= 0:
                break
            self.context.wait(min(early_s, left_s))
        return found
