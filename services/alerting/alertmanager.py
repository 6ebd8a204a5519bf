"""Alertmanager's API v2: how an alert looks there, and the call that tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from core.clock import epoch_ms, from_epoch_ms
from core.errors import AlertmanagerUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Alert, Interval
from core.settings import AlertSettings
from services.alerting.open_alerts import OpenAlert

if TYPE_CHECKING:
    import aiohttp

ALERTNAME: Final = "GroundswellShift"
LAYER: Final = "shift"
"""The label by which routes and inhibition know shifts from alerts about ourselves."""
MAX_STRATA: Final = 3
_BEFORE: Final = timedelta(hours=6)
_AFTER: Final = timedelta(hours=1)
_ACCEPTED: Final = 200
MAX_ERROR_BYTES: Final = 4_096
MAX_BODY_BYTES: Final = 8 * 1_048_576
"""Of what it knows: several thousand alerts."""
_log = get_logger(__name__)


def postable(
    opened: OpenAlert, ends_at: datetime, link: str, runbooks: str = ""
) -> list[dict[str, Any]]:
    """Return an alert as `POST /api/v2/alerts` takes it: once for each severity label it had.

    Args:
        opened: the alert.
        ends_at: when Alertmanager takes it as resolved; past, if it is.
        link: template, as `alerts.link`.
        runbooks: as `alerts.runbooks`.
    """
    alert = opened.alert
    annotations = {
        "summary": alert.sentence,
        "sentence": alert.sentence,
        "evidence": evidence(alert),
        "level": f"{alert.severity} of 10",
        "runbook_url": f"{runbooks}docs/runbooks/{ALERTNAME}.md",
    }
    if where := link_to(alert, link):
        annotations["link"] = where
    labels = {
        "alertname": ALERTNAME, "alert": alert.alert_id,
        "query": alert.query,
        "kind": alert.kind,
        "direction": alert.direction,
        "layer": LAYER,
    }  # fmt: skip
    # A replay of last year says when it was, but Alertmanager orders what it is told by its times.
    starts_at = min(alert.fired, ends_at - timedelta(seconds=1))
    return [
        {
            "labels": labels | {"severity": band},
            "annotations": annotations,
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
            **({"generatorURL": where} if where else {}),
        }
        for band in opened.bands
    ]


def evidence(alert: Alert) -> str:
    """Return the figures behind an alert in one line."""
    return "; ".join(evidence_parts(alert))


def evidence_parts(alert: Alert) -> list[str]:
    """Return the figures behind an alert, a phrase each.

    Example:
        >>> _figure(Interval(0.1234, 0.1, 0.15))
        '0.12 (0.10 to 0.15)'
    """
    parts = [
        f"before {_figure(alert.before)}, since {_figure(alert.after)}",
        f"{alert.evidence:.1f} nats against {alert.threshold:.1f} needed",
        f"{alert.posts} posts",
    ]
    if alert.mix or alert.opinion:
        parts.append(f"mix {alert.mix:+.2f}, opinion {alert.opinion:+.2f}")
    parts.extend(
        f"{one.stratum}: {one.mix + one.opinion:+.2f}" for one in alert.contributions[:MAX_STRATA]
    )
    return parts


def _figure(of: Interval) -> str:
    return f"{of.value:.2f} ({of.low:.2f} to {of.high:.2f})"


def link_to(alert: Alert, template: str) -> str:
    """Return where people see the shift: from hours before it to an hour after its decision."""
    values = {
        "query": quote(alert.query, safe=""),
        "alert_id": quote(alert.alert_id, safe=""),
        "from_ms": str(epoch_ms(alert.started - _BEFORE)),
        "to_ms": str(epoch_ms(alert.decided_at + _AFTER)),
    }
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def ends_at(opened: OpenAlert, now: datetime, hold_s: float, *, as_firing: bool) -> datetime:
    """Return the end that Alertmanager is told: a while ahead if it fires, else when it ended."""
    if as_firing:
        return now + timedelta(seconds=hold_s)
    return min(from_epoch_ms(opened.changed_ms), now)


class _Held(msgspec.Struct):
    """An alert that an Alertmanager holds, as far as we care."""

    labels: dict[str, str]


_held_decoder: Final = msgspec.json.Decoder(list[_Held])


async def _body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the first `most` bytes of a body; how long it takes, the session's time-out bounds."""
    found = b""
    while len(found) < most and (chunk := await answer.content.read(most - len(found))):
        found += chunk
    return found


class Alertmanagers:
    """All Alertmanagers of the settings; each is told everything, as their clusters ask for.

    Args:
        settings: addresses and time-out.
        metrics: of the closer.
    """

    def __init__(self, settings: AlertSettings, metrics: Metrics) -> None:
        self._urls = tuple(u.strip().rstrip("/") for u in settings.alertmanager_url.split(",") if u)
        self._timeout_s = settings.timeout_s
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    @property
    def are_there(self) -> bool:
        """Whether any is named."""
        return bool(self._urls)

    async def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Tell all of them.

        Raises:
            AlertmanagerUnavailable: none has taken it.
        """
        session = self._connected()
        faults = await asyncio.gather(*(self._post(session, url, alerts) for url in self._urls))
        for fault in faults:
            self._metrics.alertmanager_calls.labels(outcome="failed" if fault else "taken").inc()
        if all(faults):
            raise AlertmanagerUnavailable("; ".join(faults))

    async def _post(
        self, session: aiohttp.ClientSession, url: str, alerts: Sequence[dict[str, Any]]
    ) -> str:
        """Tell one; return what went wrong, or nothing."""
        import aiohttp  # here and below: most of what a closer without Alertmanager would import

        try:
            async with session.post(
                f"{url}/api/v2/alerts", json=list(alerts), allow_redirects=False
            ) as answer:
                body = await _body(answer, MAX_ERROR_BYTES)
                # Taken is said by a status alone: whoever adds a page is somebody else.
                if answer.status == _ACCEPTED and not body:
                    return ""
                said = body[:200].decode(errors="replace")
                return f"{url} answers {answer.status}, expected 200 without a body: {said!r}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{url} does not answer: {type(error).__name__} {error}"

    async def known(self) -> frozenset[str]:
        """Return the ids of our alerts that all who answer hold as firing.

        Raises:
            AlertmanagerUnavailable: nobody answers.
        """
        session = self._connected()
        found = [one for one in [await self._known(session, u) for u in self._urls] if one]
        if not found:
            raise AlertmanagerUnavailable("no Alertmanager says what it knows")
        return frozenset.intersection(*(ids for (ids,) in found))

    async def _known(
        self, session: aiohttp.ClientSession, url: str
    ) -> tuple[frozenset[str]] | None:
        """Return the ids that one holds, alone in a tuple; None if it does not answer."""
        import aiohttp

        query = {"filter": f'alertname="{ALERTNAME}"'}
        try:
            async with session.get(
                f"{url}/api/v2/alerts", params=query, allow_redirects=False
            ) as answer:
                if answer.status != _ACCEPTED:
                    raise ValueError(f"status {answer.status}, expected {_ACCEPTED}")
                body = await _body(answer, MAX_BODY_BYTES + 1)
            if len(body) > MAX_BODY_BYTES:
                raise ValueError(f"more than {MAX_BODY_BYTES} bytes")
            held = _held_decoder.decode(body)
        except (aiohttp.ClientError, TimeoutError, OSError, RecursionError, ValueError) as error:
            # msgspec's errors are ValueErrors, too.
            _log.warning("an Alertmanager does not say what it knows", url=url, reason=str(error))
            return None
        return (frozenset(one.labels.get("alert", "") for one in held),)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
