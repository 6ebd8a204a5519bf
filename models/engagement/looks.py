"""Looks at posts of which counts are known: what is expected of them, and how surprising it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.engagement.exposure import Exposed
from models.engagement.names import NamedPost
from models.engagement.rarity import rarity_of
from models.engagement.sharpening import sharpen
from models.engagement.shown import Logs, Shown
from models.engagement.together import beyond, combined, reach_of
from models.engagement.watched_post import WatchedPost


@dataclass(frozen=True, slots=True)
class CountsLook:
    """What a look at a post says.

    Attributes:
        logs: (3, 5) log1p of the counts that are expected of it.
        surprise, raw: (3,) see `models.engagement.sharpening.Sharpened`; NaN is unknown.
        beyond, together: All counts together, see `models.engagement.together`: how far they are
            beyond the forecast, and how surprising that is; NaN is unknown.
        trust: The weight of all together against the rarest target.
    """

    logs: Logs
    surprise: Sequence[float]
    raw: Sequence[float]
    beyond: float
    together: float
    trust: float

    @property
    def rarity(self) -> int:
        """How rare the rarest of its targets is, as it is kept."""
        return max((rarity_of(value) for value in self.raw if not math.isnan(value)), default=0)

    @property
    def reach(self) -> int:
        """How far all counts together are beyond the forecast, as it is kept."""
        return reach_of(self.beyond)

    @property
    def least(self) -> float | None:
        """How surprising the post is by all that is known of it; None where nothing is."""
        found = combined(self.surprise, self.together, self.trust)
        return None if math.isnan(found) else found


def looks_at(shown: Sequence[Shown], places: Sequence[int]) -> dict[int, CountsLook]:
    """Return place -> look at what is there.

    Args:
        shown: Things that were done in one epoch.
        places: Those of them to look at.
    """
    groups: dict[tuple[int, bool], list[int]] = {}
    for place in places:
        what = shown[place]
        groups.setdefault((what.source.number, what.is_known), []).append(place)
    if not groups:
        return {}
    ordered = [place for group in groups.values() for place in group]
    firsts = [shown[group[0]] for group in groups.values()]
    sizes = [len(group) for group in groups.values()]
    exposed = Exposed.joined(
        [
            first.source.exposure.at([shown[place].note.age_s for place in group])
            for first, group in zip(firsts, groups.values(), strict=True)
        ]
    )
    prior = np.array([shown[place].prior() for place in ordered])
    seen = np.array([shown[place].note.seen for place in ordered], np.float64)
    found = sharpen(prior, seen, exposed)
    far = beyond(prior, seen, exposed.share)
    parts_of_far = np.split(far, np.cumsum(sizes)[:-1])
    together = np.concatenate(
        [of.ordinary.surprise(logs) for of, logs in zip(firsts, parts_of_far, strict=True)]
    )
    trust = np.repeat([first.ordinary.trust for first in firsts], sizes)
    parts = (found.quantiles, found.surprise, found.raw, far, together, trust)
    rows = zip(*(part.tolist() for part in parts), strict=True)
    return {place: CountsLook(*row) for place, row in zip(ordered, rows, strict=True)}


def watched_of(what: Shown, named: NamedPost, look: CountsLook) -> WatchedPost:
    """Return a post as it is looked at, to see whether it takes off."""
    note = what.note
    return WatchedPost(
        key=note.key,
        post_id=named.post_id,
        source=what.source.name,
        author=named.author,
        posted_at_s=float(note.post.at),
        seen=note.seen,
        surprise=look.surprise,
        forecast=what.served.five(),
        expected=look.logs,
        normal=what.served.normal(note.post),
        approximate=note.approximate,
        together=look.together,
        trust=look.trust,
    )
