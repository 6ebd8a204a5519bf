"""The services of docker-compose.yml as processes: their commands, variables and health checks.

What a container would give is put in place: host names become the loopback address, ports free
ones, mounted files and volumes folders. Everything else is taken from the file as it stands.
"""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.local.child import Child, Command, run_to_end
from services.local.kafka_jars import fetch_jars
from services.local.kafka_server import java_program
from services.local.paths import DEFAULT_PATHS
from services.local.ports import LOOPBACK, reserved_port
from services.local.prometheus_server import alertmanager_program, prometheus_program
from services.local.redis_server import redis_program
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration

READY_S = 60.0
PROCESSES = ("closer", "worker", "exporter", "ingest", "console")


class Machine:
    """Runs services of the file on this machine."""

    def __init__(self, compose, root, directory):
        self.compose, self.root, self.directory = compose, root, directory
        self.secrets = directory / "secrets"
        self.children = {}
        self.ports = {}
        # Nobody takes one before the service whose it is: all of these reuse addresses.
        self.held = ExitStack()
        # Also those of services that are not started: a stack of this machine may have them.
        for port in (9092, 9094, 6379, 8080, 8002, 3000, 9090, 9093, *range(9101, 9108), 9110):
            self.ports[str(port)] = str(self.held.enter_context(reserved_port()))
        script = str(root / "deploy/docker/make_secrets.sh")
        made, output = run_to_end(Command(("sh", script, str(self.secrets)), cwd=directory), 60)
        assert made == 0, output

    def here(self, service, text):
        """Turn a word or value of the file into what it means on this machine."""
        own = self.directory / service.name
        places = {"/run/secrets": self.secrets, "/tmp": own / "tmp"}
        for inside, source in service.mounts().items():
            places[inside] = self.root / source if source.startswith(".") else own / "stored"
        for inside in sorted(places, key=len, reverse=True):
            found = re.search(rf"(?:^|=){re.escape(inside)}(?=/|$)", text)
            if found:
                text = f"{text[: found.end() - len(inside)]}{places[inside]}{text[found.end() :]}"
                break
        return self.addresses(text)

    def addresses(self, text):
        """Put the loopback address for names of services, and free ports for usual ones."""
        hosts = "|".join([*self.compose.services, "localhost", r"0\.0\.0\.0"])
        text = re.sub(rf"(?<![\w/.-])(?:{hosts}):(?=\d)", f"{LOOPBACK}:", text)
        text = re.sub(rf"//(?:{hosts})?:(?=\d)", f"//{LOOPBACK}:", text)
        text = LOOPBACK if text == "0.0.0.0" else text  # noqa: S104
        ports = "|".join(self.ports)  # in one pass: a free port may hold the digits of another
        return re.sub(rf"(?<!\d)(?:{ports})(?!\d)", lambda found: self.ports[found[0]], text)

    def start(self, name, argv, variables):
        for folder in ("tmp", "stored"):
            (self.directory / name / folder).mkdir(parents=True, exist_ok=True)
        path = f"{redis_program().parent}:{sys.exec_prefix}/bin:/usr/bin:/bin"
        command = Command(tuple(argv), {**variables, "PATH": path}, self.root, inherits=False)
        self.children[name] = Child(command, self.directory / f"{name}.log")

    def command(self, name):
        """Return the command line of one of our services and its variables."""
        service = self.compose.services[name]
        settings = {k: self.here(service, v) for k, v in service.settings.items()}
        variables = settings | {"PYTHONPATH": str(self.root), "HOME": str(self.directory)}
        argv = (sys.executable, "-m", "services.cli.main", *service.command)
        return argv, variables

    def is_healthy(self, name):
        """Run the service's own health check."""
        service = self.compose.services[name]
        # No model server here: the worker's own page is what remains of its check.
        asked = [word for word in service.health if "//triton:" not in word]
        words = [self.here(service, word) for word in asked]
        if words[0] == "http-answers":
            words[0] = str(self.root / "deploy/docker/http_answers.py")
        path = f"{redis_program().parent}:/usr/bin:/bin"
        try:
            status, _ = run_to_end(Command(tuple(words), {"PATH": path}, inherits=False), 60)
        except subprocess.TimeoutExpired:  # as Docker sees it: no answer in time is no health
            return False
        return status == 0

    def expect_healthy(self, name):
        def holds():
            child = self.children[name]
            assert child.is_running, child.log_path.read_text()[-2000:]
            return self.is_healthy(name)

        wait_until(holds, f"{name} is healthy", every_s=0.1, patience_s=READY_S)

    def page(self, name):
        """Return the metrics page of a service."""
        port = self.command(name)[1]["GROUNDSWELL__METRICS__PORT"]
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=60) as answer:
            return answer.read().decode()

    def start_kafka(self):
        """Do what the image's own entry does: lay variables over the file, format, start."""
        service, home = self.compose.services["kafka"], self.directory / "kafka"
        mounted, final = home / "mounted", home / "final"
        defaults = home / "default"
        for folder in (mounted, final, defaults):
            folder.mkdir(parents=True)
        shutil.copy(self.root / "deploy/kafka/server.properties", mounted)
        for file in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (defaults / file).write_text("\n")
        variables = {k: self.here(service, v) for k, v in service.environment.items()}
        jars = ":".join(str(jar) for jar in fetch_jars(DEFAULT_PATHS.cache))
        java = (str(java_program()), "-Xmx256m", "-XX:+UseSerialGC", "-cp", jars)
        wrapper = (*java, "kafka.docker.KafkaDockerWrapper", "setup",
                   "-D", str(defaults), "-M", str(mounted), "-F", str(final))  # fmt: skip
        status, output = run_to_end(Command(wrapper, variables, inherits=False), 60)
        assert status == 0, output
        self.start("kafka", (*java, "kafka.Kafka", str(final / "server.properties")), {})

    def start_watcher(self, name, program):
        """Start Prometheus or Alertmanager with a configuration whose addresses are here."""
        service = self.compose.services[name]
        flags = [self.here(service, word) for word in service.command]
        given = flags[0].removeprefix("--config.file=")
        kept = self.directory / f"{name}.yml"
        kept.write_text(self.addresses(Path(given).read_text()))
        self.start(name, (program, f"--config.file={kept}", *flags[1:]), {})

    def ask_prometheus(self, query):
        """Return the labels of every series that a query gives."""
        at = f"http://{LOOPBACK}:{self.ports['9090']}/api/v1/query?"
        with urllib.request.urlopen(at + urllib.parse.urlencode({"query": query})) as answer:  # noqa: S310
            return [series["metric"] for series in json.load(answer)["data"]["result"]]

    def stop(self):
        for child in reversed(self.children.values()):
            child.kill()  # what it was to show has been shown
        self.held.close()


