"""Tells Alertmanager what fires and what is over, from what the store holds, until it has it.

Level-triggered: each round compares what is open with what Alertmanager has taken. So nothing is
lost when this process, Redis or Alertmanager dies between any two lines, and telling twice does no
harm: labels are an alert's identity there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from core.clock import Clock, epoch_ms
from core.errors import TransientError
from core.logs import get_logger
from core.metrics import Metrics
from core.retry import pause_s
from core.schemas import Alert
from core.settings import AlertSettings
from services.alerting.alertmanager import ends_at, postable
from services.alerting.open_alerts import OpenAlert, read_open_alerts
from services.stopping import wait
from stream.store.keys import OPEN

_log = get_logger(__name__)

ROUND_S: Final = 1.0
RESOLVED_KEPT_S: Final = 900.0
"""The end of an alert is told again for so long: an Alertmanager that was restarted meanwhile
learns it, too."""
AT_ONCE: Final = 100
_FIRING: Final = "firing:"


class Receiver(Protocol):
    """Who is told; `Alertmanagers` is the real one."""

    @property
    def are_there(self) -> bool:
        """Whether anybody is to be told."""
        ...

    async def post(self, alerts: list[dict[str, object]]) -> None:
        """Tell.

        Raises:
            AlertmanagerUnavailable: nobody has taken it.
        """
        ...

    async def known(self) -> frozenset[str]:
        """Return the alerts that every receiver holds as firing.

        Raises:
            AlertmanagerUnavailable: nobody answers.
        """
        ...


class OpenAlerts(Protocol):
    """What is needed of `stream.store.alert_state.AlertState`."""

    async def opened(self) -> dict[str, bytes]:
        """Return what is open."""
        ...

    async def told(self) -> dict[str, str]:
        """Return what was taken of it."""
        ...

    async def mark_told(self, marks: Mapping[str, str]) -> None:
        """Remember what was taken."""
        ...

    async def drop(self, alert_ids: list[str]) -> None:
        """Forget what is over and told."""
        ...

    async def put_aside(self, key: str, fields: Sequence[str]) -> None:
        """Set fields aside that nobody can read."""
        ...


class Delivery:
    """One round after the other, while this closer is the active one.

    Args:
        settings: how often, how long.
        store: what is open.
        receiver: who is told.
        clock: present time and pauses.
        metrics: of the closer.
        tells: whether people are told of a shift; of all if None.
    """

    def __init__(
        self,
        settings: AlertSettings,
        store: OpenAlerts,
        receiver: Receiver,
        clock: Clock,
        metrics: Metrics,
        tells: Callable[[Alert], bool] | None = None,
    ) -> None:
        self._tells = tells
        self._settings = settings
        self._store = store
        self._receiver = receiver
        self._clock = clock
        self._metrics = metrics
        self._delivered_at_s: dict[str, float] = {}
        self._late_until_s: dict[str, float] = {}

    async def run(self, stop: asyncio.Event, is_active: Callable[[], bool]) -> None:
        """Deliver until `stop` is set; waits out whatever is away."""
        rng, attempt = random.Random(), 0
        while not stop.is_set():
            delay_s = ROUND_S
            try:
                if is_active():
                    await self.round()
                else:
                    self._delivered_at_s.clear()
                attempt = 0
            except TransientError as error:
                if attempt == 0:
                    _log.warning("alerts wait", reason=str(error))
                delay_s = max(ROUND_S, pause_s(attempt, rng))
                attempt += 1
            await wait(stop, delay_s)

    async def round(self) -> None:
        """Tell what is due, once.

        Raises:
            AlertmanagerUnavailable, StoreUnavailable: try again later; nothing is lost.
        """
        found = await self._store.opened()
        opened, unreadable = read_open_alerts(found)
        if unreadable:
            await self._store.put_aside(OPEN, unreadable)
        opened = await self._without_untold(opened)
        delivered = await self._store.told() if opened else {}
        self._keep_only(opened)
        self._metrics.alerts_undelivered_seconds.set(self._undelivered_s(opened, delivered))
        if self._receiver.are_there:
            await self._deliver(opened, delivered)
            self._metrics.alerts_undelivered_seconds.set(self._undelivered_s(opened, delivered))
        await self._drop(opened, delivered)

    async def _without_untold(self, opened: dict[str, OpenAlert]) -> dict[str, OpenAlert]:
        """Leave out what nobody is told of: it is not waited for, and forgotten once it is over.

        One that was told before lapses after `alerts.hold_s`, as nobody repeats it.
        """
        if self._tells is None:
            return opened
        untold = [i for i, one in opened.items() if not self._tells(one.alert)]
        before_ms = epoch_ms(self._clock.now()) - int(RESOLVED_KEPT_S * 1000)
        over = [i for i in untold if opened[i].is_over and opened[i].changed_ms < before_ms]
        if over:
            await self._store.drop(over)
        self._metrics.alerts_muted.set(sum(not opened[i].is_over for i in untold))
        return {i: one for i, one in opened.items() if i not in set(untold)}

    async def _deliver(self, opened: Mapping[str, OpenAlert], delivered: dict[str, str]) -> None:
        await self._give_notice(opened, delivered)
        due = [i for i, one in opened.items() if self._is_due(i, one, delivered.get(i, ""))]
        now_s = self._clock.monotonic()
        for first in range(0, len(due), AT_ONCE):
            marks: dict[str, str] = {}
            posted: list[dict[str, object]] = []
            for alert_id in due[first : first + AT_ONCE]:
                one = opened[alert_id]
                as_firing = not one.is_over or self._is_notice(alert_id)
                now, hold_s = self._clock.now(), self._settings.hold_s
                end = ends_at(one, now, hold_s, as_firing=as_firing)
                settings = self._settings
                posted.extend(postable(one, end, settings.link, settings.runbooks))
                marks[alert_id] = f"{_FIRING}{one.alert.severity}" if as_firing else one.mark
            try:
                await self._receiver.post(posted)
            except TransientError:
                self._delivered_at_s.clear()  # it may come back knowing nothing
                raise
            for alert_id in marks:
                self._delivered_at_s[alert_id] = now_s
            changed = {i: mark for i, mark in marks.items() if delivered.get(i) != mark}
            if changed:
                await self._store.mark_told(changed)
                delivered.update(changed)

    async def _give_notice(
        self, opened: Mapping[str, OpenAlert], delivered: Mapping[str, str]
    ) -> None:
        """Find the ends that nobody would understand: these are told as firing first, for a while.

        Such are alerts that began and ended while Alertmanager was away, and those of which an
        Alertmanager that was restarted knows nothing any more: it passes on no end of them.
        """
        ending = [
            alert_id
            for alert_id, one in opened.items()
            if one.is_over
            and delivered.get(alert_id, "") != one.mark
            and alert_id not in self._late_until_s
        ]
        if not ending:
            return
        known = await self._receiver.known()
        until_s = self._clock.monotonic() + self._settings.notice_s
        for alert_id in ending:
            if alert_id not in known:
                self._late_until_s[alert_id] = until_s
                self._delivered_at_s.pop(alert_id, None)

    def _is_due(self, alert_id: str, one: OpenAlert, mark: str) -> bool:
        delivered_at_s = self._delivered_at_s.get(alert_id)
        if (
            delivered_at_s is None
            or self._clock.monotonic() - delivered_at_s >= self._settings.resend_s
        ):
            return True
        return mark != one.mark and not self._is_notice(alert_id)

    def _is_notice(self, alert_id: str) -> bool:
        """Tell whether an alert that is over is still told as firing."""
        return self._clock.monotonic() < self._late_until_s.get(alert_id, float("-inf"))

    def _undelivered_s(
        self, opened: Mapping[str, OpenAlert], delivered: Mapping[str, str]
    ) -> float:
        if not self._receiver.are_there:
            return 0.0
        waiting = [one.changed_ms for i, one in opened.items() if delivered.get(i) != one.mark]
        return max(0.0, (epoch_ms(self._clock.now()) - min(waiting)) / 1000) if waiting else 0.0

    async def _drop(self, opened: Mapping[str, OpenAlert], delivered: Mapping[str, str]) -> None:
        """Forget alerts that ended long ago, once their end is taken, if anybody is to take it."""
        before_ms = epoch_ms(self._clock.now()) - int(RESOLVED_KEPT_S * 1000)
        over = [
            alert_id
            for alert_id, one in opened.items()
            if one.is_over
            and one.changed_ms < before_ms
            and (delivered.get(alert_id) == one.mark or not self._receiver.are_there)
        ]
        if over:
            await self._store.drop(over)

    def _keep_only(self, opened: Mapping[str, OpenAlert]) -> None:
        for known in (self._delivered_at_s, self._late_until_s):
            for alert_id in known.keys() - opened.keys():
                del known[alert_id]
