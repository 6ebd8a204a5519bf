"""Every registered source of a network passes the shared checks, against a local server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.ingest.sources import SOURCES
from testkit.checks.live_sources import LIVE, LIVE_CHECKS, platform_of
from testkit.ingest import SAMPLES


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("check", LIVE_CHECKS, ids=lambda check: check.__name__)
def test_live_source_passes_shared_check(
    name: str, check: Callable[[str, Path], None], tmp_path: Path
) -> None:
    check(name, tmp_path)


def test_every_source_has_its_shared_checks(tmp_path: Path) -> None:
    for name in LIVE:
        with platform_of(name, tmp_path) as platform:
            assert platform.options()
    assert set(SOURCES.names()) - set(LIVE) == set(SAMPLES)
