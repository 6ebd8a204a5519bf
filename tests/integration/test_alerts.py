"""A fault, and a shift, reach a webhook through the real stack, Prometheus and Alertmanager."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.codec import alert_decoder, encode
from core.config import build
from core.folders import runbooks
from core.schemas import Alert, Post
from core.settings import KafkaSettings
from services.alerting.showing import read_alerts, read_examples
from services.kafka_client import RecordProducer, read_topic
from services.local.kafka_jars import fetch_jars
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.prometheus_server import (
    ScrapeTarget,
    alertmanager_program,
    prometheus_program,
)
from services.local.server import LocalServer
from services.local.session import Session
from services.local.stack import plan_stack
from stream.topics import ALERTS, POSTS
from testkit.local import (
    HurriedAlertmanager,
    HurriedPrometheus,
    Webhook,
    listening_alertmanager,
)
from testkit.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(prometheus_program() is None, reason="needs Prometheus"),
    pytest.mark.skipif(alertmanager_program() is None, reason="needs Alertmanager"),
]

SETTINGS = {
    "GROUNDSWELL__WINDOWS__IDLE_AFTER_S": "600",
    "GROUNDSWELL__WINDOWS__ALLOWED_LATENESS_S": "0",
    "GROUNDSWELL__KAFKA__SESSION_TIMEOUT_S": "6",
    "GROUNDSWELL__CLOSER__TICK_S": "0.2",
    "GROUNDSWELL__HEARTBEAT__EVERY_S": "1",
    "GROUNDSWELL__EXPORTER__REFRESH_S": "1",
    "GROUNDSWELL__ALERTS__RESEND_S": "2",
    "GROUNDSWELL__ALERTS__NOTICE_S": "6",
    "GROUNDSWELL__ALERTS__HEARTBEAT_LIMIT_S": "600",
}
MORNING = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
QUIET_PANES, LOUD_PANES = 1_500, 20
USUAL_POSTS, MANY_POSTS = 8, 40


@dataclass
class Watched:
    """A running stack and who watches it."""

    servers: dict[str, LocalServer]
    alertmanager: HurriedAlertmanager
    webhook: Webhook
    environment: dict[str, str]
    sent: int = 0

    def wait_for(self, claim: Callable[[], object], what: str) -> None:
        def why() -> str:
            logs = [f"--- {name}\n{s.log_tail(20)}" for name, s in self.servers.items()]
            return f"{self.webhook.notifications}\n" + "\n".join(logs)

        wait_until(claim, what, why=why, every_s=0.2)

    def produce(self, first_pane: int, panes: int, posts: int) -> None:
        """Produce posts as a replay does: told and taken when they were written."""
        producer = RecordProducer(self.kafka)
        try:
            for pane in range(first_pane, first_pane + panes):
                for number in range(posts):
                    at = MORNING + timedelta(minutes=pane, seconds=60 * number / posts)
                    self.sent += 1
                    post = Post(
                        id=str(self.sent), source="synthetic", author=f"author-{self.sent % 997}",
                        ingested_at=at, claimed_at=at, lang="en",
                        text=f"the trains are late again, for the {self.sent}th time",
                    )  # fmt: skip
                    producer.send(POSTS, post.author.encode(), encode(post))
            producer.flush(60)
        finally:
            producer.close()

    @property
    def kafka(self) -> KafkaSettings:
        address = self.environment["GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS"]
        return build({"kafka": {"bootstrap_servers": address}}).kafka

    def alerts(self) -> list[Alert]:
        return [
            alert_decoder.decode(record.value or b"") for record in read_topic(self.kafka, ALERTS)
        ]

    def said(self) -> set[str]:
        """Return the shifts in volume that were published."""
        return {alert.alert_id for alert in self.alerts() if alert.kind == "volume"}

    def told(self, status: str) -> set[str]:
        """Return the shifts of which the webhook was told this."""
        return {alert["labels"]["alert"] for alert in self.shifts(status)}

    def shifts(self, status: str) -> list[dict]:
        found = self.webhook.alerts(alertname="GroundswellShift", query="all", kind="volume")
        return [alert for alert in found if alert["status"] == status]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("alerts")
    with Webhook() as webhook, listening_alertmanager(home / "alertmanager", webhook) as receiver:
        settings = SETTINGS | {"GROUNDSWELL__ALERTS__ALERTMANAGER_URL": receiver.url}
        options = StackOptions(
            source="", scorer="fake", metrics_stack=False, settings=settings, partitions=2,
            paths=RuntimePaths(home / "stack", shared_cache=DEFAULT_PATHS.cache),
        )  # fmt: skip
        session = Session(
            options,
            say=print,
            plan=partial(plan_stack, usual_ports=False),
            prepare=lambda asked, _say: fetch_jars(asked.paths.cache),
        )
        with session:
            session.bring_up()
            servers = {server.name: server for server in session.stack.servers}
            targets = [
                ScrapeTarget(server.name, server.ports["metrics"])
                for server in servers.values()
                if "metrics" in server.ports
            ]
            port = receiver.port
            with HurriedPrometheus(home / "prometheus", targets, alertmanager_port=port):
                yield Watched(servers, receiver, webhook, session.stack.environment)


def test_a_worker_that_stops_is_told_and_its_return_too(watched: Watched) -> None:
    told = partial(watched.webhook.alerts, alertname="GroundswellNoWorker")
    watched.servers["worker-1"].kill()
    watched.wait_for(told, "telling that no worker runs")
    first = told()[0]
    assert first["status"] == "firing"
    assert first["labels"]["severity"] == "critical"
    assert first["annotations"] == {
        "summary": "No worker is running: posts wait in Kafka",
        "runbook_url": f"{runbooks()}docs/runbooks/GroundswellNoWorker.md",
    }
    assert Path(urlsplit(first["annotations"]["runbook_url"]).path).is_file()
    watched.servers["worker-1"].start()
    watched.wait_for(lambda: told()[-1]["status"] == "resolved", "telling that it is over")


def test_a_shift_is_told_once_and_its_end_although_everything_on_the_way_dies(
    watched: Watched,
) -> None:
    watched.produce(0, QUIET_PANES, USUAL_POSTS)
    watched.produce(QUIET_PANES, LOUD_PANES, MANY_POSTS)
    watched.wait_for(lambda: watched.shifts("firing"), "telling the shift")
    first = watched.shifts("firing")[0]
    assert first["labels"]["direction"] == "up"
    assert first["labels"]["layer"] == "shift"
    notes = first["annotations"]
    assert "all" in notes["sentence"]
    assert "nats" in notes["evidence"]
    assert notes["link"].endswith(f"/alerts/{first['labels']['alert']}")

    # While it fires: the closer dies and comes back; so does Redis; Alertmanager stays away.
    sent = watched.alertmanager.directory / "stored" / "nflog"
    watched.wait_for(lambda: sent.is_file() and sent.stat().st_size, "writing down what was sent")
    watched.alertmanager.kill()
    watched.servers["closer"].kill()
    watched.servers["redis"].kill()
    watched.servers["redis"].start()
    watched.servers["redis"].wait_ready()
    watched.produce(QUIET_PANES + LOUD_PANES, 60, USUAL_POSTS)
    watched.servers["closer"].start()
    watched.wait_for(lambda: any(a.state == "resolved" for a in watched.alerts()), "its end")
    assert not watched.shifts("resolved")
    watched.servers["closer"].kill()
    watched.alertmanager.start()
    watched.alertmanager.wait_ready()
    watched.servers["closer"].start()
    watched.wait_for(lambda: watched.told("resolved") >= watched.said(), "telling its end")

    said = [(a.alert_id, a.state, a.severity) for a in watched.alerts() if a.kind == "volume"]
    assert len(said) == len(set(said)), "said twice"
    for alert_id in watched.said():
        states = [state for one, state, _ in said if one == alert_id]
        assert states[-1] == "resolved"
        assert set(states[:-1]) == {"firing"}
    assert watched.told("firing") == watched.said() == watched.told("resolved")

    past = read_alerts(watched.kafka)
    assert not past.notes
    assert {one.alert.alert_id for one in past.alerts} >= watched.said()
    for one in past.alerts:
        # It goes out without examples if Kafka is slow; what it names can be read.
        shown = read_examples(watched.kafka, one)
        assert [example.post_id for example in shown] == [e.post_id for e in one.alert.examples]
        assert all(example.text.endswith(f"{example.post_id}th time") for example in shown)
