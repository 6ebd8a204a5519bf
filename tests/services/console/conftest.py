from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.console import (
    ConsoleRig,
    MemoryData,
    console_rig,
    dead_record,
    hour_of_panes,
    past_alert,
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ConsoleRig]:
    """Give a console over two hours of panes and three alerts."""
    data = MemoryData(
        kept=hour_of_panes(), past=[past_alert(n) for n in (1, 2, 3)], dead=[dead_record()]
    )
    async with console_rig(tmp_path / "console", data) as made:
        yield made
