"""docker-compose.yml against the project: nothing is named there that does not exist here."""

import re
import tomllib

import msgspec
import pytest

from core.config import build
from core.settings import HOSTNAME, Secret, Settings
from services.cli.main import COMMANDS, load_command, run
from services.local.child import Command, run_to_end
from services.local.options import StackOptions
from services.local.ports import USUAL_PORTS
from services.local.server import Program
from services.local.stack import plan_stack
from services.local.triton_server import DEFAULT_SERVER_PYTHON

OURS = ("topics", "ingest", "heartbeat", "worker", "closer", "forecaster", "responder", "exporter",
        "console")  # fmt: skip


def settings_of(service):
    """Return the `Settings` that the service's variables make, secrets as if they were there."""
    tree = {}
    for variable, text in service.settings.items():
        section, name = variable.removeprefix("GROUNDSWELL__").lower().split("__")
        tree.setdefault(section, {})[name.removesuffix("_file")] = text
    return build(tree)


def test_it_has_every_part_of_the_full_stack(compose):
    parts = {*OURS, "kafka", "redis", "triton", "triton-gpu", "model-build", "model-build-gpu"}
    assert set(compose.services) == parts | {"prometheus", "alertmanager", "grafana", "demo"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(compose, name):
    settings_of(compose.services[name])


@pytest.mark.parametrize("name", OURS)
def test_a_file_stands_only_for_a_setting_that_is_secret(compose, name):
    service = compose.services[name]
    for variable, path in service.settings.items():
        section, field = variable.removeprefix("GROUNDSWELL__").lower().split("__")
        is_secret = isinstance(getattr(getattr(Settings(), section), field[:-5], None), Secret)
        assert field.endswith("_file") == is_secret
        if is_secret:
            assert path.removeprefix("/run/secrets/") in service.body.get("secrets", [])


@pytest.mark.parametrize("name", OURS)
def test_every_command_line_is_one_of_the_program(compose, name, capsys):
    words = compose.services[name].command
    assert words[0] in COMMANDS
    group, *arguments = words
    command = load_command(group)
    if arguments:  # a group: the name of the command comes next
        command = command.commands[arguments.pop(0)]
    with command.make_context(group, arguments):
        pass  # it parses, as it stands
    assert run([*words, "--help"]) == 0
    assert "Usage: groundswell" in capsys.readouterr().out


@pytest.mark.skipif(not DEFAULT_SERVER_PYTHON.exists(), reason="no model server environment")
@pytest.mark.parametrize(("name", "device"), [("model-build", "cpu"), ("model-build-gpu", "gpu")])
def test_the_model_is_built_by_the_local_stacks_builder(compose, root, name, device):
    dockerfile = (root / "deploy/docker/model.Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "models.build"]' in dockerfile
    words = compose.services[name].command
    assert words == ["--output", f"/srv/models/{device}", "--device", device]
    argv = (str(DEFAULT_SERVER_PYTHON), "-m", "models.build", *words, "--help")
    status, output = run_to_end(Command(argv, {"PYTHONPATH": str(root)}, root), 60)
    assert status == 0, output


def test_the_builder_can_move_a_new_model_into_place(compose):
    # It writes beside the repository and renames: both must be on the one volume.
    for name in ("model-build", "model-build-gpu"):
        service = compose.services[name]
        assert service.mounts() == {"/srv/models": "models"}
        assert service.command[1].startswith("/srv/models/")


@pytest.mark.parametrize(
    "name", ["ingest", "worker", "closer", "forecaster", "responder", "exporter", "console"]
)
def test_ports_are_those_of_the_local_stack(compose, name):
    assert settings_of(compose.services[name]).metrics.port == USUAL_PORTS[name]


def test_addresses_name_services_and_the_ports_they_listen_on(compose):
    worker = settings_of(compose.services["worker"])
    assert worker.kafka.bootstrap_servers == f"kafka:{USUAL_PORTS['kafka']}"
    assert worker.redis.url == f"redis://redis:{USUAL_PORTS['redis']}/0"
    assert worker.scorer.url == f"triton:{USUAL_PORTS['triton grpc']}"
    kafka = compose.services["kafka"].environment
    assert kafka["KAFKA_LISTENERS"].startswith(f"BROKER://:{USUAL_PORTS['kafka']},")
    assert kafka["KAFKA_ADVERTISED_LISTENERS"] == f"BROKER://kafka:{USUAL_PORTS['kafka']}"
    assert str(USUAL_PORTS["redis"]) in compose.services["redis"].command
    for name in ("triton", "triton-gpu"):
        for use in ("http", "grpc", "metrics"):
            flag = f"--{use}-port={USUAL_PORTS[f'triton {use}']}"
            assert flag in compose.services[name].command


def test_processes_are_started_as_the_local_stack_starts_them(compose):
    stack = plan_stack(StackOptions(metrics_stack=False, scorer="fake"), usual_ports=False)
    local = {server.name: server for server in stack.servers if isinstance(server, Program)}
    for name, part in (
        ("worker", "worker-1"), ("closer", "closer"), ("forecaster", "forecaster"),
        ("responder", "responder"), ("exporter", "exporter"), ("console", "console"),
    ):  # fmt: skip
        command = local[part].command()
        words = compose.services[name].command
        assert list(command.argv[-len(words) :]) == words
        told = {variable for variable in command.env if "__METRICS__" in variable}
        assert told <= set(compose.services[name].settings)
    ingest = local["ingest"].command()
    assert ingest.argv[-3:] == ("ingest", "--source", "synthetic")
    assert compose.services["ingest"].command == ["ingest"]
    assert settings_of(compose.services["ingest"]).ingest.source == "synthetic"


@pytest.mark.skipif(not DEFAULT_SERVER_PYTHON.exists(), reason="no model server environment")
def test_triton_is_started_as_the_local_stack_starts_it(compose, tmp_path):
    from models.serving.triton_process import triton_command

    model = tmp_path / "repository" / "post_encoder"
    model.mkdir(parents=True)
    (model / "config.pbtxt").touch()
    started = triton_command(DEFAULT_SERVER_PYTHON, model.parent, tmp_path, 8000, 8001, 8002)
    local = {flag for flag in started.argv if flag.startswith("--")}
    # The wheel has to be told where its parts are, and to stay on the loopback address.
    only_local = ("--model-repository", "--backend-", "--http-address", "--grpc-address",
                  "--metrics-address")  # fmt: skip
    expected = {flag for flag in local if not flag.startswith(only_local)}
    launched = ["python3", *started.argv[1:3], "tritonserver"]
    for name, device in (("triton", "cpu"), ("triton-gpu", "gpu")):
        *launch, repository = compose.services[name].command[:5]
        assert launch == launched
        assert repository == f"--model-repository=/srv/models/{device}"
    assert set(compose.services["triton"].command[5:]) == expected
    assert set(compose.services["triton-gpu"].command[5:]) == (
        expected - {"--allow-gpu-metrics=false"}
    )


def test_the_broker_is_the_version_that_the_local_stack_runs(compose, root):
    locked = tomllib.loads((root / "deploy/kafka/jgo.lock.toml").read_text())
    versions = {d["version"] for d in locked["dependencies"] if d["artifactId"] == "kafka_2.13"}
    assert {compose.services["kafka"].body["image"]} == {f"apache/kafka:{v}" for v in versions}


def test_what_the_brokers_template_leaves_open_is_filled(compose, root):
    template = (root / "deploy/kafka/server.properties").read_text()
    open_keys = {
        line.split("=")[0]
        for line in template.splitlines()
        if "$" in line and not line.startswith("#")
    }
    environment = compose.services["kafka"].environment
    filled = {k.removeprefix("KAFKA_").lower().replace("_", ".") for k in environment}
    assert open_keys <= filled


def test_every_mounted_file_exists(compose, root):
    for service in compose.services.values():
        for source in service.mounts().values():
            if source.startswith("."):
                assert (root / source).exists(), f"{service.name} mounts {source}"


def test_every_program_named_by_a_health_check_is_mounted_or_in_the_image(compose, root):
    in_images = {"http-answers", "wget", "bash", "sh"}
    dockerfiles = "".join(p.read_text() for p in (root / "deploy/docker").glob("*.Dockerfile"))
    assert "/usr/local/bin/http-answers" in dockerfiles
    for service in compose.services.values():
        if service.is_task:
            continue
        assert service.health[0] in in_images
        for word in service.health[1:]:
            if word.startswith("/usr/local/bin/"):
                assert word in service.mounts()


def test_a_worker_without_its_model_server_is_not_healthy(compose):
    ready = f"http://triton:{USUAL_PORTS['triton http']}/v2/health/ready"
    assert compose.services["worker"].health[2:] == [ready]
    inside = compose.services["triton"].health[1].replace("127.0.0.1", "triton")
    assert inside == ready


def test_every_volume_network_and_secret_is_declared_and_used(compose):
    used = {"volumes": set(), "networks": set(), "secrets": set()}
    for service in compose.services.values():
        named = {source for source in service.mounts().values() if not source.startswith(".")}
        used["volumes"] |= named
        used["networks"] |= service.networks
        used["secrets"] |= set(service.body.get("secrets", []))
    for kind, names in used.items():
        assert names == set(compose.tree[kind]), kind


@pytest.mark.parametrize("kind", ["limits", "health", "user", "restart", "hardening", "log"])
def test_every_service_is_bounded_watched_and_without_privileges(compose, kind):
    for name, service in compose.services.items():
        body = service.body
        if kind == "limits":
            limits = body["deploy"]["resources"]["limits"]
            assert {"cpus", "memory", "pids"} <= set(limits), name
            # More than a machine has is refused by the engine: two cores must do.
            assert float(limits["cpus"]) <= 2, name
        elif kind == "health" and not service.is_task:
            assert service.health, name
            assert body["healthcheck"]["retries"] > 0, name
        elif kind == "user":
            assert re.fullmatch(r"[1-9]\d*:\d+", body["user"]), name
        elif kind == "restart":
            assert body["restart"] in ("no", "unless-stopped"), name
        elif kind == "hardening":
            assert body["cap_drop"] == ["ALL"], name
            assert body["security_opt"] == ["no-new-privileges:true"], name
            assert body["read_only"] is (name != "kafka"), name
            assert "privileged" not in body, name
        elif kind == "log":
            assert body["logging"]["options"]["max-size"], name


def test_whoever_is_waited_for_can_be_ready(compose):
    services = compose.services
    for service in services.values():
        for name, wait in service.body.get("depends_on", {}).items():
            needed = services[name]
            ends = wait["condition"] == "service_completed_successfully"
            assert ends == needed.is_task
            # A profile that is off must not keep others from starting.
            own = set(service.body.get("profiles", []))
            elsewhere = set(needed.body.get("profiles", [])) - own
            assert not elsewhere or wait["required"] is False


def test_workers_can_be_scaled(compose):
    for service in compose.services.values():
        assert "container_name" not in service.body
        assert "hostname" not in service.body
    worker = compose.services["worker"]
    assert "ports" not in worker.body
    # Nothing is shared between two of them but what is read.
    assert all(":ro" in volume for volume in worker.body["volumes"])
    assert settings_of(worker).worker.data_dir.startswith("/tmp/")
    assert settings_of(worker).worker.instance == HOSTNAME  # a name of its own for each


def test_triton_is_on_internal_networks_only_and_reached_by_who_asks_it(compose):
    networks = compose.tree["networks"]
    for name in ("triton", "triton-gpu"):
        triton = compose.services[name]
        assert "ports" not in triton.body
        assert all(networks[network].get("internal") for network in triton.networks)
        assert all("triton" in triton.body["networks"][n]["aliases"] for n in triton.networks)
    inside = {s.name for s in compose.services.values() if "model" in s.networks}
    assert inside == {"triton", "triton-gpu", "worker", "forecaster", "responder"}


def test_nothing_but_pages_for_people_is_published_and_only_on_this_machine(compose):
    published = {s.name: s.body["ports"] for s in compose.services.values() if "ports" in s.body}
    assert set(published) == {"console", "prometheus", "alertmanager", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    outside = {s.name for s in compose.services.values() if "outside" in s.networks}
    assert outside == {"ingest", *published}


def test_an_alert_leads_to_its_page_in_the_console_as_it_is_published(compose):
    console = settings_of(compose.services["console"]).console
    link = settings_of(compose.services["closer"]).alerts.link
    assert link == f"{console.public_url}/alerts/{{alert_id}}"
    page = "${GROUNDSWELL_PUBLISH:-127.0.0.1}:${GROUNDSWELL_CONSOLE_PORT:-8080}"
    assert f'ports: ["{page}:{console.port}"]' in compose.text
    # With another port both lead to that one.
    assert re.sub(r"\\\n\s+", "", compose.text).count(f'"http://{page}') == 2


def test_the_console_leads_to_grafana_as_it_is_published(compose):
    assert settings_of(compose.services["console"]).console.grafana_url == "http://127.0.0.1:3000"
    page = "${GROUNDSWELL_PUBLISH:-127.0.0.1}:${GROUNDSWELL_GRAFANA_PORT:-3000}"
    assert f'ports: ["{page}:3000"]' in compose.text
    assert f'"http://{page}"' in re.sub(r"\\\n\s+", "", compose.text)


def test_the_console_answers_loopbacks_names_only_and_has_a_key_from_the_start(compose):
    service = compose.services["console"]
    console = settings_of(service).console
    assert console.is_local
    assert console.operator_key
    assert not console.local_link  # for who listens on loopback itself
    inside = f"http://127.0.0.1:{console.port}/healthz"
    assert service.health[2:] == [inside]
    assert service.mounts()[console.data_dir] == "console"


def test_whoever_reads_the_query_file_sees_it_as_it_is_edited(compose):
    for name in ("worker", "closer", "console"):
        assert compose.services[name].mounts()["/app/configs"] == "./configs"


def test_a_demo_shows_what_commands_of_the_program_show(compose, root, capsys):
    script = (root / "deploy/docker/demo.sh").read_text()
    shown = re.findall(r"(?m)^    show ([^|\n]+)", script)
    assert len(shown) == 4
    for line in shown:
        assert run([*line.split(), "--help"]) == 0
        assert "Usage: groundswell" in capsys.readouterr().out
    catalog = tomllib.loads((root / "configs/queries.toml").read_text())["queries"]
    assert {line.split()[2] for line in shown} <= {"all", "--last", *catalog}
    settings_of(compose.services["demo"])


def test_each_model_server_is_of_one_profile_and_of_the_demo(compose):
    profiles = {n: s.body["profiles"] for n, s in compose.services.items() if "profiles" in s.body}
    assert profiles == {
        "model-build": ["cpu", "demo"], "triton": ["cpu", "demo"], "demo": ["demo"],
        "model-build-gpu": ["gpu"], "triton-gpu": ["gpu"],
    }  # fmt: skip


def test_no_secret_is_written_in_the_file(compose):
    for secret in compose.tree["secrets"].values():
        assert set(secret) == {"file"}
    for service in compose.services.values():
        for name, value in service.environment.items():
            if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", name):
                assert value.startswith("/run/secrets/"), name
    assert not re.search(r"requirepass|://[^/\s]*:[^/\s]*@", compose.text)


def test_the_secrets_are_kept_out_of_the_repository_and_of_images(compose, root):
    for secret in compose.tree["secrets"].values():
        assert secret["file"].startswith("./.groundswell/secrets/")
    ignored = (root / ".gitignore").read_text().splitlines()
    assert {".groundswell/", ".env"} <= set(ignored)


def test_every_variable_of_the_file_is_in_the_guide_and_has_a_default_or_a_refusal(compose, root):
    guide = (root / "docs/compose.md").read_text()
    for name, default in compose.variables.items():
        assert default is not None or name in compose.refusals, name
        assert f"`{name}`" in guide, name
    assert list(compose.refusals) == ["GROUNDSWELL_SECRETS"]


def test_an_image_is_built_by_one_service_and_the_others_wait_for_it(compose):
    for profile in ("cpu", "gpu", "demo"):
        makers = [service.body["image"] for service in compose.services.values()
                  if "build" in service.body
                  and profile in service.body.get("profiles", [profile])]  # fmt: skip
        assert len(makers) == len(set(makers)) == 3
    for name, service in compose.services.items():
        if service.body["image"].startswith("groundswell/app:") and name != "topics":
            assert service.body["pull_policy"] == "never"
            assert "topics" in service.body["depends_on"]


def test_every_image_is_pinned(compose):
    for service in compose.services.values():
        image = service.body["image"]
        if image.startswith("groundswell/"):
            assert image.startswith("groundswell/")
        else:
            assert re.search(r":v?\d+\.\d+\.\d+(-alpine)?$", image), image


def test_every_process_may_end_as_slowly_as_its_settings_allow(compose):
    worker, ingest = (compose.services[name] for name in ("worker", "ingest"))
    drain_s = settings_of(worker).worker.drain_timeout_s
    assert msgspec.convert(worker.body["stop_grace_period"][:-1], float, strict=False) > drain_s
    stop_s = settings_of(ingest).ingest.stop_timeout_s
    assert msgspec.convert(ingest.body["stop_grace_period"][:-1], float, strict=False) > stop_s
