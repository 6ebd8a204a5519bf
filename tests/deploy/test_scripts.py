"""The small scripts that containers run."""

import stat
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.settings import Secret
from services.console.keys import KeyRing
from services.local.child import Command, run_to_end

FOLDER = Path(__file__).parents[2] / "deploy" / "docker"


def run(*words):
    return run_to_end(Command(tuple(str(word) for word in words)), 60)


def make_secrets(place, *folder):
    """Run the script in a folder and return what it says."""
    command = Command(("sh", str(FOLDER / "make_secrets.sh"), *map(str, folder)), cwd=place)
    status, output = run_to_end(command, 60)
    assert status == 0, output
    return output


def test_secrets_are_made_once_and_kept(tmp_path, compose):
    folder = tmp_path / "secrets"
    make_secrets(tmp_path, folder)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == set(compose.tree["secrets"])
    assert len(set(made.values())) == len(made)
    key = made.pop("console_key")
    assert all(len(text) == 64 for text in made.values())
    KeyRing(tmp_path / "keys.json").accept(Secret(key), datetime.now(UTC))
    made["console_key"] = key
    assert make_secrets(tmp_path, folder) == ""
    assert {file.name: file.read_text() for file in folder.iterdir()} == made


def test_compose_is_told_where_the_secrets_are_and_which_model_server_runs(tmp_path, compose):
    make_secrets(tmp_path)
    told = (tmp_path / ".env").read_text().splitlines()
    assert told == ["GROUNDSWELL_SECRETS=./.groundswell/secrets", "COMPOSE_PROFILES=cpu"]
    for secret in compose.tree["secrets"].values():
        text = (tmp_path / secret["file"]).read_text()
        assert text not in (tmp_path / ".env").read_text()


def test_what_somebody_wrote_into_the_file_stays(tmp_path):
    written = "COMPOSE_PROFILES=gpu\nGROUNDSWELL_SECRETS=/elsewhere\n"
    (tmp_path / ".env").write_text(written)
    assert "another folder of secrets, which holds: /elsewhere" in make_secrets(tmp_path)
    assert (tmp_path / ".env").read_text() == written


def test_secrets_are_out_of_reach_of_others_on_the_machine(tmp_path):
    folder = tmp_path / "secrets"
    make_secrets(tmp_path, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # A container's user is another one: it must be able to read what is mounted for it.
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o444}


@pytest.mark.parametrize("password", ["", "two words", 'quote"', "line\nbreak"])
def test_a_password_that_would_break_the_stores_configuration_is_refused(tmp_path, password):
    (tmp_path / "password").write_text(password)
    status, output = run(
        "sh", FOLDER / "redis_start.sh", FOLDER.parent / "redis/redis.conf",
        tmp_path / "password", tmp_path, tmp_path, "127.0.0.1", "1", "1mb",
    )  # fmt: skip
    assert status == 2
    assert "redis_password" not in output
    assert not (tmp_path / "redis.conf").exists()


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script, tool):
    status, output = run(tool("shellcheck"), script)
    assert status == 0, output


def test_a_page_that_nobody_serves_is_not_answered():
    status, _ = run(FOLDER / "http_answers.py", "http://127.0.0.1:1/metrics")
    assert status == 1


def test_of_several_pages_every_one_must_be_answered(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Page, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    good = f"http://127.0.0.1:{server.server_port}/"
    try:
        assert run(FOLDER / "http_answers.py", good, good) == (0, "")
        status, said = run(FOLDER / "http_answers.py", good, f"{good}missing")
        assert status == 1
        assert "/missing" in said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Page(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_yaml_is_well_formed_and_tidy(tool, root):
    rules = "{extends: default, rules: {line-length: {max: 110}, document-start: disable, " \
            "braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}, " \
            "truthy: {check-keys: false}}}"  # fmt: skip
    files = [
        root / "docker-compose.yml",
        *(root / "deploy/docker").glob("*.yml"),
        *(root / "deploy/alertmanager").glob("*.yml"),
        *(root / "deploy/grafana/provisioning").rglob("*.yml"),
        root / "deploy/prometheus/compose.yml",
    ]
    status, output = run(tool("yamllint"), "--strict", "-d", rules, *files)
    assert status == 0, output
