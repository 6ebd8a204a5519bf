"""What the workers did again because of the faults, from their metrics pages.

A process counts from zero when it is started again, so the last page of each start is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from services.local.scrape import Page, fetch_pages
from testkit.chaos.stack import ChaosStack

_COUNTED: Final = {
    "applies_refused": "groundswell_applies_refused_total",
    "store_retries": "groundswell_store_retries_total",
    "scorer_retries": "groundswell_scorer_retries_total",
    "scorer_invalid_answers": "groundswell_scorer_invalid_answers_total",
    "scorer_timeouts": "groundswell_scorer_timeouts_total",
    "scorer_servers_left_out": "groundswell_scorer_server_left_out_total",
    "scorer_asked_again": "groundswell_scorer_server_asked_again_total",
    "records_fetched": "groundswell_records_fetched_total",
    "offset_gap_posts": "groundswell_offset_gap_posts_total",
}


class Replays:
    """Sums over all workers and all their starts; what a page showed last before a kill counts."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], Page] = {}

    def scrape(self, stack: ChaosStack, stopped: Collection[str] = ()) -> None:
        """Look at the pages of the workers, but for those that are stopped and cannot answer."""
        for part in stack.parts_of("worker"):
            server = part.server
            if not server.is_running or server.name in stopped:
                continue
            for page in fetch_pages([server.ports["metrics"]]).values():
                self._last[server.name, server.pid] = page

    def figures(self) -> dict[str, float]:
        """Return name -> how often."""
        pages = self._last.values()
        found = {
            name: sum(page.total(metric) for page in pages) for name, metric in _COUNTED.items()
        }
        for cause in ("assigned", "refused", "gap"):
            found[f"seeks_{cause}"] = sum(
                page.total("groundswell_seeks_total", cause=cause) for page in pages
            )
        return found
