"""Every command that has `--json` writes the one shape of `core.report`, and none escapes."""

import ast
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from benchmarks import bench_model, harness
from core.report import Report, write_report
from evaluation.alerts.command import write_backtest
from evaluation.forecasts import early_command
from evaluation.forecasts.lives import made_up
from services.cli.main import COMMANDS, load_command, run
from services.local.child import Command
from testkit.chaos import command as chaos_command
from testkit.chaos.books import Audit
from testkit.chaos.driving import Run
from testkit.chaos.run import Outcome
from testkit.console import MemoryData, hour_of_panes
from testkit.logs import logs_as_before

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[Path, pytest.MonkeyPatch], None]


def with_json(command: Any, words: str) -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from with_json(inner, f"{words} {name}")
    if any("--json" in getattr(option, "opts", ()) for option in command.params):
        yield words


def doctor(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["doctor", "--json", str(file), "--data", str(file.parent)]) in (0, 1)


def demo(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = SimpleNamespace(figures=lambda: {"counted": 9.0}, faults=lambda: ["one is lost"])
    stack = SimpleNamespace(run=lambda: summary)
    monkeypatch.setattr("services.local.demo.Demo", lambda *_, **__: stack)
    monkeypatch.setattr("services.local.summary.render_summary", lambda _: "")
    assert run(["demo", "--json", str(file)]) == 1
    assert msgspec.json.decode(file.read_bytes(), type=Report).notes == ["one is lost"]


def sources_check(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["sources", "check", "synthetic", "--items", "20", "--set", "speed=0"]
    assert run([*arguments, "--json", str(file)]) == 0


def queries_list(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = ROOT / "configs" / "queries.toml"
    assert run(["queries", "list", str(catalog), "--json", str(file)]) == 0


def topics_describe(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.kafka_client import TopicAdmin, TopicState

    state = TopicState("posts", 4, 1, 12, end_offsets=(12,))
    monkeypatch.setattr(TopicAdmin, "__init__", lambda *_: None)
    monkeypatch.setattr(TopicAdmin, "__exit__", lambda *_: None)
    monkeypatch.setattr(TopicAdmin, "describe", lambda *_: [state])
    assert run(["topics", "describe", "--json", str(file)]) == 1  # the others are missing
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.tables["topics"][0]["records"] == 12


def forecasts(name: str) -> Write:
    def ask(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.forecaster.showing import ForecastView

        async def nothing_yet(_: Any) -> ForecastView:
            return ForecastView(notes=["a record cannot be read"])

        monkeypatch.setattr("services.cli.forecasts.read_view", nothing_yet)
        words = ["forecasts", name, *(["rail"] if name == "top" else [])]
        assert run([*words, "--json", str(file)]) == 1
        report = msgspec.json.decode(file.read_bytes(), type=Report)
        assert report.notes == ["a record cannot be read"]

    return ask


def alerts(name: str) -> Write:
    def ask(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from services.alerting.showing import PastAlert, PastAlerts
        from tests.services.alerting.test_delivery import alert

        found = PastAlerts([PastAlert(alert(), 5, 0)], ["a record cannot be read"])
        monkeypatch.setattr("services.cli.alerts.read_alerts", lambda _: found)
        words = ["alerts", name, *(["a1"] if name == "show" else [])]
        assert run([*words, "--json", str(file)]) == 0
        report = msgspec.json.decode(file.read_bytes(), type=Report)
        assert report.notes == ["a record cannot be read"]
        assert report.tables["alerts"][0]["alert_id"] == "a1"

    return ask


def responses_show(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.responder.showing import ResponsesView

    async def nothing_yet(*_: Any) -> ResponsesView:
        return ResponsesView(notes=["a response cannot be read"])

    monkeypatch.setattr("services.cli.responses.read_responses", nothing_yet)
    assert run(["responses", "show", "--json", str(file)]) == 1
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.notes == ["a response cannot be read"]


def report(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.cli import report as command

    @asynccontextmanager
    async def memory(_: Any) -> AsyncIterator[MemoryData]:
        yield MemoryData(kept=hour_of_panes())

    monkeypatch.setattr(command, "stream_data", memory)
    span = ("--from", "2026-03-01T12:30Z", "--to", "2026-03-01T13:00Z")
    page = file.with_name("page.html")
    assert run(["report", "trains", *span, "--out", str(page), "--json", str(file)]) == 0
    found = msgspec.json.decode(file.read_bytes(), type=Report)
    assert (found.figures["posts"], found.figures["posts_before"]) == (60, 60)
    assert found.tables["counters"][0]["posts"] == 60


def chaos(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: Any, _: Any) -> Outcome:
        return Outcome(options, (), Run([]), Audit(figures={}), None, ["a post is missing"])

    monkeypatch.setattr(chaos_command, "run_chaos", broken)
    arguments = ["chaos", "--directory", str(file.parent), "--json", str(file)]
    assert run(arguments) == 1
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert (report.figures["passed"], report.notes) == (0, ["a post is missing"])


def bench(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the program that `groundswell bench` starts."""
    measured = harness.Measured({"posts_per_s": 1.0}, {}, "<svg/>", {"elsewhere": "2.1"})
    monkeypatch.setattr(sys, "argv", ["benchmarks/bench_nothing.py", "--json", str(file)])

    def measure(_: harness.Options) -> harness.Measured:
        return measured

    monkeypatch.setattr(measure, "__module__", "__main__", raising=False)
    with logs_as_before(), pytest.raises(SystemExit) as ended:
        harness.run_benchmark(measure)
    assert ended.value.code == 0
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert (report.command, report.versions["elsewhere"]) == ("bench nothing", "2.1")


def test_bench_model_hands_on_engine_and_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be the program in the model server's environment, whose report the benchmark takes over."""

    def measured(command: Command, _: float) -> tuple[int, str]:
        row = {"engine": "openvino-fp32", "cpu_us": 5.0}
        figures = {"old_over_new_cpu": 2.0, "sentiment.points_lost": 0.1}
        figures |= {"sentiment.points_lost_high": 0.4}
        figures |= {f"batch_{n}_posts_per_s": 1.0 for n in bench_model.BATCHES}
        figures |= {f"tokens_to_{n}_posts_per_s": 1.0 for n in bench_model.LENGTHS}
        write_report(
            Path(command.argv[command.argv.index("--json") + 1]), "inner", figures,
            settings={"engine": "openvino-fp32"}, tables={"engines": [row]}, notes=["a table"],
        )  # fmt: skip
        return 0, ""

    monkeypatch.setattr(bench_model, "build_model_repository", lambda: "")
    monkeypatch.setattr(bench_model, "run_to_end", measured)
    found = bench_model.measure(harness.Options(scale=0.02))
    file = tmp_path / "report.json"
    harness.write_measured(file, "benchmarks.bench_model", harness.Options(), found)
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert (report.command, report.settings["engine"]) == ("bench model", "openvino-fp32")
    assert report.figures["old_over_new_cpu"] == 2
    assert report.figures["sentiment.points_lost_high"] == 0.4
    assert found.table == "a table"


def backtest(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flatten a report with everything that a backtest returns: judging takes half a minute."""
    found = {"settings": {"days": 14}, "suite": {"cells": [{"within": True}], "missed": None}}
    write_backtest(file, found | {"by_model": {"model": "tiny"}, "took_s": 2.5}, 7)
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.figures == {"suite.missed": None, "took_s": 2.5}
    assert report.tables == {"suite.cells": [{"within": True}]}
    assert report.notes == ["by_model.model: tiny"]


def in_another_environment(module: str) -> Write:
    """Return a check that the module that a command starts writes by `core.report`."""
    return lambda *_: expect_written_by_core(ROOT / module)


def early_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long: the threads are made up, and nothing is ignited."""
    nothing = SimpleNamespace(figures=lambda: {"recall_10min": 1.0})
    monkeypatch.setattr(early_command, "rumoureval", lambda *_: made_up(30, 1))
    monkeypatch.setattr(early_command, "made_up", lambda *_: made_up(30, 2))
    monkeypatch.setattr(early_command, "simulate", lambda *_: nothing)
    assert run(["models", "early-counts", "--resamples", "10", "--json", str(file)]) == 0
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert report.figures["taking_off.recall_10min"] == 1
    assert "rumoureval_twitter.both.60min_low" in report.figures


WRITERS: dict[str, Write] = {
    "doctor": doctor,
    "demo": demo,
    "sources check": sources_check,
    "queries list": queries_list,
    "topics describe": topics_describe,
    "forecasts top": forecasts("top"),
    "forecasts quality": forecasts("quality"),
    "alerts list": alerts("list"),
    "alerts show": alerts("show"),
    "responses show": responses_show,
    "report": report,
    "chaos": chaos,
    "bench": bench,
    "backtest": backtest,
    "models early-counts": early_counts,
    "models evaluate": in_another_environment("evaluation/encoder/__main__.py"),
    "models quantify-eval": in_another_environment("evaluation/shares/__main__.py"),
    "models baseline": in_another_environment("evaluation/baselines/__main__.py"),
    "responder reply": in_another_environment("models/popalm/reply.py"),
}
"""How each command's report is made here; the last four run in environments of their own."""
HANDED_ON = {
    "services/cli/bench.py": "benchmarks/harness.py",
    "services/cli/responder.py": "models/popalm/reply.py",
    "evaluation/options.py": "evaluation/encoder/__main__.py",
    "evaluation/encoder/command.py": "evaluation/encoder/__main__.py",
    "benchmarks/bench_model.py": "evaluation/encoder/bench_model.py",
    "benchmarks/bench_throughput.py": "evaluation/encoder/bench_bare.py",
    "testkit/chaos/command.py": "testkit/chaos/report.py",
}
"""Modules with `--json` that hand the file on, and to whom."""


def expect_written_by_core(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "core.report"
        for alias in node.names
    }
    called = {node.func.id for node in ast.walk(tree)
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    assert "write_report" in imported & called, f"{path} writes no report of core.report"


def test_every_command_with_json_has_its_writer_here() -> None:
    found = {words for name in COMMANDS for words in with_json(load_command(name), name)}
    assert found == set(WRITERS)


@pytest.mark.parametrize("words", WRITERS)
def test_what_a_command_writes_is_the_one_shape(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.json"
    WRITERS[words](file, monkeypatch)
    if file.exists():
        report = msgspec.json.decode(file.read_bytes(), type=Report)
        assert report.command.startswith(words)


def test_every_module_that_knows_json_writes_by_core_report() -> None:
    folders = ("core", "stream", "models", "services", "evaluation", "testkit", "benchmarks",
               "scripts")  # fmt: skip
    known = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r'"--json"|\bJsonFile\b', path.read_text(encoding="utf-8"))
    ]
    assert len(known) > 15
    for path in known:
        name = str(path.relative_to(ROOT))
        expect_written_by_core(ROOT / HANDED_ON.get(name, name))