@pytest.fixture(scope="module")
def machine(compose, root, tmp_path_factory):
    """The stack without model server and watchers, in the order of the file."""
    machine = Machine(compose, root, tmp_path_factory.mktemp("compose"))
    try:
        machine.start_kafka()
        redis = compose.services["redis"]
        machine.start("redis", [machine.here(redis, word) for word in redis.command], {})
        machine.expect_healthy("kafka")
        machine.expect_healthy("redis")
        argv, variables = machine.command("topics")
        status, output = run_to_end(Command(argv, variables, root, inherits=False), 60)
        assert status == 0, output
        for name in PROCESSES:
            argv, variables = machine.command(name)
            if name == "worker":
                variables["GROUNDSWELL__SCORER__KIND"] = "fake"  # no model server here
            machine.start(name, argv, variables)
        yield machine
    finally:
        machine.stop()


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_starts_and_becomes_healthy(machine, name):
    machine.expect_healthy(name)


def test_posts_flow_from_the_source_through_the_broker_into_the_store(machine):
    def counted():
        lines = machine.page("worker").splitlines()
        applied = [line for line in lines if line.startswith("groundswell_posts_applied_total{")]
        return any(float(line.rpartition(" ")[2]) > 0 for line in applied)

    wait_until(counted, "the worker counts posts", every_s=0.1, patience_s=READY_S)


def test_prometheus_and_alertmanager_start_and_scrape_with_their_labels(machine):
    programs = {"prometheus": prometheus_program(), "alertmanager": alertmanager_program()}
    for name, program in programs.items():
        if program is None:
            pytest.skip(f"{name} is not installed")
        machine.start_watcher(name, str(program))
    for name in programs:
        machine.expect_healthy(name)
    # Workers are found by a name server, and Triton and Grafana are not here.
    expected = {"closer", "exporter", "ingest", "console", "prometheus", "alertmanager"}

    def all_up():
        return {metric["part"] for metric in machine.ask_prometheus("up == 1")} == expected

    wait_until(
        all_up, f"Prometheus scrapes {', '.join(sorted(expected))}", every_s=0.1, patience_s=READY_S
    )


def test_the_console_lets_in_who_has_the_key_of_the_secrets(machine):
    key = (machine.secrets / "console_key").read_text()
    at = f"http://{LOOPBACK}:{machine.ports['8080']}/api/v1/health"
    asking = urllib.request.Request(at, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asking, timeout=60) as answer:  # noqa: S310
        said = json.load(answer)
    assert (said["status"], said["role"]) == ("ok", "operator")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(at, timeout=60)


def test_the_store_takes_no_command_without_the_password(machine):
    (machine.directory / "wrong").write_text("wrong")
    script = str(machine.root / "deploy/docker/redis_answers.sh")
    port = machine.ports["6379"]
    path = {"PATH": f"{redis_program().parent}:/usr/bin:/bin"}
    for secret, expected in (("secrets/redis_password", 0), ("wrong", 1)):
        words = ("sh", script, str(machine.directory / secret), port)
        status, _ = run_to_end(Command(words, path, inherits=False), 60)
        assert status == expected


def test_the_store_keeps_an_append_only_file_and_evicts_nothing(machine):
    password = (machine.secrets / "redis_password").read_text()
    words = (str(redis_program().parent / "redis-cli"), "-p", machine.ports["6379"],
             "CONFIG", "GET", "*")  # fmt: skip
    variables = {"REDISCLI_AUTH": password}
    _, output = run_to_end(Command(words, variables, inherits=False), 60)
    lines = output.splitlines()
    known = dict(zip(lines[::2], lines[1::2], strict=False))
    assert known["appendonly"] == "yes"
    assert known["maxmemory-policy"] == "noeviction"
    assert known["maxmemory"] == str(1 << 30)


@pytest.mark.parametrize("name", ["exporter", "redis", "kafka"])
def test_a_service_that_is_gone_is_not_healthy(machine, name):
    # The last test of this file: what it stops stays stopped.
    machine.children[name].kill()
    assert not machine.is_healthy(name)
