"""What is stored of forecasts, for people: read over all partitions, and nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from core.settings import Settings
from models.engagement.items import AUTHORS, SourceQuality, Sums
from models.engagement.partition import ForecastPartition
from models.engagement.top import TopPost, top_posts
from services.bootstrap import make_store

_TOP: Final = "top"
_KINDS: Final = ("sources", "queries", _TOP, "partition")
"""All that is read: nothing of an author, nor of a post that is not ranked."""
_MEDIAN: Final = 2
_FEWEST: Final = 5


@dataclass(frozen=True, slots=True)
class PostRow:
    """A ranked post; counts at its horizon.

    Attributes:
        source, post_id, posted_at_s: Of the post.
        reach: Likes, replies and reposts expected in all.
        likes, likes_low, likes_high: The likes that half, and that 10 and 90 in a hundred such
            posts stay below; None where unknown.
        normal: The median likes of the author's last posts.
        seen_likes: Likes so far.
        surprise: How likely it is that a post as expected has so many by its age.
    """

    source: str
    post_id: str
    posted_at_s: int
    reach: float
    likes: float | None
    likes_low: float | None
    likes_high: float | None
    normal: float | None
    seen_likes: int | None
    surprise: float | None

    def fields(self) -> dict[str, Any]:
        """Return it by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class QualityRow:
    """What the last forecasts of a source or a query were worth, over the partitions.

    Attributes:
        kind: `source` or `query`.
        name, target: Of what.
        outcomes, skill, coverage, rank_correlation: Of the last outcomes; the rank correlation is
            the mean over partitions, by outcomes.
        greyed: Whether there is no skill.
        not_judged: Of a source, those of `AUTHORS` of whose posts none is said to take off yet, in
            a partition at least.
    """

    kind: str
    name: str
    target: str
    outcomes: int
    skill: float | None
    coverage: float | None
    rank_correlation: float | None
    greyed: bool
    not_judged: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Return it by name."""
        return asdict(self)


@dataclass(slots=True)
class ForecastView:
    """What is stored, read once.

    Attributes:
        partitions: The forecasts of the partitions, without authors and posts.
        tops: Query -> its ranked posts.
        totals: The running totals over them, and the posts that wait.
        notes: What could not be read, a sentence each.
    """

    partitions: list[ForecastPartition] = field(default_factory=list[ForecastPartition])
    tops: dict[str, list[TopPost]] = field(default_factory=dict[str, list[TopPost]])
    totals: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])

    def take(
        self,
        totals: Mapping[str, int],
        records: dict[str, dict[bytes, bytes]],
        partition: ForecastPartition,
    ) -> None:
        """Add what is stored of a partition; `partition` has nothing in it yet."""
        for query, record in records.pop(_TOP).items():
            name = query.decode(errors="backslashreplace")
            try:
                self.tops.setdefault(name, []).extend(top_posts(record))
            except ValueError as error:
                self.notes.append(f"the ranked posts of {name!r} cannot be read: {error}")
        self.notes += partition.load(records)
        self.partitions.append(partition)
        self.totals.update(totals)

    def queries(self) -> list[str]:
        """Return the queries of which posts are ranked."""
        return sorted(name for name, posts in self.tops.items() if posts)

    def top(self, query: str) -> list[PostRow]:
        """Return the posts of a query, the furthest first."""
        found = self.tops.get(query, [])
        return [
            PostRow(
                post.source, post.post_id, post.posted_at_s, post.reach, _at(post.likes, _MEDIAN),
                _at(post.likes, 0), _at(post.likes, -1), post.normal, post.seen[0], post.surprise,
            )
            for post in sorted(found, key=lambda post: (-post.reach, post.key))
        ]  # fmt: skip

    def quality(self) -> list[QualityRow]:
        """Return sources, then queries of which outcomes are known, those of most first."""
        merged: dict[tuple[str, str, str], list[SourceQuality]] = {}
        for partition in self.partitions:
            for one in partition.quality():
                merged.setdefault((one.kind, one.name, one.target), []).append(one)
        rows = [_row(*named, parts) for named, parts in merged.items()]
        known = [row for row in rows if row.outcomes or row.not_judged]
        return sorted(known, key=lambda row: (row.kind == "query", -row.outcomes, row.name))

    def over_sources(self) -> Sums:
        """Return the sums over all outcomes of all sources since the state began."""
        found = [one for partition in self.partitions for one in partition.quality()]
        return sum((one.total for one in found if one.kind == "source"), Sums())

    def figures(self) -> dict[str, float | None]:
        """Return the figures for `--json`, flat."""
        found: dict[str, float | None] = dict(self.totals)
        for row in self.quality():
            for name in ("outcomes", "skill", "coverage", "rank_correlation"):
                found[f"{row.kind}.{row.name}.{name}"] = getattr(row, name)
        return found


def _row(kind: str, name: str, target: str, parts: Sequence[SourceQuality]) -> QualityRow:
    sums = sum((one.recent for one in parts), Sums())
    ranked = [one for one in parts if one.rank_correlation is not None and one.recent.outcomes]
    weight = sum(one.recent.outcomes for one in ranked)
    rank = sum((one.rank_correlation or 0.0) * one.recent.outcomes for one in ranked)
    is_greyed = sum(one.recent.outcomes for one in parts if one.greyed) * 2 > sums.outcomes
    return QualityRow(
        kind, name, target, sums.outcomes, sums.skill, sums.coverage,
        rank / weight if weight else None, is_greyed,
        tuple(name for name in AUTHORS if any(name in one.not_judged for one in parts)),
    )  # fmt: skip


def _at(counts: Sequence[float], place: int) -> float | None:
    return counts[place] if len(counts) == _FEWEST else None


async def read_view(settings: Settings) -> ForecastView:
    """Read what is stored.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    store, view = make_store(settings), ForecastView()
    try:
        for number in await store.forecasts.partitions():
            totals, records = await store.forecasts.read(number, _KINDS)
            view.take(totals, records, ForecastPartition(settings.forecasts))
    finally:
        await store.close()
    ended = sum(view.totals[name] for name in ("settled", "gone", "lost"))
    view.totals["pending"] = view.totals["tracked"] - ended
    return view
