"""The rules of single queries, as the query file has them, read while a closer runs."""

from pathlib import Path

from core.metrics import Metrics
from services.alerting.rules import LiveRules
from tests.services.alerting.test_delivery import alert

FILE = """
[queries.trains]
expression = "trains"
[queries.trains.alerts]
direction = "down"
mute = ["mix"]
thresholds = { opinion = 15 }
"""


def test_rules_decide_who_is_told_and_other_queries_are_as_before(tmp_path: Path) -> None:
    path = tmp_path / "queries.toml"
    path.write_text(FILE)
    rules = LiveRules(path, Metrics())
    assert rules.tells(alert(direction="up"))  # nothing was read yet
    assert rules.check()
    assert not rules.check()
    assert rules.by_query["trains"].thresholds == {"opinion": 15.0}
    assert rules.tells(alert(direction="down"))
    assert not rules.tells(alert(direction="up"))
    assert not rules.tells(alert(direction="down", kind="mix"))
    assert rules.tells(alert(direction="up", kind="brigading"))  # it has no other
    assert rules.tells(alert(direction="up", query="buses"))


def test_a_file_that_cannot_be_read_is_said_once_and_keeps_the_rules(tmp_path: Path) -> None:
    path, metrics = tmp_path / "queries.toml", Metrics()
    rules = LiveRules(path, metrics)

    def refused() -> float | None:
        return metrics.registry.get_sample_value("groundswell_query_reload_failures_total")

    assert not rules.check()  # there is none
    assert not rules.check()
    assert refused() == 1
    path.write_text(FILE)
    assert rules.check()
    path.write_text(FILE.replace("down", "sideways"))
    assert not rules.check()
    assert not rules.check()
    assert refused() == 2
    assert not rules.tells(alert(direction="up"))
    path.write_text(FILE.replace("down", "up"))
    assert rules.check()
    assert rules.tells(alert(direction="up"))
