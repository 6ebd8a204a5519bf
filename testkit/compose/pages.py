"""The published pages: whether they answer, what Prometheus reaches, which alerts arrived."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any, Final

from testkit.compose.engine import ComposeTestFailed, wait_while
from testkit.compose.stack import PORTS, Stack

_ALERT_PATIENCE_S: Final = 180.0
_TARGETS_PATIENCE_S: Final = 60.0


def check_pages(stack: Stack) -> None:
    """Read the published pages, and Grafana's data sources through Grafana.

    Raises:
        ComposeTestFailed: A page does not answer, or Prometheus misses a target.
    """
    grafana = f"http://127.0.0.1:{PORTS['GRAFANA']}"
    password = (stack.secrets / "grafana_admin_password").read_text()
    boards = read_page(f"{grafana}/api/search", password)
    if len(boards) != len(list(Path("deploy/grafana/dashboards").glob("*.json"))):
        raise ComposeTestFailed(f"Grafana has {len(boards)} dashboards")
    for uid in ("prometheus", "alertmanager"):
        read_page(f"{grafana}/api/datasources/uid/{uid}/health", password)
    read_page(f"http://127.0.0.1:{PORTS['ALERTMANAGER']}/api/v2/alerts")
    wait_while(_unreached, _TARGETS_PATIENCE_S, every_s=1)


def _unreached() -> str:
    down = ", ".join(sorted(_targets_down()))
    return down and f"Prometheus does not reach {down}"


def _targets_down() -> set[str]:
    answer = read_page(f"http://127.0.0.1:{PORTS['PROMETHEUS']}/api/v1/targets?state=active")
    targets = answer["data"]["activeTargets"]
    if not targets:
        return {"anything"}
    return {target["labels"].get("part", "?") for target in targets if target["health"] != "up"}


def wait_for_alert(name: str, part: str) -> None:
    """Wait until an alert that Prometheus made of a part of ours lies at Alertmanager.

    Raises:
        ComposeTestFailed: It does not come.
    """

    def lacking() -> str:
        alerts = read_page(f"http://127.0.0.1:{PORTS['ALERTMANAGER']}/api/v2/alerts")
        labels = [alert["labels"] for alert in alerts if alert["status"]["state"] == "active"]
        if any(one["alertname"] == name and one.get("part") == part for one in labels):
            return ""
        return f"no alert {name} of {part} at Alertmanager, but {labels}"

    wait_while(lacking, _ALERT_PATIENCE_S, every_s=1)


def read_page(address: str, password: str = "") -> Any:
    """Return the JSON of a page of ours, for the user `admin` where a password is given.

    Raises:
        ComposeTestFailed: It does not answer, or not well.
    """
    request = urllib.request.Request(address)  # noqa: S310 -- our own containers
    if password:
        login = base64.b64encode(f"admin:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as reply:
            return json.loads(reply.read())
    except OSError as error:
        raise ComposeTestFailed(f"{address}: {error}") from error
