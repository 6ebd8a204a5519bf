"""Every query of every panel returns data from a real Prometheus that scrapes the running stack.

The stack scores with the fake, which has every head; Triton's own panels get a Triton of their own,
with a few batches sent to it, those of network sources a source whose platform is in this file, and
those of forecasts a page of a forecaster that has seen outcomes, events and a second model.
"""

import asyncio
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from core.clock import SystemClock
from core.errors import ScorerUnavailable
from core.heads import COUNTED_HEADS
from core.metrics import Metrics
from core.ports import Scorer
from core.schemas import Post
from core.settings import IngestSettings, ScorerSettings
from models.scorers import SCORERS
from models.scorers.pooled import PooledScorer
from services.ingest.cursor_store import CursorStore
from services.ingest.edge import Edge
from services.ingest.outgoing import IngestTopics, RecordWriter
from services.ingest.runner import IngestRunner
from services.ingest.sources.base import Gap, Ignored, SourceContext, SourceItem, Unmappable
from services.ingest.sources.live import LiveSource, SessionEnded
from services.ingest.sources.options import LiveLimits
from services.local.child import Command
from services.local.kafka_jars import fetch_jars
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.ports import reserved_port
from services.local.prometheus_server import PrometheusServer, ScrapeTarget, prometheus_program
from services.local.session import Session
from services.local.stack import plan_stack
from services.local.triton_server import TritonServer
from stream.windows.summary import summarise
from testkit.kafka import FakeProducer, MemoryBroker
from testkit.role_page import metrics_page, role_page
from testkit.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(prometheus_program() is None, reason="needs Prometheus"),
]

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
VARIABLES = {"$__rate_interval": "8s", "$query": "all"}
SETTINGS = {
    "GROUNDSWELL__WINDOWS__PANE_S": "5",
    "GROUNDSWELL__WINDOWS__ALLOWED_LATENESS_S": "2",
    "GROUNDSWELL__WINDOWS__IDLE_AFTER_S": "5",
    "GROUNDSWELL__HEARTBEAT__EVERY_S": "1",
    "GROUNDSWELL__EXPORTER__REFRESH_S": "1",
    "GROUNDSWELL__SCORER__SHADOW_MODEL": "another",
    "GROUNDSWELL__SCORER__SHADOW_SHARE": "1",
}


class RestlessOptions(Struct, frozen=True):
    """None."""


class FastPrometheus(PrometheusServer):
    """The project's own configuration, with a second between scrapes."""

    def command(self) -> Command:
        command = super().command()
        path = self.directory / "prometheus.yml"
        text = path.read_text()
        for name, value in {"scrape_interval": "1s", "scrape_timeout": "1s"}.items():
            assert f"  {name}: " in text
            text = "\n".join(
                f"  {name}: {value}" if line.startswith(f"  {name}:") else line
                for line in text.splitlines()
            )
        path.write_text(text + "\n")
        return command


@dataclass(frozen=True)
class PanelQuery:
    """One query of one panel."""

    board: str
    panel: str
    ref: str
    promql: str

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.ref}: {self.promql}"


def panel_queries() -> list[PanelQuery]:
    found = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                promql = target["expr"]
                for name, value in VARIABLES.items():
                    promql = promql.replace(name, value)
                assert "$" not in promql, f"{path.name}: a variable the test does not know"
                found.append(PanelQuery(path.stem, panel["title"], target["refId"], promql))
    return found


def ask(prometheus: PrometheusServer, promql: str) -> list[dict[str, Any]]:
    """Return the samples of an instant query that are numbers."""
    query = urllib.parse.urlencode({"query": promql})
    try:
        url = f"{prometheus.url}/api/v1/query?{query}"
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
            samples = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as refused:
        pytest.fail(f"{promql}\n{refused.read().decode()}")
    return [sample for sample in samples if sample["value"][1] != "NaN"]


class Restless(LiveSource[RestlessOptions]):
    """Its platform says everything that one can say, and hangs up after every breath."""

    name = "restless"
    Options = RestlessOptions

    async def session(self) -> None:
        self.connected()
        text = "every train to the harbour was replaced by a bus today, the council says"
        at = SystemClock().now()
        for number in range(5):
            self._number += 1
            post = Post(id=str(self._number), source=self.name, author="a" * 32, text=text,
                        ingested_at=at, claimed_at=at)  # fmt: skip
            others = (Ignored(), Gap("too_old", 1.0), Unmappable(b"?", "of no known kind"))
            record = post if number < 2 else others[number - 2]
            self.heard()
            self.received()
            self.repeated()
            self.at_position(1.0)
            await self.deliver([SourceItem(record, self._number)], 100)
        await asyncio.sleep(0.2)
        raise SessionEnded("closed", at_once=True)

    _number = 0


