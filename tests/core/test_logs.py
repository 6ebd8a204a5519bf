import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from core.logs import get_logger, set_up
from core.settings import LogSettings, Secret


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_lines_are_json_on_standard_error_with_service_and_module(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(LogSettings(format="json"), "worker")
    get_logger("stream.flow").info("applied", posts=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["event"], line["posts"], line["level"]) == ("applied", 3, "info")
    assert (line["service"], line["module"]) == ("worker", "stream.flow")
    assert line["timestamp"].endswith("Z")


def test_less_severe_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(level="warning", format="json"), "worker")
    get_logger("m").info("quiet")
    get_logger("m").warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_secrets_are_masked_whatever_they_are_called(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(format="json"), "worker")
    values = dict.fromkeys(("redis_password", "API_KEY", "auth_token"), "hunter2")
    get_logger("m").info("connect", x=Secret("hunter2"), **values)
    assert "hunter2" not in capsys.readouterr().err


def test_libraries_speak_in_the_same_form_and_only_when_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(LogSettings(format="json"), "worker")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "trouble"


def test_lines_for_people_have_the_event_and_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(format="console"), "worker")
    get_logger("m").info("applied", posts=3)
    shown = capsys.readouterr().err
    assert "applied" in shown
    assert "posts=3" in shown
