import json
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.errors import KafkaTimeoutError

from services.cli import alerts
from services.cli.main import COMMANDS, load_command, run
from services.cli.settings import config_file, load_settings
from services.kafka_client.client import our_error
from services.local import runfile


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about settings; a stack that happens to run here has no say."""
    monkeypatch.setattr(runfile, "read_run", lambda: None)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_exists_and_its_help_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = load_command(name)
    leaves = getattr(command, "commands", {}) or {name: command}
    for leaf, found in leaves.items():
        assert found.help, f"{name} {leaf} has no help"
        assert "Example" in found.help, f"{name} {leaf} has no example"
    assert run([name, "--help"]) == 0
    assert "Usage: groundswell" in capsys.readouterr().out


def test_help_lists_every_command_and_loads_none() -> None:
    program = (
        "import sys, json\n"
        "from services.cli.main import run\n"
        "status = run(['--help'])\n"
        "heavy = ['redis', 'kafka', 'faust', 'numpy', 'torch', 'tritonclient', 'psutil']\n"
        "sys.stderr.write(json.dumps([status, [n for n in heavy if n in sys.modules]]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert json.loads(ended.stderr) == [0, []]
    assert all(f" {name} " in ended.stdout for name in COMMANDS)


def test_no_command_and_unknown_commands_and_options_are_wrong_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["windosw"]) == 2
    assert "Did you mean 'windows'?" in capsys.readouterr().err
    assert run(["windows", "show"]) == 2
    assert run(["windows", "dump", "--nope"]) == 2


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()


def test_wrong_settings_are_wrong_use_and_each_fault_has_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[windows]\npane_sec = 60\n[kafak]\npartitions = 4\n")
    assert run(["--config", str(file), "windows", "show", "all"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert "did you mean 'pane_s'?" in captured.err
    assert "did you mean 'kafka'?" in captured.err


def test_missing_settings_file_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "nowhere.toml", "closer"]) == 2
    assert "nowhere.toml does not exist" in capsys.readouterr().err


def test_store_that_is_away_makes_the_answer_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDSWELL__REDIS__URL", "redis://127.0.0.1:1/0")
    assert run(["windows", "dump"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("groundswell: Redis does not answer")
    assert "groundswell up --detach --source ''" in captured.err


def test_broker_that_is_away_is_named_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_answers(*_: object) -> None:
        raise our_error(KafkaTimeoutError("Unable to bootstrap from 127.0.0.1:1"), "reading alerts")

    monkeypatch.setattr(alerts, "read_alerts", nothing_answers)
    assert run(["alerts", "list"]) == 1
    first, then = capsys.readouterr().err.splitlines()
    assert first.endswith("reading alerts: KafkaTimeoutError: Unable to bootstrap from 127.0.0.1:1")
    assert "groundswell up" in then
    assert "kafka.bootstrap_servers" in then


def _stack(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    running = runfile.Run(
        supervisor=runfile.ProcessIdentity(1, 1),
        state="ready",
        started_at="",
        environment=environment,
        parts=[],
    )
    monkeypatch.setattr(runfile, "read_run", lambda: running)


def test_commands_that_look_find_the_running_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    _stack(monkeypatch, GROUNDSWELL__REDIS__URL="redis://127.0.0.1:4711/0")
    assert load_settings(find_stack=True).redis.url == "redis://127.0.0.1:4711/0"
    assert load_settings().redis.url != "redis://127.0.0.1:4711/0"


def test_environment_and_chosen_file_win_over_the_running_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _stack(
        monkeypatch,
        GROUNDSWELL__REDIS__URL="redis://stack:1/0",
        GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS="stack:1",
        GROUNDSWELL__SCORER__URL="stack:2",
    )
    file = tmp_path / "settings.toml"
    file.write_text('[redis]\nurl = "redis://file:1/0"\n')
    monkeypatch.setenv("GROUNDSWELL__KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    token = config_file.set(file)
    try:
        settings = load_settings(find_stack=True)
    finally:
        config_file.reset(token)
    assert settings.redis.url == "redis://file:1/0"
    assert settings.kafka.bootstrap_servers == "environment:1"
    assert settings.scorer.url == "stack:2"
