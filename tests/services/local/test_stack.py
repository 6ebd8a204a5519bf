import socket
from pathlib import Path

import pytest

from core import config
from services.local.options import StackOptions
from services.local.paths import RuntimePaths
from services.local.ports import USUAL_PORTS
from services.local.prometheus_server import AlertmanagerServer, alertmanager_program
from services.local.stack import plan_stack
from services.local.supervisor import StartStage, StartTask


def options(tmp_path: Path, **asked: object) -> StackOptions:
    return StackOptions(paths=RuntimePaths(tmp_path), **asked)  # type: ignore[arg-type]


def test_the_parts_come_up_in_the_order_in_which_they_need_each_other(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, workers=2, metrics_stack=False))
    order = [
        step.name if isinstance(step, StartTask) else [part.server.name for part in step.parts]
        for step in stack.steps
    ]
    assert order == [
        ["kafka", "redis", "triton"],
        "topics",
        ["closer", "worker-1", "worker-2", "forecaster", "responder", "exporter", "console",
         "heartbeat"],
        ["ingest"],
    ]  # fmt: skip


def test_only_the_source_may_end(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path))
    stages = [step for step in stack.steps if isinstance(step, StartStage)]
    assert [p.server.name for stage in stages for p in stage.parts if p.may_end] == ["ingest"]


def test_no_model_server_is_started_for_a_scorer_that_needs_none(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, scorer="fake", source="", metrics_stack=False))
    assert [server.name for server in stack.servers] == [
        "kafka", "redis", "closer", "worker-1", "forecaster", "responder", "exporter", "console",
        "heartbeat",
    ]  # fmt: skip
    assert stack.environment["GROUNDSWELL__SCORER__KIND"] == "fake"


@pytest.mark.parametrize(
    ("scorer", "kind"), [("triton", "triton"), ("openvino", "in_process"), ("fake", "fake")]
)
def test_the_models_of_engagement_and_of_crowds_are_where_the_scorer_is(
    tmp_path: Path, scorer: str, kind: str
) -> None:
    stack = plan_stack(options(tmp_path, scorer=scorer, metrics_stack=False))
    assert stack.environment["GROUNDSWELL__FORECASTS__KIND"] == kind
    assert stack.environment["GROUNDSWELL__RESPONDER__CROWD_KIND"] == kind
    without = plan_stack(options(tmp_path, forecasts=False, metrics_stack=False))
    assert "forecaster" not in [server.name for server in without.servers]


def test_a_port_in_use_is_replaced_and_everybody_is_told(tmp_path: Path) -> None:
    with socket.socket() as occupant:
        occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            occupant.bind(("127.0.0.1", USUAL_PORTS["redis"]))
            occupant.listen()
        except OSError:
            pass  # somebody else sits there already, which serves as well
        stack = plan_stack(options(tmp_path))
    redis = next(server for server in stack.servers if server.name == "redis")
    assert redis.ports["redis"] != USUAL_PORTS["redis"]
    assert stack.environment["GROUNDSWELL__REDIS__URL"].endswith(f":{redis.ports['redis']}/0")


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, workers=8), usual_ports=False)
    ports = [port for server in stack.servers for port in server.ports.values()]
    assert len(ports) == len(set(ports))


def test_every_process_gets_the_addresses_and_a_metrics_port_of_its_own(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, workers=2, settings={"GROUNDSWELL__WINDOWS__PANE_S": "5"}))
    own = [
        server for server in stack.servers if "metrics" in server.ports and server.name != "triton"
    ]
    assert [server.name for server in own] == [
        "closer", "worker-1", "worker-2", "forecaster", "responder", "exporter", "console",
        "heartbeat", "ingest",
    ]  # fmt: skip
    for server in own:
        variables = server.command().env
        assert stack.environment.items() <= dict(variables).items()
        assert variables["GROUNDSWELL__METRICS__PORT"] == str(server.ports["metrics"])
        assert variables["GROUNDSWELL__WINDOWS__PANE_S"] == "5"
    folders = {dict(server.command().env).get("GROUNDSWELL__WORKER__DATA_DIR") for server in own}
    assert len(folders) == 3  # two workers with one each, the others with none


def test_a_chosen_settings_file_is_handed_to_every_process(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, config=Path("settings.toml")))
    worker = next(server for server in stack.servers if server.name == "worker-1")
    argv = worker.command().argv
    assert argv[argv.index("--config") + 1] == str(Path("settings.toml").resolve())


@pytest.mark.parametrize("source", ["synthetic", "replay"])
def test_the_source_is_started_with_its_options(tmp_path: Path, source: str) -> None:
    asked = options(tmp_path, source=source, ingest_arguments=("--rate=100",))
    ingest = plan_stack(asked).servers[-1]
    assert ingest.command().argv[-4:] == ("ingest", "--source", source, "--rate=100")


@pytest.mark.skipif(alertmanager_program() is None, reason="needs Alertmanager")
def test_the_closer_is_told_where_alertmanager_is_and_a_setting_of_ones_own_wins(
    tmp_path: Path,
) -> None:
    variable = "GROUNDSWELL__ALERTS__ALERTMANAGER_URL"
    stack = plan_stack(options(tmp_path), usual_ports=False)
    (alertmanager,) = (s for s in stack.servers if isinstance(s, AlertmanagerServer))
    (closer,) = (s for s in stack.servers if s.name == "closer")
    assert closer.command().env[variable] == alertmanager.url == stack.urls["alertmanager"]
    own = options(tmp_path, settings={variable: "http://elsewhere:9093"})
    assert plan_stack(own, usual_ports=False).environment[variable] == "http://elsewhere:9093"
    alone = plan_stack(options(tmp_path, metrics_stack=False), usual_ports=False)
    assert variable not in alone.environment


def test_a_measured_rate_is_found_after_all_but_the_source_and_handed_to_it(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path, metrics_stack=False, measured_rate=200.0))
    *_, before, measuring, last = stack.steps
    assert isinstance(before, StartStage)
    assert isinstance(measuring, StartTask)
    assert isinstance(last, StartStage)
    assert "worker-1" in [part.server.name for part in before.parts]
    assert (
        measuring.command.env["GROUNDSWELL__SCORER__URL"]
        == stack.environment["GROUNDSWELL__SCORER__URL"]
    )
    place, most = measuring.command.argv[-2:]
    assert most == "200.0"
    assert last.parts[0].server.command().argv[-1] == f"--options={place}"


def test_alerts_lead_to_the_console_and_its_commands_find_it(tmp_path: Path) -> None:
    stack = plan_stack(options(tmp_path), usual_ports=False)
    (console,) = (server for server in stack.servers if server.name == "console")
    page, variables = console.ports["page"], stack.environment
    assert stack.urls["console"] == f"http://127.0.0.1:{page}"
    assert variables["GROUNDSWELL__CONSOLE__PORT"] == str(page)
    assert variables["GROUNDSWELL__CONSOLE__DATA_DIR"] == str(RuntimePaths(tmp_path).console)
    link = f"http://127.0.0.1:{page}/alerts/{{alert_id}}"
    assert variables["GROUNDSWELL__ALERTS__LINK"] == link
    settings = config.load(
        environ={n: v for n, v in dict(console.command().env).items() if "CONSOLE" in n}
    )
    assert settings.console.local_link
    assert settings.console.address == "127.0.0.1"
