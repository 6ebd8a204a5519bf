"""A set is measured whole: promised figures by name, tables of 80 columns, coverage under drift."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from core.forecast_settings import ForecastSettings
from core.report import Report
from evaluation.forecasts import __main__ as command
from evaluation.forecasts.drift import BLOCK, Drifted, drift
from evaluation.forecasts.replay_check import (
    Exported,
    disagreements,
    figures_of_metrics,
    figures_of_source,
    offline_books,
)
from evaluation.forecasts.run import Answering, Plan, Way, evaluate_set
from evaluation.forecasts.serving import Scored
from evaluation.forecasts.tables import flat_figures, tables_of
from services.kafka_client import partition_of
from tests.evaluation.forecasts.recorded import by_the_median, recorded

PROMISED = (
    "skill_med32", "skill_30d", "authors_positive_share", "spearman", "coverage_10_90", "posts",
)  # fmt: skip
SETTINGS = ForecastSettings(ages_s=(), events_per_hour=0)


def test_promised_figures_are_there_by_name_with_intervals(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=22, posts=30)
    found = evaluate_set(scored, Answering(by_the_median), Plan(tmp_path, "all", 50))
    figures = flat_figures([found])
    for name in PROMISED:
        assert figures[f"tiny.{name}"] is not None
        if name != "posts":
            low, high = figures[f"tiny.{name}_low"], figures[f"tiny.{name}_high"]
            assert low is not None
            assert high is not None
            assert low <= figures[f"tiny.{name}"] <= high  # type: ignore[operator]
    assert figures["tiny.posts"] == len(found.judged)
    assert figures["tiny.error_trees"] is None or np.isnan(figures["tiny.error_trees"])
    assert set(found.targets) == {"replies"}  # no repost is known


def test_time_split_judges_the_last_fifth_after_all_that_came_before(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=10, posts=30)
    parts = [
        evaluate_set(scored, Answering(by_the_median), Plan(tmp_path, split, 20)).judged
        for split in ("all", "time")
    ]
    whole, last = parts
    cut_s = np.quantile(scored.posts.at_s, 0.8)
    assert len(last) == (whole.at_s >= cut_s).sum()
    for name, points in last.points.items():
        np.testing.assert_array_equal(points, whole.points[name][whole.at_s >= cut_s])


def test_tables_of_seven_sets_fit_into_80_columns(tmp_path: Path) -> None:
    one = evaluate_set(
        recorded(tmp_path, posts=25), Answering(by_the_median), Plan(tmp_path, "all", 20)
    )
    one = replace(one, drifted=Drifted(0.801, 0.512, 0.799, None, 412, 383))
    names = ("congress", "leaders", "accounts", "musk", "facebook", "bluesky", "brand")
    console = Console(width=80, file=io.StringIO())
    for table in tables_of([replace(one, name=name) for name in names], "all"):
        assert console.measure(table).minimum <= 80
        console.print(table)
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert "expanding (straw man)" in shown


def test_one_report_holds_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = recorded(tmp_path, authors=10, posts=20)
    monkeypatch.setattr("evaluation.forecasts.run.read_scored", lambda *_: scored)
    way = Way(lambda _: Answering(by_the_median), {"model": "median-1"}, ["it knows nothing"])
    monkeypatch.setattr(command, "open_way", lambda *_, **__: way)
    file = tmp_path / "found.json"
    command.main(tmp_path, "tiny", "time", json_file=file, resamples=20)
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.command == "models evaluate"
    assert report.settings["model"] == "median-1"
    assert report.notes[-1] == "it knows nothing"
    assert [row["set"] for row in report.tables["sets"]] == ["tiny"]
    assert report.figures["tiny.posts"] == report.tables["sets"][0]["posts"]


def test_wrong_split_is_said_and_nothing_is_read(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(command.main)
    said = CliRunner().invoke(app, ["--data", str(tmp_path), "--split", "random"])
    assert said.exit_code == 2
    assert "--split is time, author, all" in said.output


def test_intervals_find_back_after_all_counts_tripled(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=15, posts=100)
    found = drift(scored, by_the_median, SETTINGS, 0.4)
    for coverage in (found.before, found.known, found.made, found.raw):
        assert coverage is not None
    assert found.raw < found.made  # type: ignore[operator]
    assert found.blind_told <= found.blind <= BLOCK[1] - BLOCK[0]


def test_drift_of_too_few_posts_has_no_figure(tmp_path: Path) -> None:
    found = drift(recorded(tmp_path, authors=2, posts=20), by_the_median, SETTINGS, 0.5)
    assert (found.before, found.known, found.made, found.raw) == (None, None, None, None)


def books(scored: Scored) -> Any:
    return offline_books(scored, by_the_median, SETTINGS, 4, partition_of)


def partitions_of(books: Any) -> int:
    return sum(one.kind == "source" for one in books)


def test_live_figures_are_those_of_the_same_posts_offline(tmp_path: Path) -> None:
    scored = recorded(tmp_path, authors=8, posts=25)
    offline = books(scored)
    assert len(offline) > 1  # several partitions have authors
    figures = figures_of_source(offline, "tiny")
    # Nothing comes after the last post of a partition, so that its horizon is never over.
    assert figures["total_outcomes"] == len(scored.posts) - partitions_of(offline)
    assert disagreements([Exported("tiny", figures)], offline) == []


def test_counters_of_several_partitions_are_added_up(tmp_path: Path) -> None:
    offline = books(recorded(tmp_path, authors=6, posts=20))
    lines: list[str] = []
    for number, of in enumerate(one for one in offline if one.kind == "source"):
        for name, value in (
            ("outcomes", of.total.outcomes), ("covered", of.total.covered),
            ("compared", of.total.judged), ("error_micros", of.total.error * 1e6),
            ("floor_error_micros", of.total.floor_error * 1e6),
        ):  # fmt: skip
            labels = f'source="tiny",target="likes",instance="{number}"'
            lines += [f"# TYPE groundswell_forecast_{name} counter"] if number == 0 else []
            lines.append(f"groundswell_forecast_{name}_total{{{labels}}} {value!r}")
    live = figures_of_metrics("\n".join(sorted(lines, key=by_family)) + "\n", "tiny")
    assert disagreements([Exported("tiny", live)], offline) == []
    assert live["total_outcomes"] == 120 - partitions_of(offline)
    assert "nothing" in disagreements([Exported("x", figures_of_metrics("", "x"))], offline)[0]


def by_family(line: str) -> tuple[str, bool]:
    """Sort the type of a metric before its samples."""
    name = line.split()[2] if line.startswith("#") else line.split("_total")[0]
    return name, not line.startswith("#")


def test_figure_that_differs_or_is_missing_is_named(tmp_path: Path) -> None:
    offline = books(recorded(tmp_path, authors=6, posts=20))
    figures = figures_of_source(offline, "tiny")
    wrong = figures | {"total_skill": 0.5, "recent_coverage": None}
    found = disagreements([Exported("tiny", wrong)], offline)
    assert [sentence.split()[1] for sentence in found] == ["recent_coverage", "total_skill"]
    assert disagreements([], offline) == ["the live run exported nothing"]
    assert "nothing to compare" in disagreements([Exported("other", {})], offline)[0]
