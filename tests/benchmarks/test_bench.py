"""Every benchmark runs from end to end on a few posts, and its report has the form of all reports.

Nothing here looks at how fast anything was.
"""

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from services.local.paths import PROJECT_ROOT
from services.local.triton_server import DEFAULT_SERVER_PYTHON

FAKE_SCORED = {
    "queries": ("ten_posts_per_s", "thousands_spread_over_ten_worker_cpu_ratio"),
    "memory": ("bytes_per_id", "bytes_per_contribution", "bytes_per_query_minute"),
    "matcher": ("thousands_silent_over_ten_ratio",),
    "removal": ("idle_p99_ms", "busy_p99_ms", "busy_samples"),
    "startup": (
        "import_worker_own_cpu_s",
        "idle_unnamed_over_named_restart_ratio",
        "busy_named_restart_s",
    ),
    "replies": ("core_share", "cpu_us_per_reply"),
    "sources": ("bluesky_v1_events_per_core_s", "steps_us_v2_parse"),
}
MODEL_SCORED = {
    "throughput": ("bare_posts_per_s", "end_to_end_over_bare_ratio", "worker_posts_per_s"),
    "forecasts": ("with_over_other_ratio", "forecaster_cpu_us_per_post"),
    "saturated": ("with_over_other_ratio", "triton_with_cpu_us_per_post"),
    "model": (
        "batch_64_posts_per_s",
        "tokens_to_32_ms",
        "all_over_one_ratio",
        "cached_share",
        "cascade.sent_share",
    ),
    "servers": ("two_to_one", "killed_longest_wait_s", "hung_longest_wait_s"),
    "calls": ("as_built_crowd_p95_ms", "with_policy_encoder_four_stalled_share"),
    "viewers": ("with_over_other_ratio", "of_100_p95_ms", "of_2000_p95_ms"),
}
SLOW = {
    "scaling": ("partitions_4_workers_2_posts_per_s",),
    "latency": ("at_25_p50_ms", "at_50_p95_ms", "at_80_p99_ms", "at_80_samples"),
}


def bench(name: str, tmp_path: Path) -> dict:
    """Run a benchmark as small as it goes and return its report."""
    report, picture = tmp_path / "report.json", tmp_path / "plot.svg"
    ended = subprocess.run(
        [
            sys.executable, "-m", "services.cli.main", "bench", name, "--scale", "0.005",
            "--rounds", "1", "--json", str(report), "--plot", str(picture),
        ],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=540,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")  # noqa: S314 our own picture
    found = json.loads(report.read_text())
    # A blank line parts the figures from a table of a benchmark's own.
    shown = {line.split()[0] for line in ended.stdout.partition("\n\n")[0].splitlines()}
    assert shown == set(found["figures"]), "standard output has every figure, and they come first"
    return found


def expect_form(report: dict, wanted: tuple[str, ...]) -> None:
    """The report is the object that everything which measures writes."""
    assert {"figures", "machine", "versions", "seed", "settings"} <= set(report)
    assert report["seed"] == 7
    assert report["settings"]["scale"] == 0.005
    assert report["machine"]["cores"] >= 1
    figures = report["figures"]
    for name, value in figures.items():
        assert isinstance(value, int | float), name
        assert math.isfinite(value), name
    assert set(wanted) <= set(figures)
    for name in figures:
        if name.endswith("_least"):
            median = name.removesuffix("_least")
            assert figures[name] <= figures[median] <= figures[f"{median}_most"]


@pytest.mark.integration
@pytest.mark.parametrize("name", FAKE_SCORED)
def test_a_benchmark_of_the_worker_reports_its_figures(name: str, tmp_path: Path):
    expect_form(bench(name, tmp_path), FAKE_SCORED[name])


@pytest.mark.integration
@pytest.mark.skipif(not DEFAULT_SERVER_PYTHON.exists(), reason="no model server environment")
@pytest.mark.parametrize("name", MODEL_SCORED)
def test_a_benchmark_with_the_model_reports_its_figures(name: str, tmp_path: Path):
    expect_form(bench(name, tmp_path), MODEL_SCORED[name])


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.skipif(not DEFAULT_SERVER_PYTHON.exists(), reason="no model server environment")
@pytest.mark.parametrize("name", SLOW)
def test_a_longer_benchmark_reports_its_figures(name: str, tmp_path: Path):
    expect_form(bench(name, tmp_path), SLOW[name])


@pytest.mark.integration
@pytest.mark.slow
def test_the_peers_count_the_same_minutes_as_a_plain_count(tmp_path: Path):
    report = bench("peers", tmp_path)  # it ends with status 1 when a job's minutes differ
    expect_form(report, ("plain_our_over_bytewax_fast_ratio", "whole_our_over_naive_ratio"))
    assert report["versions"]["quixstreams"] != "unknown"


def test_a_benchmark_that_does_not_exist_is_wrong_use():
    ended = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "bench", "nothing"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "throughput" in ended.stderr


def test_every_benchmark_is_described():
    method = (PROJECT_ROOT / "benchmarks" / "README.md").read_text()
    for name in (*FAKE_SCORED, *MODEL_SCORED, *SLOW, "peers"):
        assert f"`{name}`" in method, f"benchmarks/README.md says nothing of {name}"
