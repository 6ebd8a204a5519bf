"""Every registered source of a network passes the shared checks, against a local server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.ingest.sources import SOURCES
from testkit.checks.live_sources import LIVE_CHECKS, PLATFORMS
from testkit.ingest import SAMPLES


@pytest.mark.parametrize("name", PLATFORMS.names())
@pytest.mark.parametrize("check", LIVE_CHECKS, ids=lambda check: check.__name__)
def test_live_source_passes_shared_check(
    name: str, check: Callable[[str, Path], None], tmp_path: Path
) -> None:
    check(name, tmp_path)


def test_every_source_has_its_shared_checks() -> None:
    live = {name for name in SOURCES.names() if SOURCES.get(name).is_live}
    assert live == set(PLATFORMS.names())
    assert set(SOURCES.names()) - live == set(SAMPLES)
