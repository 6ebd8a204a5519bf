"""What Prometheus, Alertmanager and Grafana of docker-compose.yml are told."""

import json
import re

import pytest
import yaml

from services.local.child import Command, run_to_end
from services.local.ports import USUAL_PORTS

PAGES = {"triton": 8002, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
"""Metrics pages of what is not ours."""


@pytest.fixture(scope="module")
def prometheus(root):
    return yaml.safe_load((root / "deploy/prometheus/compose.yml").read_text())


@pytest.fixture(scope="module")
def scraped(prometheus):
    """Host -> port of everything that is scraped."""
    (job,) = prometheus["scrape_configs"]
    found = {name: found["port"] for found in job["dns_sd_configs"] for name in found["names"]}
    for group in job["static_configs"]:
        for target in group["targets"]:
            host, port = target.split(":")
            host = group["labels"]["part"] if host == "localhost" else host
            assert host == group["labels"]["part"]
            found[host] = int(port)
    return found


def test_prometheus_scrapes_every_service_with_a_metrics_page_and_no_other(compose, scraped):
    ours = {
        name: int(service.settings["GROUNDSWELL__METRICS__PORT"])
        for name, service in compose.services.items()
        if "GROUNDSWELL__METRICS__PORT" in service.settings
    }
    assert scraped == ours | PAGES
    assert PAGES["triton"] == USUAL_PORTS["triton metrics"]


def test_every_process_listens_where_prometheus_can_reach_it(compose, scraped):
    networks = {name: service.networks for name, service in compose.services.items()}
    for name in scraped:
        # Exactly one: a name that resolves on two networks would be scraped twice.
        shared = networks[name] & networks["prometheus"] - {"outside"}
        assert name == "prometheus" or len(shared) == 1, name
        if name in ("ingest", "worker", "closer", "forecaster", "responder", "exporter", "console"):
            address = compose.services[name].settings["GROUNDSWELL__METRICS__ADDRESS"]
            assert address == "0.0.0.0"  # noqa: S104


def test_scaled_workers_and_forecasters_are_found_by_name(prometheus):
    (job,) = prometheus["scrape_configs"]
    lookups = [(lookup["names"], lookup["type"]) for lookup in job["dns_sd_configs"]]
    assert lookups == [(["worker"], "A"), (["forecaster"], "A")]
    assert {"source_labels": ["__meta_dns_name"], "regex": "(.+)", "target_label": "part"} in (
        job["relabel_configs"]
    )


def test_series_carry_the_labels_and_intervals_of_the_local_stack(prometheus, root):
    local = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text())
    assert prometheus["global"]["external_labels"] == {"runbooks": "${GROUNDSWELL_RUNBOOKS}"}
    assert prometheus["global"] == local["global"]
    assert prometheus["rule_files"] == local["rule_files"]
    (job,), (local_job,) = prometheus["scrape_configs"], local["scrape_configs"]
    assert job["job_name"] == local_job["job_name"]


def test_alerts_reach_alertmanager(compose, prometheus):
    (manager,) = prometheus["alerting"]["alertmanagers"]
    (group,) = manager["static_configs"]
    assert group["targets"] == [f"alertmanager:{PAGES['alertmanager']}"]
    shared = compose.services["alertmanager"].networks & compose.services["prometheus"].networks
    assert "watch" in shared


def test_the_files_named_on_command_lines_are_mounted(compose, root):
    for name in ("prometheus", "alertmanager"):
        service = compose.services[name]
        (flag,) = [word for word in service.command if word.startswith("--config.file=")]
        folder, _, file = flag.removeprefix("--config.file=").rpartition("/")
        assert (root / service.mounts()[folder] / file).is_file()


def test_promtool_accepts_the_configuration(root, tool):
    argv = (tool("promtool"), "check", "config", str(root / "deploy/prometheus/compose.yml"))
    status, output = run_to_end(Command(argv), 60)
    assert status == 0, output


@pytest.mark.parametrize("file", ["alertmanager.yml", "receivers.example.yml"])
def test_amtool_accepts_the_configuration(root, tool, file):
    argv = (tool("amtool"), "check-config", str(root / "deploy/alertmanager" / file))
    status, output = run_to_end(Command(argv), 60)
    assert status == 0, output


@pytest.fixture
def pager(root, tool, tmp_path):
    """The example with a pager, without Teams where the `amtool` here is older than Teams."""
    path = root / "deploy/alertmanager/receivers.pager.example.yml"
    config = yaml.safe_load(path.read_text())
    (version,) = re.findall(r"version (\d+)\.(\d+)", run_to_end(
        Command((tool("amtool"), "--version")), 60)[1])  # fmt: skip
    if tuple(map(int, version)) < (0, 28):
        (teams,) = [one for one in config["receivers"] if "msteamsv2_configs" in one]
        del teams["msteamsv2_configs"]
    found = tmp_path / "pager.yml"
    found.write_text(yaml.safe_dump(config))
    return found


