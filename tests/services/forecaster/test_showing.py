"""What is stored of forecasts, as people and programs are shown it, and as Prometheus is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis

from core.forecast_settings import ForecastSettings
from core.metrics import Metrics
from core.report import Report
from core.settings import RedisSettings, Settings
from models.engagement.items import CountsSeen, PostSeen, SourceQuality, Sums
from models.engagement.layout import author_key, post_key
from models.engagement.partition import ForecastPartition
from services.bootstrap import make_store
from services.cli.main import run
from services.forecaster.labels import BoundedLabels
from services.forecaster.merging import Lag
from services.forecaster.showing import read_view
from services.forecaster.watching import ForecastExport
from services.local.forecast_tally import tally_forecasts
from services.local.redis_server import RedisServer
from stream.store.forecast_records import ForecastApply, ReadUpTo
from testkit.builders import NOON
from testkit.scorers.engagement import FakeEngagement

START_S = NOON.timestamp()
HORIZON_S = 86_400


async def filled(first: int, settings: ForecastSettings) -> ForecastPartition:
    """Return forecasts of 40 posts of two authors with their outcomes, and of one that waits."""
    partition, model = ForecastPartition(settings), FakeEngagement()
    items: list[Any] = []
    for number in range(first, first + 41):
        author, post_id = f"a{number % 2}", f"p{number}"
        key = post_key(author_key("bluesky", author), post_id)
        at_s = START_S + number * 3_600
        post = PostSeen(key, post_id, "bluesky", author, at_s, (9, *[0] * 7), {}, False, ("rail",))
        likes = 5 + number % 7
        seen = CountsSeen(key, post_id, "bluesky", author, at_s + 80_000, (likes, 1, 2))
        items += [post, seen]
    items.sort(key=lambda item: item.at_s)
    last = items[-1].at_s
    for item in (one for one in items if isinstance(one, PostSeen) or one.at_s < last):
        planned = partition.take([item])
        answer = await model.predict(planned.features, planned.sequence) if planned.posts else None
        partition.finish(planned, answer)
    return partition


@dataclass
class _Shown:
    """As much of a partition as is looked at."""

    number: int
    forecasts: Any
    known: dict[tuple[str, str], Sums]
    track_one_in: int = 1
    merge: Any = None

    def __hash__(self) -> int:
        return id(self)


class _Merge:
    events = 3


class _Fixed:
    """Forecasts whose worth is said."""

    divisor, pending, authors, clock_s = 2, 7, 5, 0.0

    def __init__(self, *qualities: SourceQuality) -> None:
        self.qualities = list(qualities)

    def quality(self) -> list[SourceQuality]:
        return self.qualities

    def queries(self) -> list[str]:
        return []


def quality(name: str, total: Sums, kind: str = "source") -> SourceQuality:
    not_judged = ("strangers",) if kind == "source" else ()
    return SourceQuality(
        kind, name, "likes", total, total, 0.5, greyed=False, not_judged=not_judged
    )


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"groundswell_{name}", labels)


def test_counters_grow_by_what_is_new_and_gauges_go_with_their_partition() -> None:
    metrics = Metrics(role="forecaster")
    export = ForecastExport(metrics, BoundedLabels(8), 8)
    before, after = Sums(10, 8, 5, 1.0, 2.0), Sums(14, 11.5, 8, 1.6, 2.9)
    fixed = _Fixed(quality("s", before))
    shown = _Shown(3, fixed, {("source", "s"): before}, 2, _Merge())
    export.export({3: shown}, {3: Lag(4.5, 2.5)})  # type: ignore[dict-item]
    assert _value(metrics, "forecast_outcomes_total", source="s", target="likes") == 0
    fixed.qualities = [quality("s", after), quality("q", after, "query")]
    export.export({3: shown}, {3: Lag(4.5, 2.5)})  # type: ignore[dict-item]
    export.export({3: shown}, {3: Lag(4.5, 2.5)})  # type: ignore[dict-item]
    for name, grown in (
        ("outcomes", 4), ("covered", 3.5), ("compared", 3), ("error_micros", 600_000),
        ("floor_error_micros", 900_000),
    ):  # fmt: skip
        assert _value(metrics, f"forecast_{name}_total", source="s", target="likes") == grown
    assert _value(metrics, "query_forecast_outcomes_total", query="q") == 14
    labels = {"partition": "3", "source": "s", "target": "likes"}
    assert _value(metrics, "forecast_skill", **labels) == pytest.approx(1 - 1.6 / 2.9)
    for authors, is_missing in (("strangers", 1), ("known", 0)):
        found = _value(metrics, "forecast_not_judged", partition="3", source="s", authors=authors)
        assert found == is_missing
    assert _value(metrics, "forecast_divisor", partition="3") == 4
    assert _value(metrics, "forecaster_lag_seconds", topic="scored-posts", partition="3") == 4.5
    assert _value(metrics, "forecaster_lag_seconds", topic="post-events", partition="3") == 2.5
    export.export({}, {})
    assert _value(metrics, "forecast_skill", **labels) is None
    assert _value(metrics, "forecast_outcomes_total", source="s", target="likes") == 4


def test_a_partition_that_is_taken_over_brings_nothing_that_another_has_counted() -> None:
    metrics = Metrics(role="forecaster")
    export = ForecastExport(metrics, BoundedLabels(8), 8)
    total = Sums(10, 8, 5, 1.0, 2.0)
    for _ in range(2):
        shown = _Shown(0, _Fixed(quality("s", total)), {("source", "s"): total}, 1, _Merge())
        export.export({0: shown}, {})  # type: ignore[dict-item]
    assert _value(metrics, "forecast_outcomes_total", source="s", target="likes") == 0


def test_labels_stay_bounded_whatever_sources_and_queries_there_are() -> None:
    metrics = Metrics(role="forecaster")
    export = ForecastExport(metrics, BoundedLabels(2), 3)
    total = Sums(10, 8, 5, 1.0, 2.0)
    names = [quality(f"{kind}{n}", total, kind) for n in range(50) for kind in ("source", "query")]
    export.export({0: _Shown(0, _Fixed(*names), {}, 1, _Merge())}, {})  # type: ignore[dict-item]
    page = [m for m in metrics.registry.collect() if m.name == "groundswell_forecast_coverage"]
    assert len(page[0].samples) == 2
    page = [
        m for m in metrics.registry.collect() if m.name == "groundswell_query_forecast_coverage"
    ]
    assert len(page[0].samples) == 3
    assert _value(metrics, "forecast_left_out", kind="source") == 48
    assert _value(metrics, "forecast_left_out", kind="query") == 47


def test_top_posts_are_exported_by_rank_and_by_no_name() -> None:
    metrics = Metrics(role="forecaster")
    settings = ForecastSettings(horizon_s=HORIZON_S)
    forecasts = asyncio.run(filled(0, settings))
    shown = _Shown(1, forecasts, {}, 1, _Merge())
    ForecastExport(metrics, BoundedLabels(8), 8).export({1: shown}, {})  # type: ignore[dict-item]
    waiting = _value(metrics, "ranked_posts", partition="1", query="rail")
    assert waiting == forecasts.pending > 0
    reach = [
        _value(metrics, "predicted_reach", partition="1", query="rail", rank=str(rank))
        for rank in range(1, 7)
    ]
    assert [one for one in reach if one] != []
    assert reach[5] is None
    assert [one for one in reach if one] == sorted((r for r in reach if r), reverse=True)


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.url.removesuffix("/0") + "/9"


@pytest.fixture
def settings(url: str) -> Settings:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return Settings(redis=RedisSettings(url=url), forecasts=ForecastSettings(horizon_s=HORIZON_S))


@pytest_asyncio.fixture
async def stored(settings: Settings) -> AsyncIterator[Settings]:
    store = make_store(settings)
    for number in range(2):
        forecasts = await filled(number * 100, settings.forecasts)
        apply = ForecastApply(
            ReadUpTo(), ReadUpTo(40, 40), "one", forecasts.changes(),
            {name: forecasts.counts[name] for name in ("tracked", "settled", "gone")},
        )  # fmt: skip
        await store.forecasts.apply(number, apply)
    await store.close()
    yield settings


@pytest.mark.integration
async def test_a_view_adds_up_over_the_partitions_and_changes_nothing(stored: Settings) -> None:
    with redis.Redis.from_url(stored.redis.url) as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        view = await read_view(stored)
        assert {key: client.dump(key) for key in client.scan_iter()} == before
    assert view.notes == []
    assert view.totals["tracked"] == 82
    assert view.totals["pending"] == 82 - view.totals["settled"]
    source, query = view.quality()
    assert (source.kind, source.name, source.target) == ("source", "bluesky", "likes")
    assert source.outcomes == query.outcomes == view.totals["settled"] > 20
    parts = [one.quality()[0].recent for one in view.partitions]
    assert source.skill == 1 - sum(p.error for p in parts) / sum(p.floor_error for p in parts)
    assert view.over_sources() == sum(
        (one.quality()[0].total for one in view.partitions), Sums()
    ), "queries are of the same posts and are not added"
    tally = await asyncio.to_thread(tally_forecasts, stored)
    assert (tally.posts, tally.outcomes) == (82, view.totals["settled"])
    assert (tally.skill, tally.coverage) == (source.skill, source.coverage)
    rows = view.top("rail")
    assert [row.reach for row in rows] == sorted((row.reach for row in rows), reverse=True)
    assert {row.source for row in rows} == {"bluesky"}
    assert view.queries() == ["all", "rail"]


@pytest.mark.integration
def test_the_commands_say_it_within_80_columns_and_to_programs(
    stored: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr("services.cli.forecasts.load_settings", lambda: stored)
    file = tmp_path / "quality.json"
    assert run(["forecasts", "quality", "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert "bluesky" in said
    assert "takes off: bluesky (strangers, known authors)" in said, "40 outcomes of 100"
    assert max(map(len, said.splitlines())) <= 80
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.figures["tracked"] == 82
    assert report.figures["source.bluesky.coverage"] is not None
    table = {row["name"]: row["not_judged"] for row in report.tables["quality"]}
    assert table == {"bluesky": ["strangers", "known"], "rail": []}
    file = tmp_path / "top.json"
    assert run(["forecasts", "top", "rail", "--last", "3", "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert len(said.splitlines()) == 5
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert len(report.tables["posts"]) == 3
    assert run(["forecasts", "top", "nobody"]) == 1
    assert "rail" in capsys.readouterr().out


@pytest.mark.integration
def test_an_empty_store_is_said_to_be_empty(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("services.cli.forecasts.load_settings", lambda: settings)
    assert run(["forecasts", "quality"]) == 1
    assert "no outcome is known yet" in capsys.readouterr().out
