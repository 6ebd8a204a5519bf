"""What the tests of network sources share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def connectors() -> Path:
    """Return where the recorded wire data is; tests that use it fail without, they do not skip."""
    place = Path(os.environ.get("GROUNDSWELL_DATA", REPOSITORY.parent / "shared" / "data"))
    assert (place / "connectors").is_dir(), f"no recordings in {place}: set GROUNDSWELL_DATA"
    return place / "connectors"