@contextmanager
def network_source(directory: Path) -> Iterator[int]:
    """Bring the restless source to a Kafka in memory; give the port of its metrics."""
    stop, metrics = threading.Event(), Metrics(role="ingest")
    settings, clock = IngestSettings(), SystemClock()
    source = Restless(RestlessOptions(), SourceContext(directory, metrics=metrics), LiveLimits())
    runner = IngestRunner(
        source, FakeProducer(MemoryBroker()), CursorStore(directory, source.name),
        RecordWriter(source.name, IngestTopics(), 1_048_576, clock), settings, metrics, clock, stop,
        edge=Edge(source, settings, metrics),
    )  # fmt: skip
    thread = threading.Thread(target=runner.run, name="network-source")
    thread.start()
    try:
        with metrics_page(metrics) as port:
            yield port
    finally:
        stop.set()
        thread.join(60)


@contextmanager
def traffic(triton: TritonServer, metrics: Metrics) -> Iterator[None]:
    """Send small batches to a Triton, and to one that is away, a few a second, until the end."""
    with reserved_port() as away:
        settings = ScorerSettings(url=(triton.grpc_address, f"127.0.0.1:{away}"))
        scorer = SCORERS.get("triton")(settings)
        assert isinstance(scorer, PooledScorer)
        scorer.watch(metrics)
        with _asked(scorer):
            yield


@contextmanager
def _asked(scorer: Scorer) -> Iterator[None]:
    """Ask for scores until the end."""
    stop = threading.Event()

    async def send() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                texts = [f"the trains are late again, for the {number}th time"] * 2
                with suppress(ScorerUnavailable):  # too slow this time
                    await scorer.score_batch(texts, ["en"] * 2)
                await asyncio.sleep(0.2)
        finally:
            await scorer.close()

    thread = threading.Thread(target=lambda: asyncio.run(send()), name="traffic")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture
def prometheus(tmp_path: Path, triton: TritonServer) -> Iterator[PrometheusServer]:
    """A Prometheus over a running stack, and a Triton that works."""
    options = StackOptions(
        scorer="fake",
        ingest_arguments=("--rate=100", "--malformed-share=0.05"),
        metrics_stack=False,
        settings=SETTINGS,
        paths=RuntimePaths(tmp_path / "stack", shared_cache=DEFAULT_PATHS.cache),
    )
    session = Session(
        options,
        say=print,
        plan=partial(plan_stack, usual_ports=False),
        prepare=lambda asked, _say: fetch_jars(asked.paths.cache),
    )
    with session:
        session.bring_up()
        targets = [
            ScrapeTarget(server.name, server.ports["metrics"])
            for server in [*session.stack.servers, triton]
            if "metrics" in server.ports
        ]
        with (
            network_source(tmp_path / "network") as port,
            role_page("forecaster") as forecaster,
            # An event is learnt from hours after it began.
            role_page("responder", "groundswell_crowd_") as responder,
            metrics_page(scoring := Metrics()) as pool,
        ):
            targets.append(ScrapeTarget("worker-pool", pool))
            targets.append(ScrapeTarget("ingest-network", port))
            targets.append(ScrapeTarget("forecaster-page", forecaster))
            targets.append(ScrapeTarget("responder-page", responder))
            # Traffic last: a process that forks while gRPC's threads run may not get far.
            with (
                FastPrometheus(tmp_path / "prometheus", targets) as server,
                traffic(triton, scoring),
            ):
                yield server


def has_a_subject(panel: str) -> bool:
    """Whether there is anything that a panel can show: two are for what is added to the tables."""
    own_panels = {"sentiment", "emotion", "participation", "problem"}
    subjects = {
        "Other heads": set(COUNTED_HEADS) - own_panels,
        "Other counters": set(summarise({}).others),
    }
    return bool(subjects.get(panel, True))


def test_every_query_of_every_panel_returns_data(prometheus: PrometheusServer) -> None:
    queries = panel_queries()
    empty = [query for query in queries if has_a_subject(query.panel)]
    assert len(empty) > 50

    def all_have_data() -> bool:
        empty[:] = [query for query in empty if not ask(prometheus, query.promql)]
        return not empty

    wait_until(all_have_data, "data", why=lambda: "\n".join(map(str, empty)), every_s=1)
    for query in queries:
        if not has_a_subject(query.panel):
            assert not ask(prometheus, query.promql), str(query)
    # What comes to be so in a healthy stack; a single scrape may be too slow for its second.
    healthy = (
        "groundswell_heartbeat_age_seconds < 10",
        'min(up{job="groundswell"}) == 1',
        "sum(abs(groundswell_integrity_gap_posts)) == 0",
    )
    for promql in healthy:
        wait_until(partial(ask, prometheus, promql), promql, every_s=1)
    # And what never is.
    gap = "max_over_time(sum(abs(groundswell_integrity_gap_posts))[10m:1s])"
    assert [sample["value"][1] for sample in ask(prometheus, gap)] == ["0"]
    assert not ask(prometheus, '{__name__=~"groundswell_window_.*", query="heartbeat"}')
