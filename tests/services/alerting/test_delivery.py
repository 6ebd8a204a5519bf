"""What Alertmanager is told, by whoever may be away, in which order; no clock but ours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.clock import ManualClock, epoch_ms
from core.errors import AlertmanagerUnavailable
from core.metrics import Metrics
from core.schemas import Alert, Interval
from core.settings import AlertSettings
from services.alerting.alertmanager import evidence, link_to, postable
from services.alerting.delivery import RESOLVED_KEPT_S, Delivery
from services.alerting.open_alerts import OpenAlert, band_of, read_open_alerts
from stream.store.keys import OPEN

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = AlertSettings(resend_s=60.0, hold_s=900.0, notice_s=30.0, link="")
NOTHING = Interval(0.0, 0.0, 0.0)


def alert(**changes: Any) -> Alert:
    fields = {
        "alert_id": "a1", "query": "trains", "kind": "opinion", "state": "firing",
        "direction": "down", "severity": 5, "started": NOON - timedelta(minutes=9),
        "fired": NOON - timedelta(minutes=5), "decided_at": NOON - timedelta(minutes=5),
        "evidence": 14.2, "threshold": 11.0, "before": Interval(0.2, 0.1, 0.3),
        "after": Interval(-0.1, -0.2, 0.0), "change": NOTHING, "posts": 90,
        "mix": -0.05, "opinion": -0.25, "sentence": "Opinion about trains fell.",
    }  # fmt: skip
    return Alert(**(fields | changes))


class Store:
    """In memory."""

    def __init__(self) -> None:
        self.open: dict[str, bytes] = {}
        self.marks: dict[str, str] = {}
        self.aside: dict[str, bytes] = {}

    async def opened(self) -> dict[str, bytes]:
        return dict(self.open)

    async def told(self) -> dict[str, str]:
        return dict(self.marks)

    async def mark_told(self, marks: Any) -> None:
        self.marks.update(marks)

    async def put_aside(self, key: str, fields: list[str]) -> None:
        assert key == OPEN
        for alert_id in fields:
            self.aside[alert_id] = self.open.pop(alert_id)

    async def drop(self, alert_ids: list[str]) -> None:
        for alert_id in alert_ids:
            self.open.pop(alert_id, None)
            self.marks.pop(alert_id, None)


class Receiver:
    """An Alertmanager that remembers; it may be away."""

    def __init__(self) -> None:
        self.are_there = True
        self.is_away = False
        self.posts: list[list[dict[str, Any]]] = []
        self.holds: set[str] = set()

    async def post(self, alerts: list[dict[str, Any]]) -> None:
        if self.is_away:
            raise AlertmanagerUnavailable("away")
        self.posts.append(alerts)
        self.holds.update(one["labels"]["alert"] for one in alerts)

    async def known(self) -> frozenset[str]:
        if self.is_away:
            raise AlertmanagerUnavailable("away")
        return frozenset(self.holds)

    def heard(self, clock: ManualClock) -> list[str]:
        """Return what each post said of its first alert, and forget it."""
        now = clock.now()
        said = [datetime.fromisoformat(alerts[0]["endsAt"]) for alerts in self.posts]
        self.posts.clear()
        return ["firing" if end > now else "resolved" for end in said]


class Office:
    """Store, receiver and delivery on one clock."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.metrics = Metrics(role="closer")
        self.store, self.receiver = Store(), Receiver()
        self.delivery = self.restarted()

    def restarted(self) -> Delivery:
        self.delivery = Delivery(
            SETTINGS, self.store, self.receiver, self.clock, self.metrics  # type: ignore[arg-type]
        )  # fmt: skip
        return self.delivery

    def say(self, said: Alert) -> None:
        stored = self.store.open.get(said.alert_id)
        before = read_open_alerts({"a": stored})[0]["a"] if stored else None
        after = OpenAlert.after(before, said, epoch_ms(self.clock.now()))
        self.store.open[said.alert_id] = after.packed()

    async def after(self, delay_s: float) -> list[str]:
        self.clock.advance(delay_s)
        await self.delivery.round()
        return self.receiver.heard(self.clock)

    @property
    def undelivered_s(self) -> float | None:
        return self.metrics.registry.get_sample_value("groundswell_alerts_undelivered_seconds")


