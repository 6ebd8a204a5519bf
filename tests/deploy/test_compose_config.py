"""The file as Docker Compose itself reads it; needs its program, but no engine."""

import json
import subprocess

import pytest

FILE = "docker-compose.yml"


@pytest.fixture(scope="module")
def compose_program(tool):
    """The command line of Docker Compose, of the environment that tests run in."""
    return (tool("docker-compose"),)


SAID = {"COMPOSE_PROFILES": "cpu", "GROUNDSWELL_SECRETS": "./.groundswell/secrets"}
"""What deploy/docker/make_secrets.sh writes into `.env`."""


def ask(program, root, *arguments, **variables):
    """Run `docker compose ARGUMENTS` with these variables and no others."""
    argv = (*program, "--project-directory", str(root), "--env-file", "/dev/null", *arguments)
    return subprocess.run(
        argv, cwd=root, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables},
    )  # fmt: skip


def config(program, root, *arguments, **variables):
    """Return what `docker compose ARGUMENTS config` makes of the file."""
    asked = ask(program, root, *arguments, "config", "--format", "json", **(SAID | variables))
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


@pytest.mark.parametrize(
    ("arguments", "server", "other"),
    [
        ((), "triton", "triton-gpu"),
        (("--profile", "gpu"), "triton-gpu", "triton"),
        (("--profile", "demo"), "triton", "triton-gpu"),
    ],
    ids=["default", "gpu", "demo"],
)
def test_compose_accepts_the_file(compose_program, compose, root, arguments, server, other):
    read = config(compose_program, root, *arguments)
    assert server in read["services"]
    assert other not in read["services"]
    assert ("demo" in read["services"]) == ("demo" in arguments)
    shared = {name for name, s in compose.services.items() if "profiles" not in s.body}
    assert shared <= set(read["services"])
    if server == "triton-gpu":
        (device,) = read["services"][server]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_what_the_other_tests_read_is_what_compose_reads(compose_program, compose, root):
    read = config(compose_program, root)["services"]
    for name, body in read.items():
        service = compose.services[name]
        assert body.get("environment", {}) == service.environment
        assert [str(word) for word in body.get("command") or []] == service.command
        assert body["user"] == service.body["user"]
        assert set(body.get("networks", {})) == service.networks
        assert body["deploy"]["resources"]["limits"].keys() == (
            service.body["deploy"]["resources"]["limits"].keys()
        )


def test_variables_reach_where_they_belong(compose_program, root):
    services = config(
        compose_program, root,
        GROUNDSWELL_SECRETS="/etc/groundswell/secrets",
        GROUNDSWELL_PARTITIONS="8",
        GROUNDSWELL_SOURCE="replay",
        GROUNDSWELL_ALERTMANAGER="receivers.yml",
        GROUNDSWELL_CONSOLE_PORT="18080",
    )  # fmt: skip
    assert services["secrets"]["author_key"]["file"] == "/etc/groundswell/secrets/author_key"
    topics = services["services"]["topics"]["environment"]
    assert topics["GROUNDSWELL__KAFKA__PARTITIONS"] == "8"
    ingest = services["services"]["ingest"]["environment"]
    assert ingest["GROUNDSWELL__INGEST__SOURCE"] == "replay"
    link = services["services"]["closer"]["environment"]["GROUNDSWELL__ALERTS__LINK"]
    assert link == "http://127.0.0.1:18080/alerts/{alert_id}"
    console = services["services"]["console"]
    assert console["environment"]["GROUNDSWELL__CONSOLE__PUBLIC_URL"] == "http://127.0.0.1:18080"
    (port,) = console["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "18080", 8080)
    flags = services["services"]["alertmanager"]["command"]
    assert "--config.file=/etc/alertmanager/receivers.yml" in flags


def test_the_overlay_for_receivers_fits(compose_program, root):
    files = ("-f", FILE, "-f", "deploy/docker/receivers.yml")
    read = config(compose_program, root, *files)
    mounted = {secret["source"] for secret in read["services"]["alertmanager"]["secrets"]}
    assert mounted == {"slack_api_url", "smtp_password", "webhook_token"}


def test_compose_warns_of_nothing(compose_program, root):
    asked = ask(compose_program, root, "config", "--quiet", **SAID)
    assert (asked.returncode, asked.stdout + asked.stderr) == (0, "")


def test_without_secrets_it_names_the_command_that_makes_them(compose_program, root):
    asked = ask(compose_program, root, "up")
    assert asked.returncode != 0
    assert "to make them, run deploy/docker/make_secrets.sh" in asked.stderr
    assert (root / "deploy/docker/make_secrets.sh").is_file()
