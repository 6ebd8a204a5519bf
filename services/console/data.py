"""What the console reads, as routes and pages see it: what can be asked, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from services.alerting.showing import ExampleText, PastAlert, PastAlerts
from services.console.window_posts import WindowPosts
from services.windows_view import PaneBounds, PaneView
from stream.queries import QueryCatalog

if TYPE_CHECKING:
    from services.dead_letters import DeadLetters, Replayed
    from services.forecaster.showing import QualityRow
    from services.pipeline_view import PipelineView


@dataclass(slots=True)
class PanesFound:
    """Panes of one query.

    Attributes:
        panes: Start (s) -> the pane.
        missing: Starts (s) of panes that cannot be read; None among them means every pane.
    """

    panes: dict[int, PaneView] = field(default_factory=dict[int, PaneView])
    missing: set[int | None] = field(default_factory=set[int | None])


@dataclass(frozen=True, slots=True)
class QualityFound:
    """What forecasts were worth.

    Attributes:
        rows: By source and query, those of most outcomes first.
        notes: What could not be read, a sentence each.
    """

    rows: tuple[QualityRow, ...] = ()
    notes: tuple[str, ...] = ()


class ConsoleData(Protocol):
    """Where answers come from; each method raises a `TransientError` where that is away."""

    async def catalog(self) -> QueryCatalog:
        """Return the queries that are watched; `ConfigError` if their file is wrong."""
        ...

    async def bounds(self) -> PaneBounds:
        """Return which panes there are."""
        ...

    async def panes(self, query: str, start_s: int, end_s: int) -> PanesFound:
        """Return the panes of a query that start in `[start_s, end_s)`."""
        ...

    async def panes_of(self, queries: Sequence[str], last: int) -> dict[str, PanesFound]:
        """Return the last so many panes of some queries, closed or open, by their names."""
        ...

    async def busiest(self) -> tuple[PaneBounds, dict[str, int]]:
        """Return which panes there are, and query -> its posts in the last that has closed."""
        ...

    async def alerts(self) -> PastAlerts:
        """Return the alerts that are kept, the newest first."""
        ...

    async def examples(self, past: PastAlert) -> list[ExampleText]:
        """Return what the posts that show an alert say now."""
        ...

    async def window_posts(self, query: str, start_s: int, end_s: int) -> WindowPosts:
        """Return some of the posts of a query in a window, and what they say now."""
        ...

    async def quality(self) -> QualityFound:
        """Return what forecasts were worth."""
        ...

    async def pipeline(self) -> PipelineView:
        """Return how far each stage is."""
        ...

    async def dead_letters(self) -> DeadLetters:
        """Return the last messages that could not be used, the newest first."""
        ...

    async def replay(self, place: int, repaired: bytes | None) -> Replayed:
        """Send the record of a dead letter again; `ReplayRefused` if it cannot be."""
        ...

    async def away(self) -> list[str]:
        """Return which of `store` and `broker` do not answer."""
        ...