@pytest.fixture
def office() -> Office:
    return Office()


async def test_a_firing_alert_is_told_at_once_and_again_while_it_fires(office: Office) -> None:
    office.say(alert())
    assert await office.after(0) == ["firing"]
    assert await office.after(30) == []
    assert await office.after(30) == ["firing"]
    office.say(alert(state="resolved"))
    assert await office.after(1) == ["resolved"]
    assert await office.after(1) == []


async def test_an_end_is_told_again_for_a_while_and_then_forgotten(office: Office) -> None:
    office.say(alert())
    await office.after(0)
    office.say(alert(state="resolved"))
    heard = [await office.after(60) for _ in range(int(RESOLVED_KEPT_S / 60) + 2)]
    assert heard[0] == heard[5] == ["resolved"]
    assert heard[-1] == []
    assert not office.store.open
    assert not office.store.marks


async def test_what_began_and_ended_while_nobody_listened_is_told_as_firing_first(
    office: Office,
) -> None:
    office.receiver.is_away = True
    office.say(alert())
    with pytest.raises(AlertmanagerUnavailable):
        await office.after(0)
    office.say(alert(state="resolved"))
    with pytest.raises(AlertmanagerUnavailable):
        await office.after(100)
    assert office.undelivered_s == 100
    office.receiver.is_away = False
    assert await office.after(5) == ["firing"]
    assert await office.after(10) == []
    assert await office.after(25) == ["resolved"]
    assert office.undelivered_s == 0


async def test_an_alert_waits_for_its_receiver_however_long_and_is_not_dropped(
    office: Office,
) -> None:
    office.receiver.is_away = True
    office.say(alert())
    office.say(alert(state="resolved"))
    with pytest.raises(AlertmanagerUnavailable):
        await office.after(10 * RESOLVED_KEPT_S)
    office.receiver.is_away = False
    assert await office.after(1) == ["firing"]
    assert await office.after(60) == ["resolved"]


async def test_a_receiver_that_was_away_is_told_all_again_as_it_may_have_forgotten(
    office: Office,
) -> None:
    office.say(alert())
    await office.after(0)
    office.receiver.is_away = True
    with pytest.raises(AlertmanagerUnavailable):
        await office.after(60)
    office.receiver.is_away = False
    assert await office.after(1) == ["firing"]


async def test_a_delivery_that_was_restarted_tells_what_fires_and_what_ended(
    office: Office,
) -> None:
    office.say(alert())
    await office.after(0)
    office.say(alert(state="resolved"))
    office.restarted()
    assert await office.after(1) == ["resolved"]


async def test_an_end_is_told_as_firing_first_to_a_receiver_that_forgot_its_beginning(
    office: Office,
) -> None:
    office.say(alert())
    await office.after(0)
    office.receiver.holds.clear()  # it was killed, and is back
    office.say(alert(state="resolved"))
    office.restarted()
    assert await office.after(1) == ["firing"]
    assert await office.after(29) == []
    assert await office.after(1) == ["resolved"]


async def test_an_alert_that_grows_keeps_its_labels_and_gets_further_ones(office: Office) -> None:
    office.say(alert(severity=3))
    await office.after(0)
    office.say(alert(severity=8))
    office.clock.advance(1)
    await office.delivery.round()
    (posted,) = office.receiver.posts
    assert [one["labels"]["severity"] for one in posted] == ["info", "critical"]
    assert {one["annotations"]["level"] for one in posted} == {"8 of 10"}
    office.receiver.posts.clear()
    office.say(alert(severity=8, state="resolved"))
    await office.delivery.round()
    assert [one["labels"]["severity"] for one in office.receiver.posts[0]] == ["info", "critical"]


async def test_without_an_alertmanager_nothing_waits_and_what_ended_is_forgotten(
    office: Office,
) -> None:
    office.receiver.are_there = False
    office.say(alert(state="resolved"))
    assert await office.after(RESOLVED_KEPT_S + 1) == []
    assert office.undelivered_s == 0
    assert not office.store.open


