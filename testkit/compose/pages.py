"""What people look at: published pages, alerts that arrived, and the log of the demo."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any, Final

from testkit.compose.failures import ComposeTestFailed, wait_while
from testkit.compose.stack import PORTS, Stack

GRAFANA: Final = f"http://127.0.0.1:{PORTS['GRAFANA']}"
PROMETHEUS: Final = f"http://127.0.0.1:{PORTS['PROMETHEUS']}"
ALERTMANAGER: Final = f"http://127.0.0.1:{PORTS['ALERTMANAGER']}"
_ALERT_PATIENCE_S: Final = 300.0
_TARGETS_PATIENCE_S: Final = 180.0


def check_pages(stack: Stack) -> None:
    """Read the published pages, and Grafana's data sources through Grafana.

    Raises:
        ComposeTestFailed: A page does not answer, or shows too little.
    """
    password = stack.grafana_password
    boards = read_page(f"{GRAFANA}/api/search", password)
    if len(boards) != len(list(Path("deploy/grafana/dashboards").glob("*.json"))):
        raise ComposeTestFailed(f"Grafana has {len(boards)} dashboards")
    for uid in ("prometheus", "alertmanager"):
        read_page(f"{GRAFANA}/api/datasources/uid/{uid}/health", password)
    read_page(f"{ALERTMANAGER}/api/v2/alerts")
    read_page(f"{PROMETHEUS}/api/v1/rules")


def check_targets() -> None:
    """Wait until Prometheus reaches every service with a page of metrics.

    Raises:
        ComposeTestFailed: It does not.
    """
    wait_while(_unreached, _TARGETS_PATIENCE_S, every_s=1)


def check_demo(stack: Stack) -> None:
    """Have the service `demo` show once what is seen, of a day that ended in a shift.

    Raises:
        ComposeTestFailed: It shows no window of all posts, or no shift.
    """
    said = stack("run", "--rm", "--no-deps", "--no-TTY", "demo", "1", "0")
    for missing in ("No window has closed yet", "No shift yet"):
        if missing in said:
            raise ComposeTestFailed(f"the demo shows too little:\n{said[-2_000:]}")
    if not said.endswith("the stack goes on.\n"):
        raise ComposeTestFailed(f"the demo has no end:\n{said[-2_000:]}")


def _unreached() -> str:
    down = ", ".join(sorted(_targets_down()))
    return down and f"Prometheus does not reach {down}"


def _targets_down() -> set[str]:
    try:
        answer = read_page(f"{PROMETHEUS}/api/v1/targets?state=active")
    except ComposeTestFailed as error:
        return {str(error)}
    targets = answer["data"]["activeTargets"]
    if not targets:
        return {"anything"}
    return {target["labels"].get("part", "?") for target in targets if target["health"] != "up"}


def wait_for_alert(name: str, **labels: str) -> dict[str, Any]:
    """Wait until an alert with these labels is active at Alertmanager, and return it.

    Raises:
        ComposeTestFailed: It does not come.
    """
    wanted = {"alertname": name, **labels}
    found: dict[str, Any] = {}

    def lacking() -> str:
        try:
            alerts = read_page(f"{ALERTMANAGER}/api/v2/alerts?active=true")
        except ComposeTestFailed as error:
            return str(error)
        for alert in alerts:
            if wanted.items() <= alert["labels"].items():
                found.update(alert)
                return ""
        return f"no alert {wanted} at Alertmanager, but {[a['labels'] for a in alerts]}"

    wait_while(lacking, _ALERT_PATIENCE_S, every_s=1)
    return found


def read_page(address: str, password: str = "", told: Any = None) -> Any:
    """Return the JSON of a page of ours.

    Args:
        address: Where it is.
        password: Of the user `admin`; empty where none is asked for.
        told: What is sent to it as JSON; None reads.

    Raises:
        ComposeTestFailed: It does not answer, or not well.
    """
    body = None if told is None else json.dumps(told).encode()
    request = urllib.request.Request(address, body)  # noqa: S310 -- our own containers
    if body is not None:
        request.add_header("Content-Type", "application/json")
    if password:
        login = base64.b64encode(f"admin:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as reply:
            return json.loads(reply.read())
    except OSError as error:
        raise ComposeTestFailed(f"{address}: {error}") from error
