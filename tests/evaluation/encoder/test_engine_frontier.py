"""The table of engines fits 80 columns, and figures are those of the engine that is served."""

from typing import Any

from benchmarks.bench_model import taken_over
from evaluation.encoder.engine_frontier import JUDGES, figures_of, table


def row(engine: str, cpu_us: float, **more: float) -> dict[str, Any]:
    return {
        "engine": engine, "posts_per_s": 1e6 / cpu_us, "cpu_us": cpu_us,
        "old_over_new_cpu": 10_000 / cpu_us, **more,
    }  # fmt: skip


def judged(engine: str, cpu_us: float, lost: float) -> dict[str, Any]:
    losses = {f"{head}.points_lost": lost for head in JUDGES}
    losses |= {f"{head}.points_lost_low": lost - 0.5 for head in JUDGES}
    losses |= {f"{head}.points_lost_high": lost + 0.5 for head in JUDGES}
    return row(engine, cpu_us, agreement=0.978, share_error=0.0512, **losses)


ROWS = [judged("openvino-int8", 10_000, 0.0), judged("onnxruntime-int8", 5_000, 0.4)]
REFUSED = {"openvino-int8-weights": "64 of 64 texts have other bits in a batch"}


def test_a_row_an_engine_in_80_columns_and_who_was_refused() -> None:
    shown = table(ROWS, "onnxruntime-int8", REFUSED)
    assert max(map(len, shown.splitlines())) <= 80
    assert "* onnxruntime-int8            200    5.00  2.00  0.978  0.051   0.40" in shown
    assert "  sentiment         0.40 [-0.10, 0.90]" in shown
    assert "openvino-int8-weights cannot be chosen: 64 of 64 texts have other bits" in shown


def test_without_data_sets_costs_alone_are_shown() -> None:
    shown = table([row("openvino-int8", 10_000)], "openvino-int8", {})
    assert "* openvino-int8               100   10.00  1.00      -      -      -" in shown


def test_the_report_has_the_contract_of_the_engine_that_is_served() -> None:
    figures = figures_of(ROWS, "onnxruntime-int8")
    found = {
        "figures": {**figures, "posts": 2}, "tables": {"engines": ROWS}, "versions": {},
        "settings": {"engine": "onnxruntime-int8"}, "notes": ["a line"],
    }  # fmt: skip
    measured = taken_over(found, 2)
    assert measured.settings["engine"] == "onnxruntime-int8"
    assert measured.figures["old_over_new_cpu"] == 2
    assert measured.figures["sentiment.points_lost"] == 0.4
    assert measured.figures["sentiment.points_lost_high"] == 0.9
    assert measured.table == "a line"
    assert "onnxruntime-int8" in measured.picture.svg()
    assert figures_of(ROWS, "another") == {}