def test_labels_and_annotations_are_those_that_routes_and_people_read() -> None:
    opened = OpenAlert.after(None, alert(), epoch_ms(NOON))
    template = "http://grafana/d/x?var-query={query}&from={from_ms}&to={to_ms}"
    (posted,) = postable(opened, NOON + timedelta(minutes=15), template)
    assert posted["labels"] == {
        "alertname": "GroundswellShift", "alert": "a1", "query": "trains", "kind": "opinion",
        "direction": "down", "severity": "warning", "layer": "shift",
    }  # fmt: skip
    notes = posted["annotations"]
    assert notes["sentence"] == notes["summary"] == "Opinion about trains fell."
    assert notes["evidence"] == evidence(alert())
    assert "before 0.20 (0.10 to 0.30), since -0.10 (-0.20 to 0.00)" in notes["evidence"]
    assert "mix -0.05, opinion -0.25" in notes["evidence"]
    assert notes["link"].startswith("http://grafana/d/x?var-query=trains&from=1772")
    assert datetime.fromisoformat(posted["startsAt"]) == NOON - timedelta(minutes=5)


def test_an_alert_of_a_replay_has_a_start_before_its_end() -> None:
    years_ago = NOON - timedelta(days=4_000)
    opened = OpenAlert.after(None, alert(fired=years_ago, started=years_ago), epoch_ms(NOON))
    (posted,) = postable(opened, years_ago, "", "https://example.org/wiki/")
    assert posted["startsAt"] < posted["endsAt"]
    page = posted["annotations"]["runbook_url"]
    assert page == "https://example.org/wiki/docs/runbooks/GroundswellShift.md"
    assert "link" not in posted["annotations"]


def test_a_query_is_quoted_in_a_link() -> None:
    assert link_to(alert(query="a&b c"), "http://x/?q={query}") == "http://x/?q=a%26b%20c"


def test_every_severity_has_a_label_and_more_is_never_less() -> None:
    order = ["info", "warning", "critical"]
    places = [order.index(band_of(severity)) for severity in range(1, 11)]
    assert places == sorted(places)
    assert set(places) == {0, 1, 2}


async def test_open_alert_that_cannot_be_read_is_set_aside_and_the_others_are_told() -> None:
    office = Office()
    office.say(alert())
    office.store.open["rubbish"] = b"\x91\xcb"
    assert await office.after(0) == ["firing"]
    assert office.store.aside == {"rubbish": b"\x91\xcb"}


async def test_nobody_is_told_of_what_is_muted_and_everybody_once_it_is_not() -> None:
    office = Office()
    muted = {"volume"}
    office.delivery = Delivery(
        SETTINGS, office.store, office.receiver, office.clock, office.metrics,  # type: ignore[arg-type]
        lambda one: one.kind not in muted,
    )  # fmt: skip
    office.say(alert(alert_id="a1", kind="volume"))
    office.say(alert(alert_id="a2"))
    await office.delivery.round()
    assert office.receiver.holds == {"a2"}
    value = office.metrics.registry.get_sample_value
    assert value("groundswell_alerts_muted") == 1
    assert value("groundswell_alerts_undelivered_seconds") == 0
    muted.clear()
    await office.delivery.round()
    assert office.receiver.holds == {"a1", "a2"}
    assert value("groundswell_alerts_muted") == 0


async def test_what_was_muted_is_forgotten_once_it_is_over() -> None:
    office = Office()
    office.delivery = Delivery(
        SETTINGS, office.store, office.receiver, office.clock, office.metrics,  # type: ignore[arg-type]
        lambda _: False,
    )  # fmt: skip
    office.say(alert(state="resolved", ended=NOON, ended_as="over"))
    await office.delivery.round()
    assert set(office.store.open) == {"a1"}
    office.clock.advance(RESOLVED_KEPT_S + 1)
    await office.delivery.round()
    assert not office.store.open
    assert not office.receiver.posts
