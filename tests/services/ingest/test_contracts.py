"""Every registered source that has an end passes the shared checks; test_live_contracts: others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.ingest.sources import SOURCES
from services.ingest.sources.base import Source
from testkit.ingest import CHECKS, SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_source_passes_shared_check(
    name: str, check: Callable[[str, Path], None], tmp_path: Path
) -> None:
    check(name, tmp_path)


@pytest.mark.parametrize("name", SOURCES.names())
def test_registration_line_leads_to_a_source_of_that_name(name: str) -> None:
    kind = SOURCES.get(name)
    assert issubclass(kind, Source)
    assert kind.name == name


@pytest.mark.slow
def test_ingest_process_loads_no_model_runtime_and_no_stream_runtime() -> None:
    program = (
        "import sys, services.ingest.launch, services.cli.ingest, services.ingest.sources as s\n"
        "[s.SOURCES.get(name) for name in s.SOURCES.names()]\n"
        "print(sorted({'torch', 'transformers', 'faust', 'aiokafka', 'redis', 'openvino'}"
        " & set(sys.modules)), 'kafka' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[] True", ran.stderr


@pytest.mark.slow
def test_no_process_loads_duckdb_before_a_file_needs_it() -> None:
    program = (
        "import sys, services.worker, services.closer.process, services.cli.sources\n"
        "import services.cli.replay\n"
        "import services.ingest.sources.replay.source, services.ingest.replay.preview\n"
        "print('duckdb' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr


@pytest.mark.slow
def test_ingest_starts_as_a_module_and_prints_its_help() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "services.ingest", "--help"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "Example: groundswell ingest --source synthetic" in ran.stdout
