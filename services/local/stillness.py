"""Why nothing is being scored, in words for whoever watches."""

from collections.abc import Iterable
from typing import Final

from services.local.scrape import Page, Recent
from services.local.snapshot import PartLine

RETRIES: Final = "groundswell_scorer_retries_total"
TIMEOUTS: Final = "groundswell_scorer_timeouts_total"
_MODEL_SERVER: Final = "triton"
_SOURCE: Final = "ingest"


def why_still(
    counters: Recent, pages: Iterable[Page], parts: Iterable[PartLine], lag_posts: int
) -> str:
    """Return why nothing was scored in the last seconds, "" if something was.

    Args:
        counters: The growth of the stages, and of `RETRIES` and `TIMEOUTS`.
        pages: The last sample of each process.
        parts: The parts, as the supervisor has them.
        lag_posts: The records in Kafka that are not counted yet.
    """
    states = {part.name: part.state for part in parts}
    if not counters.growth("ingest") and not lag_posts and states.get(_SOURCE) == "ready":
        return "nothing is scored: nothing arrives from the source"
    if counters.growth("scored"):
        return ""
    if states.get(_MODEL_SERVER, "ready") != "ready":
        return "nothing is scored: the model server is loading its model"
    timeouts, retries = counters.growth(TIMEOUTS), counters.growth(RETRIES)
    if timeouts:
        return f"nothing is scored: the scorer did not answer {timeouts:,.0f} batches in time"
    if retries:
        return f"nothing is scored: the scorer cannot be reached, {retries:,.0f} tries"
    if held := sum(page.total("groundswell_in_flight_posts") for page in pages):
        return f"nothing is scored yet: the scorer has had {held:,.0f} posts for seconds"
    if lag_posts:
        return f"nothing is scored: no worker has taken the {lag_posts:,} posts that wait"
    return ""
