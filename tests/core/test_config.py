from pathlib import Path

import pytest

from core.config import build, load
from core.errors import ConfigError
from core.settings import Secret, Settings


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def test_without_file_and_environment_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}) == Settings()


def test_file_of_defaults_is_read_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.toml").write_text("[windows]\npane_s = 10\n")
    assert load(environ={}).windows.pane_s == 10


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[windows]\npane_s = 10\nidle_after_s = 5\n[kafka]\npartitions = 8\n")
    environ = {"GROUNDSWELL__WINDOWS__PANE_S": "30", "PATH": "/bin"}
    settings = load(path, environ)
    assert settings.windows.pane_s == 30
    assert settings.windows.idle_after_s == 5.0
    assert settings.kafka.partitions == 8


@pytest.mark.parametrize(
    ("text", "ages"), [("300,3600", (300, 3600)), (" 60 ", (60,)), ("5, 10,", (5, 10)), ("", ())]
)
def test_list_in_the_environment_has_commas(
    tmp_path: Path, text: str, ages: tuple[int, ...]
) -> None:
    environ = {"GROUNDSWELL__FORECASTS__AGES_S": text}
    assert load(_file(tmp_path, "[forecasts]\nages_s = [7]\n"), environ).forecasts.ages_s == ages


def test_environment_names_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[windows]\npane_s = 10\n")
    assert load(environ={"GROUNDSWELL_CONFIG": str(path)}).windows.pane_s == 10


def test_fallback_gives_way_to_environment_and_chosen_file(tmp_path: Path) -> None:
    fallback = {
        "GROUNDSWELL__REDIS__URL": "redis://fallback",
        "GROUNDSWELL__SCORER__URL": "fallback:1",
        "GROUNDSWELL__WINDOWS__PANE_S": "20",
    }
    path = _file(tmp_path, '[redis]\nurl = "redis://file"\n')
    settings = load(path, {"GROUNDSWELL__SCORER__URL": "environment:1"}, fallback)
    assert settings.redis.url == "redis://file"
    assert settings.scorer.url == "environment:1"
    assert settings.windows.pane_s == 20


def test_fallback_wins_over_the_file_of_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.toml").write_text('[redis]\nurl = "redis://default"\n')
    fallback = {"GROUNDSWELL__REDIS__URL": "redis://fallback"}
    assert load(environ={}, fallback=fallback).redis.url == "redis://fallback"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"windows": {"pane_sec": 10}}, "unknown setting windows.pane_sec = 10 (did you mean"),
        ({"window": {}}, "unknown section [window] (did you mean 'windows'?)"),
        ({"windows": {"pane_s": 0}}, "windows.pane_s = 0: expected `int` >= 1"),
        ({"windows": {"pane_s": "ten"}}, "windows.pane_s = 'ten': expected `int`"),
        ({"windows": {"pane_s": 7}}, "expected a divisor of 86400"),
        ({"forecasts": {"ages_s": "300,soon"}}, "forecasts.ages_s = '300,soon': expected `int`"),
        ({"forecasts": {"ages_s": "0"}}, "forecasts.ages_s = '0': expected `int` >= 1"),
        ({"windows": 3}, "windows = 3: expected a table of settings"),
        ({"log": {"level": "loud"}}, "log.level = 'loud': expected debug, info, warning, error"),
        ({"windows": {"correction_horizon_s": 200_000}}, "expected at most windows.retention_s"),
        (
            {"redis": {"wait_replicas": 1, "wait_timeout_s": 10}},
            "expected less than redis.timeout_s",
        ),
        ({"worker": {"max_batch_posts": 3000}}, "expected at most worker.max_in_flight_posts"),
        ({"worker": {"max_batch_posts": 5000}}, "expected `int` <= 4096"),
        ({"kafka": {"security_protocol": "SASL_SSL"}}, "kafka.sasl_password is empty"),
    ],
)
def test_wrong_setting_is_named_with_what_was_expected(tree: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(tree)
    assert said in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        build({"windows": {"pane_s": 0, "retention_s": -1}, "kafka": {"partitions": "four"}})
    assert len(str(refused.value).splitlines()) == 3


def test_all_unknown_names_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        build({"windows": {"a": 1, "b": 2}, "nonsense": {}})
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("variable", ["GROUNDSWELL__PANE_S", "GROUNDSWELL__A__B__C"])
def test_variable_that_names_no_section_and_field_is_refused(variable: str) -> None:
    with pytest.raises(ConfigError, match="expected GROUNDSWELL__<SECTION>__<FIELD>"):
        load(environ={variable: "1"})


def test_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bootstrap_servers'"):
        load(environ={"GROUNDSWELL__KAFKA__BOOTSTRAP_SERVER": "x:1"})


@pytest.mark.parametrize("text", ["[windows", "windows = ", "\x00"])
def test_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(_file(tmp_path, text), {})


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "nowhere.toml", {})


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path, {})


def test_secret_comes_from_a_mounted_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    settings = load(environ={"GROUNDSWELL__REDIS__PASSWORD_FILE": str(secret)})
    assert settings.redis.password.reveal() == "hunter2"


def test_secret_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(environ={"GROUNDSWELL__REDIS__PASSWORD_FILE": str(tmp_path / "none")})


def test_secret_file_that_is_no_text_is_named_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"AUTHOR_KEY_FILE = .*expected a file in UTF-8") as said:
        load(environ={"GROUNDSWELL__INGEST__AUTHOR_KEY_FILE": str(file)})
    assert "0xff" not in str(said.value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan"])
def test_number_without_an_end_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"scorer\.timeout_s = '?(inf|nan)'?: expected"):
        build({"scorer": {"timeout_s": value}})


def test_field_that_ends_in_file_and_is_no_secret_is_itself() -> None:
    settings = load(environ={"GROUNDSWELL__KAFKA__SSL_CA_FILE": "/etc/ca.pem"})
    assert settings.kafka.ssl_ca_file == "/etc/ca.pem"


def test_secrets_show_nowhere() -> None:
    settings = load(environ={"GROUNDSWELL__REDIS__PASSWORD": "hunter2"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in f"{settings.redis.password}"
    assert "********" in repr(settings.redis)
    assert repr(Secret()) == ""


def test_secrets_compare_and_hash_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret()


@pytest.mark.parametrize(
    "field", ["author_ky", "athor_key", "AUTHOR_KEY", "sourcesecret", "api_token", "passwort"]
)
def test_the_value_of_what_may_be_a_misspelt_secret_is_not_shown(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"ingest\.{field} = \*+") as caught:
        build({"ingest": {field: "hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given", [["a:1", "b:2"], "a:1, b:2"])
def test_several_model_servers_are_a_list_or_comma_separated(given: object):
    assert build({"scorer": {"url": given}}).scorer.urls == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], r"scorer\.url = \(\): expected at least one host:port"),
        (" , ", r"scorer\.url = ' , ': expected at least one host:port"),
        (["a:1", "a:1"], r"scorer\.url = .*'a:1' is there twice, expected each server once"),
        ("a:1,b", r"scorer\.url = 'a:1,b': 'b' is no address, expected host:port"),
        ("a:0", r"'a:0' is no address"),
        ("a:65536", r"'a:65536' is no address"),
        ("http://a:1", r"'http://a:1' is no address"),
        ([1], r"scorer\.url = \[1\]: expected"),
    ],
)
def test_addresses_of_model_servers_that_cannot_be_are_refused(given: object, expected: str):
    with pytest.raises(ConfigError, match=expected):
        build({"scorer": {"url": given}})