def test_amtool_accepts_the_pager_and_sends_it_what_is_critical(tool, pager):
    status, output = run_to_end(Command((tool("amtool"), "check-config", str(pager))), 60)
    assert status == 0, output
    for severity, receivers in (
        ("critical", "webhook,pagerduty,teams"), ("warning", "webhook,teams"), ("info", "webhook"),
    ):  # fmt: skip
        argv = (tool("amtool"), "config", "routes", "test", f"--config.file={pager}",
                f"--verify.receivers={receivers}", f"severity={severity}")  # fmt: skip
        status, output = run_to_end(Command(argv), 60)
        assert status == 0, output


def test_teams_is_configured_as_alertmanager_0_28_has_it(root):
    text = (root / "deploy/alertmanager/receivers.pager.example.yml").read_text()
    (teams,) = [one for one in yaml.safe_load(text)["receivers"] if one["name"] == "teams"]
    ((kind, (config,)),) = [(k, v) for k, v in teams.items() if k != "name"]
    assert kind == "msteamsv2_configs"
    assert set(config) <= {"send_resolved", "webhook_url", "webhook_url_file", "title", "text",
                           "http_config"}  # fmt: skip
    image = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]["alertmanager"]
    version = re.fullmatch(r"prom/alertmanager:v(\d+)\.(\d+)\..*", image["image"]).groups()
    assert tuple(map(int, version)) >= (0, 28)


@pytest.mark.parametrize(
    ("severity", "receivers"),
    [("critical", "webhook,email,slack"), ("warning", "webhook,slack"), ("info", "webhook")],
)
def test_alerts_go_to_the_receivers_of_their_severity(root, tool, severity, receivers):
    file = root / "deploy/alertmanager/receivers.example.yml"
    argv = (tool("amtool"), "config", "routes", "test", f"--config.file={file}",
            f"--verify.receivers={receivers}", f"severity={severity}")  # fmt: skip
    status, output = run_to_end(Command(argv), 60)
    assert status == 0, output


@pytest.mark.parametrize("example", ["receivers", "receivers.pager"])
def test_receivers_read_their_secrets_from_the_files_that_are_mounted(root, example):
    text = (root / f"deploy/alertmanager/{example}.example.yml").read_text()
    overlay = yaml.safe_load((root / f"deploy/docker/{example}.yml").read_text())
    mounted = overlay["services"]["alertmanager"]["secrets"]
    assert set(mounted) == set(overlay["secrets"])
    keys = [line.split(": ") for line in text.splitlines() if ": /run/secrets/" in line]
    files = {value.removeprefix("/run/secrets/") for _, value in keys}
    assert files == set(mounted)
    assert all(key.strip().removeprefix("- ").endswith("_file") for key, _ in keys)


def test_grafana_reads_its_source_and_dashboards_from_where_they_are_mounted(compose, root):
    grafana = compose.services["grafana"]
    ((inside, outside),) = [(k, v) for k, v in grafana.mounts().items() if v.startswith(".")]
    assert grafana.environment["GF_PATHS_PROVISIONING"] == f"{inside}/provisioning"
    provisioning = root / outside / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources/groundswell.yml").read_text())
    addresses = {source["url"] for source in sources["datasources"]}
    assert addresses == {f"http://{n}:{PAGES[n]}" for n in ("prometheus", "alertmanager")}
    folders = yaml.safe_load((provisioning / "dashboards/groundswell.yml").read_text())
    (provider,) = folders["providers"]
    assert provider["options"]["path"] == f"{inside}/dashboards"


def test_dashboards_use_the_provisioned_source(root):
    file = root / "deploy/grafana/provisioning/datasources/groundswell.yml"
    known = {source["uid"] for source in yaml.safe_load(file.read_text())["datasources"]}

    def named(part):
        if isinstance(part, dict):
            uid = (part.get("datasource") or {}) if isinstance(part.get("datasource"), dict) else {}
            yield from [uid["uid"]] if "uid" in uid else []
            for value in part.values():
                yield from named(value)
        elif isinstance(part, list):
            for value in part:
                yield from named(value)

    for dashboard in sorted((root / "deploy/grafana/dashboards").glob("*.json")):
        used = set(named(json.loads(dashboard.read_text())))
        # A variable chooses among the provisioned; "-- Grafana --" is the page's own.
        fixed = {uid for uid in used if not uid.startswith(("$", "-- "))} - {"grafana"}
        assert fixed <= known, dashboard.name
