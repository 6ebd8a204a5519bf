"""The dashboards are as generated, name metrics that exist, and show no small group's plans."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.metrics import Metrics
from services.console import pages as console_pages
from services.local.options import StackOptions
from services.local.paths import RuntimePaths
from services.local.prometheus_server import PrometheusServer, prometheus_program
from services.local.stack import plan_stack
from stream.windows.summary import MIN_PARTICIPATION_POSTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
OTHERS = re.compile(r"nv_inference_\w+|process_\w+|ALERTS\{")
RECORDED = re.compile(r"\w*:groundswell_\w+:\w+")
"""Recorded by rules; `test_alert_rules.py` holds them to what is defined."""


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "generate_dashboards.py"
    return subprocess.run(
        [sys.executable, str(script), "--check", "--output", str(folder)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def panels(board: str) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in BOARDS[board]["panels"] if panel["type"] != "row")


def queries() -> list[str]:
    return [t["expr"] for board in BOARDS for panel in panels(board) for t in panel["targets"]]


def test_the_committed_files_are_as_generated() -> None:
    checked = check(FOLDER)
    assert checked.returncode == 0, checked.stderr


def test_the_check_fails_on_a_file_that_differs_is_missing_or_is_too_many(tmp_path: Path) -> None:
    folder = tmp_path / "dashboards"
    shutil.copytree(FOLDER, folder)
    path = folder / "pipeline.json"
    path.write_text(path.read_text().replace("Heartbeat age", "Heart rate"))
    (folder / "by-hand.json").write_text("{}")
    (folder / "conversation.json").unlink()
    checked = check(folder)
    assert checked.returncode == 1
    for name in ("pipeline.json", "by-hand.json", "conversation.json"):
        assert name in checked.stderr


def test_every_name_in_a_query_is_a_metric() -> None:
    known = set()
    metrics = [value for value in vars(Metrics()).values() if hasattr(value, "labels")]
    for family in (family for metric in metrics for family in metric.describe()):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        known |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    for query in queries():
        named = set(re.findall(r"groundswell_\w+", RECORDED.sub("", query)))
        assert named <= known, query
        assert named or OTHERS.search(query) or RECORDED.search(query), query


@pytest.mark.parametrize("board", BOARDS)
def test_titles_are_unique_and_every_panel_explains_itself(board: str) -> None:
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles)) > 10
    assert all(panel["description"] and panel["datasource"] for panel in panels(board))


@pytest.mark.parametrize("board", BOARDS)
def test_the_page_has_a_row_for_every_panel_and_none_else(board: str) -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {board.capitalize()}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    documented = re.findall(r"^\| \*\*(.+?)\*\* \|", section, re.M)
    assert sorted(documented) == sorted(panel["title"] for panel in panels(board))


@pytest.mark.parametrize("board", BOARDS)
def test_rows_are_full_and_panels_do_not_overlap(board: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[board]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_participation_is_asked_for_groups_only() -> None:
    about = ("participation", "mobilisation", 'head="problem"')
    asked = [query for query in queries() if any(word in query for word in about)]
    assert len(asked) > 5
    guard = f" and on (query) groundswell_window_posts >= {MIN_PARTICIPATION_POSTS}"
    for query in asked:
        assert query.removeprefix("topk(10, ").rstrip(")").endswith(guard), query


def labels_of(query: str) -> set[str]:
    """Return every label that a metric or a recorded name in a query may have."""
    found = {"instance", "part", "job", "le"}
    for recorded in RECORDED.findall(query):
        found |= LABELS_OF_RECORDS[recorded]
    for name in set(re.findall(r"groundswell_\w+", RECORDED.sub("", query))):
        found |= LABELS[re.sub("_(total|bucket|sum|count)$", "", name)]
    return found


LABELS = {
    family.name: set(metric._labelnames)
    for metric in vars(Metrics()).values()
    if hasattr(metric, "labels")
    for family in metric.describe()
}
LABELS_OF_RECORDS = {
    record: set(re.match(r"\w*", record)[0].replace("groundswell", "").split("_")) | {"topic"}
    for query in queries()
    for record in RECORDED.findall(query)
}


def test_queries_and_legends_name_only_labels_that_their_metrics_have() -> None:
    asked = 0
    for board in BOARDS:
        for panel in panels(board):
            for target in panel["targets"]:
                query, legend = target["expr"], target.get("legendFormat", "")
                if OTHERS.search(query):
                    continue
                grouped = re.findall(r"\b(?:by|on|without|ignoring) ?\(([\w, ]*)\)", query)
                chosen = re.findall(r"[{,] ?(\w+)(?:=|!=)", query)
                named = {name.strip() for group in grouped for name in group.split(",")} | {*chosen}
                named |= set(re.findall(r"{{(\w+)}}", legend))
                assert named - {""} <= labels_of(query), (panel["title"], query, legend)
                asked += len(named)
    assert asked > 100


def panels_of_forecasts() -> list[dict[str, Any]]:
    about = ("forecast", "predicted_reach", "ranked_posts", "engagement_")
    return [
        panel
        for board in BOARDS
        for panel in panels(board)
        if any(word in target["expr"] for target in panel["targets"] for word in about)
    ]


def test_no_panel_of_forecasts_is_empty_without_a_word() -> None:
    assert len(panels_of_forecasts()) > 30
    for panel in panels_of_forecasts():
        never_empty = any(t["expr"].endswith("vector(0)") for t in panel["targets"])
        assert panel["fieldConfig"]["defaults"].get("noValue") or never_empty, panel["title"]


def test_what_stands_on_outcomes_says_from_how_many_on_and_keeps_to_it() -> None:
    stands_on = ("_skill", "_coverage", "_rank_correlation")
    found = [
        panel
        for panel in panels_of_forecasts()
        if any(word in target["expr"] for target in panel["targets"] for word in stands_on)
    ]
    assert len(found) > 7
    for panel in found:
        (least,) = re.findall(r"[Ff]rom (\d+) outcomes on", panel["description"])
        for target in panel["targets"]:
            assert re.search(rf"(outcomes|compared)\S* >= {least}\b", target["expr"]), panel


def test_a_greyed_source_is_marked_in_words() -> None:
    (panel,) = [p for p in panels("forecasts") if "greyed" in p["targets"][0]["expr"]]
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"]["0"]["text"] == "in use"
    assert mapping["options"]["1"]["text"] == "GREYED OUT"


def test_no_panel_asks_for_the_heartbeat_as_if_it_were_a_source_of_people() -> None:
    (stages,) = (p for p in panels("pipeline") if p["title"] == "Posts by stage")
    assert 'source!="heartbeat"' in stages["targets"][0]["expr"]


@pytest.mark.skipif(prometheus_program() is None, reason="needs Prometheus")
def test_the_local_prometheus_scrapes_triton_and_every_process(tmp_path: Path) -> None:
    stack = plan_stack(StackOptions(paths=RuntimePaths(tmp_path), workers=2), usual_ports=False)
    (prometheus,) = (server for server in stack.servers if isinstance(server, PrometheusServer))
    prometheus.directory.mkdir(parents=True)
    prometheus.command()
    groups = json.loads((prometheus.directory / "targets.json").read_text())
    scraped = {group["labels"]["part"]: group["targets"] for group in groups}
    for server in stack.servers:
        if "metrics" in server.ports:
            assert scraped[server.name] == [f"127.0.0.1:{server.ports['metrics']}"]
    assert {"triton", "worker-1", "worker-2", "closer", "exporter", "heartbeat"} <= set(scraped)


def test_shifts_of_the_chosen_query_are_drawn_into_the_conversation() -> None:
    (annotation,) = BOARDS["conversation"]["annotations"]["list"]
    assert annotation["expr"] == 'groundswell_shift_firing{query="$query"}'
    assert annotation["titleFormat"] == "{{kind}} {{direction}}"
    assert annotation["datasource"]["uid"] == "prometheus"


def links_to_console(board: str) -> list[str]:
    """Return where the links of a dashboard lead, its own first."""
    links = [*BOARDS[board]["links"]]
    for panel in panels(board):
        links += panel["fieldConfig"]["defaults"].get("links", ())
    return [link["url"] for link in links if link["url"]]


@pytest.mark.parametrize("board", BOARDS)
def test_links_lead_to_pages_that_the_console_has(board: str) -> None:
    paths = {route.path for router in console_pages.ROUTERS for route in router.routes}
    found = links_to_console(board)
    assert found
    for url in found:
        base, _, path = url.partition("/")
        assert base == "${console:raw}"
        # A name may hold what an address may not, so it is encoded by Grafana.
        assert re.sub(r"\$\{[\w.]+:percentencode\}", "{name}", f"/{path}") in paths, url


def test_what_is_of_one_query_leads_to_that_query() -> None:
    assert links_to_console("conversation")[0].endswith("/queries/${query:percentencode}")
    led = 0
    for board in BOARDS:
        for panel in panels(board):
            links = panel["fieldConfig"]["defaults"].get("links", [])
            legends = [target.get("legendFormat", "") for target in panel["targets"]]
            if all("{{query}}" in legend for legend in legends):
                (link,) = links
                assert "${__field.labels.query:percentencode}" in link["url"], panel["title"]
                led += 1
            elif any("$query" in link["url"] for link in links):
                assert all('query="$query"' in target["expr"] for target in panel["targets"])
    assert led > 3


@pytest.mark.parametrize("board", BOARDS)
def test_where_the_console_is_it_says_itself_and_no_address_bends_it(board: str) -> None:
    (variable,) = (v for v in BOARDS[board]["templating"]["list"] if v["name"] == "console")
    assert variable["query"] == "query_result(groundswell_console_info)"
    assert variable["skipUrlSync"] is True
    address = 'address="https://seen.example:8443"'
    shown = f'groundswell_console_info{{{address},instance="a:1"}} 1 1700000000'
    pattern = variable["regex"].removeprefix("/").removesuffix("/")
    assert re.findall(pattern, shown) == ["https://seen.example:8443"]
