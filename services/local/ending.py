"""How a run that ends by itself ends: windows published, counting stopped, the books read."""

import time
from collections.abc import Callable

from core.errors import TransientError
from core.settings import Settings
from services.local.accounting import Accounting, take_stock
from services.local.supervisor import PartState, Supervisor
from services.windows_view import snapshot_now

_LOOK_EVERY_S = 0.5
_PUBLISH_TIMEOUT_S = 45.0  # above windows.idle_after_s: a silent partition holds windows so long
_STEADY_TRIES = 10
_PANES_LOOKED_AT = 60


def await_published(settings: Settings, turn: Callable[[], None]) -> None:
    """Wait until what the watermark has passed is closed and published; not for ever.

    Args:
        settings: where the store is.
        turn: what looks after the stack meanwhile, and waits a little.
    """
    give_up_at, look_at = time.monotonic() + _PUBLISH_TIMEOUT_S, 0.0
    while time.monotonic() < give_up_at:
        if time.monotonic() >= look_at:
            if _is_published(settings):
                return
            look_at = time.monotonic() + _LOOK_EVERY_S
        turn()


def _is_published(settings: Settings) -> bool:
    try:
        view = snapshot_now(settings, last=_PANES_LOOKED_AT)
    except TransientError:
        return False
    watermark_s = min(view.watermarks_s.values(), default=0.0)
    return all(
        pane.revision >= 0 for pane in view.panes if pane.closed or pane.end_s <= watermark_s
    )


def stop_counting(supervisor: Supervisor) -> tuple[str, ...]:
    """Stop the workers and the closer, so that the books stand still while they are read.

    Returns:
        A sentence for each part that was down at that moment.
    """
    names = [part.server.name for part in supervisor.parts]
    missing = [
        f"{part.server.name} was down at the end"
        for part in supervisor.parts
        if part.state is PartState.WAITING
    ]
    supervisor.stop_parts([n for n in names if n.startswith("worker") or n == "closer"])
    return tuple(missing)


def steady_stock(settings: Settings) -> Accounting:
    """Return the books of a stack that goes on counting its heartbeats.

    They may be read while one is on its way; so they are read again until they add up, some times.

    Raises:
        TransientError: the broker or the store does not answer.
    """
    books = take_stock(settings)
    for _ in range(_STEADY_TRIES):
        if not books.errors():
            break
        time.sleep(_LOOK_EVERY_S)
        books = take_stock(settings)
    return books
