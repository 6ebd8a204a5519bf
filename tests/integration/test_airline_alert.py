"""A recorded deterioration of opinion, from the file to a person, through every real part."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.codec import alert_decoder
from core.schemas import Alert
from services.kafka_client import read_topic
from services.local.child import Child, Command, run_to_end
from services.local.prometheus_server import alertmanager_program
from services.local.triton_server import TritonServer
from stream.topics import ALERTS
from testkit.local import Webhook, listening_alertmanager
from testkit.waiting import PATIENCE_S, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(alertmanager_program() is None, reason="needs Alertmanager"),
]

REPOSITORY = Path(__file__).parents[2]
DETERIORATION = datetime(2015, 2, 21, 18, 0, tzinfo=UTC)
"""Noon of the 21st over there: storms begin, and on the 22nd flights of American and US Airways are
cancelled by the hundred. What fires before is of the quiet days."""
AFTERWARDS = datetime(2015, 2, 23, 12, 0, tzinfo=UTC)
AIRLINES = ("americanair", "usairways")


@pytest.fixture
def parts() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_deterioration_of_22_february_reaches_a_person_and_names_whose_it_is(
    make_stream: Callable,
    triton: TritonServer,
    data_dir: Path,
    tmp_path: Path,
    parts: ExitStack,
):
    webhook = parts.enter_context(Webhook())
    alertmanager = parts.enter_context(listening_alertmanager(tmp_path / "alertmanager", webhook))
    stream = make_stream(
        scorer={"kind": "triton", "url": triton.grpc_address},
        # A partition that waits for the scorer is not idle: panes would close without its posts.
        # Nothing is idle here: what is waited for happened a day before the stream ends.
        windows={"pane_s": 600, "idle_after_s": 3600},
        closer={"tick_s": 0.2},
        alerts={"alertmanager_url": alertmanager.url, "notice_s": 8, "resend_s": 3},
    )
    env = {
        f"GROUNDSWELL__{section}__{field}".upper(): str(value)
        for section, fields in stream.tree.items()
        for field, value in fields.items()
    } | {"GROUNDSWELL__INGEST__CURSOR_DIR": str(tmp_path / "cursors")}

    def command(*words: str) -> Command:
        return Command((sys.executable, "-m", "services.cli.main", *words), env, cwd=REPOSITORY)

    path = data_dir / "streams" / "airline.csv.gz"
    replay = ("ingest", "--source", "replay", "--path", str(path), "--lang", "en")
    status, output = run_to_end(command(*replay), PATIENCE_S)
    assert status == 0, output
    stream.start_worker("w0")
    closer = Child(command("closer"), stream.directory / "closer.log")
    try:
        found = _wait(stream, lambda: _worse(stream), "the end of the fall is published")
        told = _wait(stream, lambda: webhook.alerts(alert=found[0].alert_id), "it is delivered")
    finally:
        closer.stop(30)
    assert max(one.decided_at for one in found) >= datetime(2015, 2, 22, tzinfo=UTC)
    named = [term.term for one in found for term in one.terms]
    assert any(airline in word for airline in AIRLINES for word in named), named
    assert told[0]["annotations"]["sentence"]
    assert told[0]["labels"]["kind"] == "opinion"
    quiet = [one for one in _alerts(stream) if one.query == "all" and one.fired < DETERIORATION]
    said = [(one.fired, one.state, one.ended_as, one.sentence) for one in quiet]
    assert len({one.alert_id for one in quiet}) <= 1, said


def _alerts(stream) -> list[Alert]:
    """Return all that was said of anything."""
    records = read_topic(stream.settings.kafka, ALERTS)
    return [alert_decoder.decode(record.value or b"") for record in records]


def _worse(stream) -> list[Alert]:
    """Return all that was said of the fall of opinion about everything, once it was said to end."""
    found = [
        one
        for one in _alerts(stream)
        if (one.query, one.kind, one.direction) == ("all", "opinion", "down")
        and DETERIORATION <= one.fired < AFTERWARDS
    ]
    first = [one for one in found if one.alert_id == found[0].alert_id]
    return first if any(one.state == "resolved" for one in first) else []


def _wait(stream, claim: Callable[[], list], what: str) -> list:
    def why() -> str:
        said = [(a.query, a.fired, a.state, a.sentence) for a in _alerts(stream)]
        return f"{said}\n{stream.last_words()}"

    return wait_until(claim, what, why=why, every_s=2)
