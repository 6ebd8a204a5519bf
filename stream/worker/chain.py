"""The chains of the worker: every step of `posts` and of `post-events`, in its order.

A new step is a file in `stream/worker/steps` and a line here. It may read what the steps above it
add; one that reads too early is refused when the worker starts. `stream.worker.step` has the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.clock import Clock
from core.metrics import Metrics
from core.sealing import PLAIN, Sealer
from core.settings import WindowSettings
from stream.topics import POST_EVENTS, POSTS
from stream.windows.strata import LanguageFold
from stream.worker import steps
from stream.worker.batching import PostBudget
from stream.worker.outlets import RecordSink
from stream.worker.ports import Store
from stream.worker.running import Chain
from stream.worker.scoring import PatientScorer
from stream.worker.step import beside_others, in_order, optional
from stream.worker.steps.compare_shadow import ShadowComparison
from stream.worker.steps.match import FindsQueries

__all__ = ["StepTools", "beside_others", "in_order", "make_chains", "optional"]
"""All words that a line here may need, also those that no line needs now."""


@dataclass(frozen=True, slots=True)
class StepTools:
    """What the steps of a worker are made of.

    Attributes:
        store: The state of the partitions.
        sink: The producer of what goes out.
        scorer: The first model, asked however long it takes.
        budget: The posts that may be in scoring at once.
        matcher: Returns the matcher in use now.
        windows: The settings of the panes.
        max_message_bytes: The size beyond which a message is dead unread.
        clock: The present time: what was ingested long after it is dead.
        metrics: The metrics of this process.
        sealer: Hides what dead records say of authors.
        shadow: The comparison with a second model, if there is one.
    """

    store: Store
    sink: RecordSink
    scorer: PatientScorer
    budget: PostBudget
    matcher: Callable[[], FindsQueries]
    windows: WindowSettings
    max_message_bytes: int
    clock: Clock
    metrics: Metrics
    sealer: Sealer = PLAIN
    shadow: ShadowComparison | None = None


def make_chains(tools: StepTools) -> tuple[Chain, Chain]:
    """Return the chain of `posts` and that of `post-events`; an edit goes the way of a post."""
    scored = (
        steps.Score(tools.scorer, tools.budget),
        steps.Match(tools.matcher),
        steps.CompareShadow(tools.shadow),
        steps.DropUnscored(),
        steps.Measure(LanguageFold(tools.windows.strata_languages)),
    )
    sent = in_order(
        steps.SendDead(tools.sink, tools.clock, tools.sealer),
        steps.SendScored(tools.sink),
        steps.Apply(tools.store),
        steps.Tell(tools.metrics, tools.clock),
        steps.SendProgress(tools.sink, tools.clock),
    )
    posts = Chain(
        POSTS,
        tools.metrics,
        in_order(
            steps.DecodePosts(tools.max_message_bytes, tools.clock),
            steps.Deduplicate(tools.store, tools.windows),
            steps.PlaceInTime(tools.windows.pane_s),
        ),
        beside_others(*scored, steps.Count(), steps.Render()),
        sent,
    )
    post_events = Chain(
        POST_EVENTS,
        tools.metrics,
        in_order(steps.DecodeEvents(tools.max_message_bytes, tools.clock)),
        beside_others(*scored, steps.Amend(), steps.Render()),
        sent,
    )
    return posts, post_events
