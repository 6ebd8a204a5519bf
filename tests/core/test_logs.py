import json
import logging
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from core.errors import ConfigError
from core.logs import get_logger, set_up
from core.settings import LogSettings, Secret
from testkit.logs import logs_as_before


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with logs_as_before():
        yield


def test_lines_are_json_on_standard_error_with_service_and_module(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(LogSettings(format="json"), "worker")
    get_logger("stream.worker.flow").info("applied", posts=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["event"], line["posts"], line["level"]) == ("applied", 3, "info")
    assert (line["service"], line["module"]) == ("worker", "stream.worker.flow")
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


class _Failing:
    """Fails in the ways in which code that holds somebody's words fails."""

    def __init__(self, words: str) -> None:
        self.words = words

    def key(self) -> None:
        held = self.words
        {}[held]

    def number(self) -> None:
        int(self.words)

    def caused(self) -> None:
        try:
            self.key()
        except KeyError as error:
            raise ValueError(self.words) from error

    def group(self) -> None:
        raise ExceptionGroup(self.words, [ValueError(self.words)])


@pytest.mark.parametrize("way", ["key", "number", "caused", "group"])
@pytest.mark.parametrize("form", ["console", "json"])
def test_what_an_exception_quotes_is_in_no_log_whoever_logs_it(
    way: str, form: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
):
    set_up(LogSettings(format=form), "worker")
    try:
        getattr(_Failing("can" + "ary words"), way)()  # the line itself is shown
    except Exception as error:
        get_logger("ours").exception("ours failed")
        logging.getLogger("library").exception("library failed: %r", error)
        logging.getLogger("asyncio").error(f"lost\nfuture: {error!r}", exc_info=error)
        sys.excepthook(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    for line in ("ours failed", "library failed", "lost", "ended by an error nobody caught"):
        assert line in shown
    assert f"in {way}" in shown
    assert "canary" not in shown


def test_errors_of_ours_and_of_the_system_keep_their_messages(capsys: pytest.CaptureFixture[str]):
    set_up(LogSettings(), "worker")
    for error in (ConfigError("port = 0"), ConnectionResetError(104, "reset by peer")):
        logging.getLogger("library").error("failed: %s", error, exc_info=error)
    shown = capsys.readouterr().err
    assert shown.count("port = 0") == 2
    assert shown.count("reset by peer") == 2
