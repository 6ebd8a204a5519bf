"""The stack taken down in mid-stream and brought up from other images over the same volumes."""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from testkit.compose.console import Console, make_key
from testkit.compose.failures import ComposeTestFailed
from testkit.compose.pages import ALERTMANAGER, GRAFANA, PROMETHEUS, read_page
from testkit.compose.stack import Stack

_VERSION: Final = "upgraded"
_SILENCE: Final = "kept over an upgrade"
_OURS: Final = "groundswell/"


@dataclass(frozen=True)
class Kept:
    """What must be the same after an upgrade.

    Attributes:
        at_s: When Prometheus was asked, in Unix seconds.
        series: How many of its targets were up then.
        password: Grafana's, which holds from its first start on.
        console_key: A key that was made in the console's container.
        volumes: The names of the stack's volumes.
    """

    at_s: float
    series: str
    password: str
    console_key: str
    volumes: frozenset[str]


def upgrade(stack: Stack) -> Kept:
    """Take the stack down without its volumes, and bring it up under another version.

    Returns:
        What must be there again.
    """
    kept = _leave_marks(stack)
    stack("down", "--timeout", "60")
    stack.environment["GROUNDSWELL_VERSION"] = _VERSION
    stack("build")
    stack("up", "--detach")
    return kept


def check_upgraded(stack: Stack, kept: Kept) -> None:
    """Hold what runs after an upgrade to what ran before.

    Raises:
        ComposeTestFailed: With everything that is of the old version, or that was lost.
    """
    faults = []
    for container in stack.containers():
        image = container["Config"]["Image"]
        if image.startswith(_OURS) and not image.endswith(f":{_VERSION}"):
            faults.append(f"{container['Name']}: still of {image}")
    if (now := stack.volumes()) != kept.volumes:
        faults.append(f"volumes were {sorted(kept.volumes)} and are {sorted(now)}")
    if (series := _targets_up(kept.at_s)) != kept.series:
        faults.append(f"Prometheus knew {kept.series} targets, and now says {series} of then")
    silences = read_page(f"{ALERTMANAGER}/api/v2/silences")
    if [one["comment"] for one in silences if one["status"]["state"] == "active"] != [_SILENCE]:
        faults.append("Alertmanager has lost a silence")
    if faults:
        raise ComposeTestFailed("\n".join(faults))
    read_page(f"{GRAFANA}/api/search", kept.password)
    if (role := Console(kept.console_key).health()["role"]) != "viewer":
        raise ComposeTestFailed(f"the console takes a viewer of before for {role!r}")


def _leave_marks(stack: Stack) -> Kept:
    """Silence an alert that nobody makes, and give Grafana a password that comes too late."""
    now = datetime.now(UTC)
    read_page(f"{ALERTMANAGER}/api/v2/silences", told={
        "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=4)).isoformat(),
        "createdBy": "compose-test", "comment": _SILENCE,
    })  # fmt: skip
    password = stack.secrets / "grafana_admin_password"
    password.unlink()
    password.write_text("of-a-later-day")
    password.chmod(0o444)
    at_s = time.time()
    key = make_key(stack, "kept-over-an-upgrade", "viewer")
    return Kept(at_s, _targets_up(at_s), stack.grafana_password, key, stack.volumes())


def _targets_up(at_s: float) -> str:
    asked = urllib.parse.urlencode({"query": "count(up == 1)", "time": f"{at_s:.3f}"})
    answer = read_page(f"{PROMETHEUS}/api/v1/query?{asked}")["data"]["result"]
    return str(answer[0]["value"][1]) if answer else "none"
