"""Webhooks that listen, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit.platforms.webhook.platform import Receiver, Receiving


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receiving]:
    """Return a function that starts a webhook with the options it is given."""
    receivers: list[Receiver] = []

    def make(cursor: Any = None, **options: Any) -> Receiver:
        receivers.append(Receiver(tmp_path, cursor, **options))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()
