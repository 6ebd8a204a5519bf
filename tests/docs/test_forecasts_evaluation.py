"""What `docs/forecasts-evaluation.md` says in tables stands in published reports."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "forecasts-evaluation.md").read_text(encoding="utf-8")
REPORTS = ROOT / "benchmarks" / "results" / "models"
TITLES = {
    "med32": "median of 32 (**the floor**)",
    "days30": "median of 30 days",
    "last": "last value",
    "ewma": "EWMA 0.1",
    "expanding": "expanding median (straw man)",
    "trees": "boosted trees",
    "model": "model alone",
    "served": "**hedge (served)**",
}
MEASURES = {
    "forecasts-time.json": (
        "skill_med32", "skill_30d", "authors_positive_share", "spearman", "coverage_10_90",
        "never_worse",
    ),
    "forecasts-author.json": (
        "skill_med32", "skill_30d", "authors_positive_share", "spearman", "coverage_10_90",
        "never_worse",
    ),
    "forecasts-left-out.json": ("skill_med32", "coverage_10_90", "never_worse"),
}  # fmt: skip


def figures(name: str) -> dict[str, float | None]:
    return json.loads((REPORTS / name).read_text(encoding="utf-8"))["figures"]


def plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def with_interval(of: dict[str, float | None], name: str) -> str:
    low, high = of.get(f"{name}_low"), of.get(f"{name}_high")
    if of.get(name) is None or low == high:
        return plain(of.get(name))
    return f"{plain(of[name])} [{plain(low)}, {plain(high)}]"


def sets_of(name: str) -> list[str]:
    return json.loads((REPORTS / name).read_text(encoding="utf-8"))["settings"]["sets"]


@pytest.mark.parametrize(("report", "measures"), MEASURES.items())
def test_figures_of_sets_on_the_page_are_those_that_were_measured(
    report: str, measures: tuple[str, ...]
) -> None:
    found = figures(report)
    for name in sets_of(report):
        cells = [with_interval(found, f"{name}.{measure}") for measure in measures]
        posts = found[f"{name}.posts"]
        assert posts is not None
        assert f"| {' | '.join([name, f'{int(posts):,}', *cells])} |" in PAGE


@pytest.mark.parametrize("report", MEASURES)
def test_errors_of_floors_on_the_page_are_those_that_were_measured(report: str) -> None:
    found = figures(report)
    for predictor, title in TITLES.items():
        cells = [plain(found[f"{name}.error_{predictor}"]) for name in sets_of(report)]
        if set(cells) != {"–"}:
            assert f"| {' | '.join([title, *cells])} |" in PAGE
