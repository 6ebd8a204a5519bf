"""What partitions count is exported, all of it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from core.metrics import Metrics
from core.metrics.declared import Declared
from core.metrics.forecaster import ForecasterMetrics, ForecastQualityMetrics
from services.forecaster.counting import count_batch

ROOT = Path(__file__).parents[3]
ELSEWHERE = {"refused"}
"""Said by `ForecastPartition.load`, and counted where it is read."""
BY_PARTS = {
    f"{prefix}forecast_{name}"
    for prefix in ("", "query_")
    for name in ("outcomes", "covered", "compared", "error_micros", "floor_error_micros")
}
"""Metrics whose names `services.forecaster.watching` puts together."""


def values(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def counted_names() -> set[str]:
    """Return every name under which the forecasts of a partition count something."""
    found = {"repeated", "too_late", "not_sampled", "untracked"}  # why a post is not tracked
    for path in (ROOT / "models" / "engagement").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
                name = getattr(node.target.slice, "value", None)
                if isinstance(name, str) and ast.unparse(node.target.value).endswith("counts"):
                    found.add(name)
    return found


def test_every_name_that_is_counted_moves_a_counter() -> None:
    names = counted_names()
    assert {"tracked", "settled", "gone", "unknown_post", "no_outcome"} <= names
    for name in names - ELSEWHERE:
        metrics = Metrics(role="forecaster")
        count_batch(metrics, (), Counter({name: 3}), 1)
        assert values(metrics), name


def test_posts_of_authors_that_are_not_tracked_are_shed_only_while_it_sheds() -> None:
    metrics = Metrics(role="forecaster")
    count_batch(metrics, (), Counter(not_sampled=2), 1)
    count_batch(metrics, (), Counter(not_sampled=5), 4)
    assert values(metrics) == {
        ("groundswell_forecast_posts_total", "sampled_out"): 2,
        ("groundswell_forecast_posts_total", "shed"): 5,
    }


def test_settled_posts_are_split_by_their_counts() -> None:
    metrics = Metrics(role="forecaster")
    count_batch(metrics, (), Counter(settled=10, no_outcome=3, approximate=2, gone=1), 1)
    assert values(metrics) == {
        ("groundswell_forecast_posts_settled_total", "totals"): 5,
        ("groundswell_forecast_posts_settled_total", "none"): 3,
        ("groundswell_forecast_posts_settled_total", "approximate"): 2,
        ("groundswell_forecast_posts_settled_total", "deleted"): 1,
    }


@pytest.mark.parametrize("group", [ForecasterMetrics, ForecastQualityMetrics])
def test_every_metric_of_a_forecaster_is_set_somewhere(group: type) -> None:
    files = (ROOT / "services" / "forecaster").glob("*.py")
    written = "\n".join(path.read_text(encoding="utf-8") for path in files)
    declared = {name for name, found in vars(group).items() if isinstance(found, Declared)}
    assert {n for n in declared - BY_PARTS if f"metrics.{n}" not in written} == set()
