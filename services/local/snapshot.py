"""What the live view shows at one moment: plain values, filled by a collector, drawn by a view."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageFlow:
    """One stage that posts pass.

    Attributes:
        name: Ingest, scored, counted.
        posts_per_s: Over the last seconds.
        posts: Since the view began.
    """

    name: str
    posts_per_s: float
    posts: int


@dataclass(frozen=True, slots=True)
class QueryLine:
    """One query in its last closed windows.

    Attributes:
        name: Of the query.
        posts: In the last closed window.
        sentiment: Mean in [-1, 1] of its rated posts; None if none was rated.
        history: The same of earlier windows, oldest first, this one last.
    """

    name: str
    posts: int
    sentiment: float | None
    history: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class WindowLine:
    """One query in one window.

    Attributes:
        start_s, end_s: Half-open, seconds since 1970.
        query: Its query.
        posts, rated: Counts.
        sentiment: Mean in [-1, 1]; None if no post was rated.
        revision: 0 when first closed, more after corrections.
        is_open: More posts are expected; the counts are those so far.
    """

    start_s: float
    end_s: float
    query: str
    posts: int
    rated: int
    sentiment: float | None
    revision: int
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class PartLine:
    """One process of the stack.

    Attributes:
        name: As in logs.
        state: Starting, ready, waiting, ended.
        restarts: How often it was started again.
    """

    name: str
    state: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the live view draws.

    Attributes:
        elapsed_s: Since the view began.
        source: What is streamed, in words.
        flows: The stages in order.
        lag_posts: The records in Kafka that are not counted yet.
        lag_s: How long counting them takes at the present rate; None without a rate.
        latency_p50_s, latency_p95_s: From ingest to counted, over the last seconds; None if
            nothing was counted.
        dead_letters: By reason.
        windows_closed, corrections: Since the view began.
        queries: The busiest first.
        windows: The newest first.
        parts: In starting order.
        message: The supervisor's last word.
        stillness: Why nothing is scored; "" if something is.
        link: Lets a browser into the console, once; "" if there is none.
    """

    elapsed_s: float
    source: str
    flows: tuple[StageFlow, ...] = ()
    lag_posts: int = 0
    lag_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    dead_letters: tuple[tuple[str, int], ...] = ()
    windows_closed: int = 0
    corrections: int = 0
    queries: tuple[QueryLine, ...] = ()
    windows: tuple[WindowLine, ...] = ()
    parts: tuple[PartLine, ...] = ()
    message: str = ""
    stillness: str = ""
    link: str = ""
