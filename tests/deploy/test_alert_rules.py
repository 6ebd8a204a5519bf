"""Rules and routes of alerts: valid, tested case by case, explained page by page."""

import re
from pathlib import Path

import pytest
import yaml

from core.metrics import Metrics
from services.alerting.alertmanager import ALERTNAME
from services.alerting.context import INGEST_UNHEALTHY, MODEL_CHANGED, SOURCE_MISSING
from services.local.child import Command, run_to_end

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
CASES = sorted((ROOT / "deploy/prometheus/rule_tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks"
SEVERITIES = {"info", "warning", "critical"}
LAYERS = {"servers", "stream", "books", "ingest", "sentiment", "alerts", "forecasts"}


def rules(kind: str) -> dict[str, list[dict]]:
    """Return name -> rules of a kind, `alert` or `record`."""
    found: dict[str, list[dict]] = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    found.setdefault(rule[kind], []).append(rule)
    return found


ALERTS = {name: rule for name, (rule,) in rules("alert").items()}
RECORDS = rules("record")


EXPRESSIONS = [
    rule["expr"] for found in (rules("alert"), RECORDS) for same in found.values() for rule in same
]


def cases() -> list[dict]:
    return [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_accepts_the_rules(tool, path):
    status, output = run_to_end(Command((tool("promtool"), "check", "rules", str(path))), 60)
    assert status == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_holds(tool, path):
    status, output = run_to_end(Command((tool("promtool"), "test", "rules", str(path))), 300)
    assert status == 0, output


def test_every_file_of_rules_has_its_file_of_cases():
    assert [path.name for path in CASES] == [path.name for path in RULES]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet():
    fires, quiet = set(), set()
    for test in cases():
        for asked in test.get("alert_rule_test", ()):
            (fires if asked["exp_alerts"] else quiet).add(asked["alertname"])
    assert fires == quiet == set(ALERTS)


def test_every_recorded_sum_has_a_value_in_a_case():
    asked = " ".join(
        query["expr"] for test in cases() for query in test.get("promql_expr_test", ())
    )
    assert [name for name in RECORDS if not re.search(rf"{re.escape(name)}(?![\w:])", asked)] == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_is_about_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert name.startswith("Groundswell")
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["layer"] in LAYERS
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    base = "{{ $externalLabels.runbooks }}"
    assert rule["annotations"]["runbook_url"] == f"{base}docs/runbooks/{name}.md"
    # One blink tells nobody, or what was seen stays seen for a while.
    assert "for" in rule or "keep_firing_for" in rule or name == "GroundswellStoreEvicts"


def test_every_alert_has_its_page_and_every_page_its_alert():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {*ALERTS, ALERTNAME}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("Groundswell*.md")), ids=lambda p: p.stem)
def test_a_page_has_all_that_is_needed_at_night(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == ["Meaning", "Impact", "Diagnosis", "Fix"]
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / target).exists(), target


def test_pages_and_rules_name_only_metrics_that_there_are():
    known = set(RECORDS) | {"groundswell"}
    for metric in (value for value in vars(Metrics()).values() if hasattr(value, "labels")):
        for family in metric.describe():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
            known |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    texts = EXPRESSIONS + [path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("*.md")]
    named = {
        name for text in texts for name in re.findall(r"(?:[a-z_]+:)?groundswell[_:][\w:]*\w", text)
    }
    assert named - known == set()


def test_no_mean_is_made_of_means():
    means = r"avg(_over_time)?\s*(by\s*\([^)]*\)\s*)?\(\s*(groundswell_window_sentiment\b|\S+:mean)"
    for expression in EXPRESSIONS:
        assert not re.search(means, expression), expression


def test_the_causes_of_a_suppression_that_are_told_are_explained():
    page = (RUNBOOKS / "GroundswellShiftsSuppressed.md").read_text(encoding="utf-8")
    assert all(cause in page for cause in (INGEST_UNHEALTHY, SOURCE_MISSING))
    # It is silent by rule, and says nothing about trouble.
    assert f'cause!="{MODEL_CHANGED}"' in ALERTS["GroundswellShiftsSuppressed"]["expr"]


def test_all_routings_inhibit_alike():
    read = [
        yaml.safe_load((ROOT / "deploy/alertmanager" / name).read_text())["inhibit_rules"]
        for name in ("alertmanager.yml", "receivers.example.yml", "receivers.pager.example.yml")
    ]
    assert read[0] == read[1] == read[2]
    known = LAYERS | {"shift"}
    for layers in re.findall(r'layer=~?"([^"]+)"', str(read[0])):
        assert set(layers.split("|")) <= known
