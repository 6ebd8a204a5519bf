"""Follows the topic `windows` in a thread and remembers what the live view shows of it."""

import threading
from collections import deque
from collections.abc import Callable, Iterator

from core.codec import RecordDecoder
from core.errors import DecodeError, TransientError
from core.schemas import MICRO, Window
from services.local.snapshot import QueryLine, WindowLine

_HISTORY = 64
_RECENT = 200
_MOST_QUERIES = 500
_AGAIN_AFTER_S = 1.0


class WindowBook:
    """The windows seen so far, bounded: recent ones, and each query's last sentiments.

    Thread-safe: the feed writes, the view reads.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._mutex = threading.Lock()
        self._recent: dict[tuple[str, float], WindowLine] = {}
        self._histories: dict[str, dict[float, WindowLine]] = {}
        self.closed = 0
        self.corrections = 0

    def take(self, window: Window) -> None:
        """Remember a window; a correction replaces what it corrects, wherever it comes in."""
        line = line_of(window)
        key = (line.query, line.start_s)
        with self._mutex:
            known = self._recent.get(key)
            if known is not None and known.revision >= line.revision:
                return  # the closer repeats itself after a crash
            if line.revision:
                self.corrections += 1
            else:
                self.closed += 1
            self._recent.pop(key, None)
            self._recent[key] = line
            while len(self._recent) > _RECENT * max(1, len(self._histories)):
                del self._recent[next(iter(self._recent))]
            if line.query in self._histories or len(self._histories) < _MOST_QUERIES:
                history = self._histories.setdefault(line.query, {})
                history[line.start_s] = line
                if len(history) > _HISTORY:
                    del history[min(history)]

    def recent(self, count: int = 40) -> tuple[WindowLine, ...]:
        """Return the last windows published, the newest first, those of busy queries before."""
        with self._mutex:
            last = list(deque(self._recent.values(), maxlen=4 * count))
        last.sort(key=lambda line: (-line.start_s, -line.posts, line.query))
        return tuple(last[:count])

    def queries(self) -> tuple[QueryLine, ...]:
        """Return every query by its last window, the busiest first."""
        with self._mutex:
            histories = [
                [line for _start, line in sorted(history.items())]
                for history in self._histories.values()
            ]
        lines = [
            QueryLine(
                history[-1].query,
                history[-1].posts,
                history[-1].sentiment,
                tuple(line.sentiment for line in history),
            )
            for history in histories
        ]
        return tuple(sorted(lines, key=lambda line: (-line.posts, line.name)))


def line_of(window: Window) -> WindowLine:
    """Return what the view shows of a window."""
    rated = window.counters.get("rated", 0)
    total = window.counters.get("sentiment_sum", 0)
    return WindowLine(
        start_s=window.start.timestamp(),
        end_s=window.end.timestamp(),
        query=window.query,
        posts=window.counters.get("posts", 0),
        rated=rated,
        sentiment=total / rated / MICRO if rated else None,
        revision=window.revision,
    )


class WindowFeed:
    """Fills a `WindowBook` from the topic until closed; comes back when the broker was away."""

    def __init__(
        self,
        open_topic: Callable[[], Iterator[bytes]],
        book: WindowBook,
        again_after_s: float = _AGAIN_AFTER_S,
    ) -> None:
        """Start following at once.

        Args:
            open_topic: yields the values of the topic from its beginning and goes on for ever.
            book: where windows are remembered.
            again_after_s: how long to wait before a topic that failed is opened again.
        """
        self._open_topic = open_topic
        self._book = book
        self._again_after_s = again_after_s
        self._closing = threading.Event()
        self._decoder = RecordDecoder(Window)
        self._thread = threading.Thread(target=self._follow, name="window-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following; a read that waits for the broker is left to end with the process."""
        self._closing.set()
        self._thread.join(timeout=0.5)

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                for value in self._open_topic():
                    if self._closing.is_set():
                        return
                    if value:
                        self._take(value)
            except TransientError:
                self._closing.wait(self._again_after_s)

    def _take(self, value: bytes) -> None:
        try:
            self._book.take(self._decoder.decode(value))
        except DecodeError:
            return  # the closer of another version; the view shows what it can read
