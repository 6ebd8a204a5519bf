"""An alert as the delivery keeps it: what Alertmanager is to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from core.schemas import Alert

Band = Literal["info", "warning", "critical"]
WARNING_FROM: Final = 4
CRITICAL_FROM: Final = 8


def band_of(severity: int) -> Band:
    """Return the label that a severity from 1 to 10 has in Alertmanager.

    Example:
        >>> [band_of(severity) for severity in (1, 3, 4, 7, 8, 10)]
        ['info', 'info', 'warning', 'warning', 'critical', 'critical']
    """
    if severity >= CRITICAL_FROM:
        return "critical"
    return "warning" if severity >= WARNING_FROM else "info"


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert that fires, or ended lately.

    Attributes:
        alert: as it was last said.
        bands: severity labels that it ever had, in order. Labels are an alert's identity to
            Alertmanager: one that grows gets a further one, and the lesser is inhibited by it.
        changed_ms: when it was last said, ms since 1970; of one that ended, when that was known.
    """

    alert: Alert
    bands: tuple[Band, ...]
    changed_ms: int

    @classmethod
    def after(cls, before: OpenAlert | None, alert: Alert, now_ms: int) -> OpenAlert:
        """Return an alert with what is remembered of it."""
        bands = before.bands if before else ()
        band = band_of(alert.severity)
        if band not in bands and (alert.state == "firing" or not bands):
            bands = (*bands, band)
        return cls(alert, bands, now_ms)

    @property
    def mark(self) -> str:
        """What is remembered once Alertmanager has it as it is."""
        return f"{self.alert.state}:{self.alert.severity}"

    @property
    def is_over(self) -> bool:
        """Whether it is resolved."""
        return self.alert.state == "resolved"

    def packed(self) -> bytes:
        """Return the form that the store keeps."""
        return msgspec.json.encode(self)


_decoder: Final = msgspec.json.Decoder(OpenAlert)


def read_open_alerts(found: Mapping[str, bytes]) -> tuple[dict[str, OpenAlert], list[str]]:
    """Return alert id -> alert, and the ids of those that cannot be read."""
    opened: dict[str, OpenAlert] = {}
    unreadable: list[str] = []
    for alert_id, packed in found.items():
        try:
            opened[alert_id] = _decoder.decode(packed)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            unreadable.append(alert_id)
    return opened, unreadable
