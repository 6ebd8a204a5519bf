"""What is wrong with a container is said, each thing by itself."""

import copy

import pytest

from testkit.compose.inspection import SIZE_LIMITS, find_faults, find_image_faults
from testkit.compose.stack import overlay_for

GOOD = {
    "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
    "RestartCount": 0,
    "HostConfig": {
        "ReadonlyRootfs": True, "Memory": 1, "NanoCpus": 1, "PidsLimit": 1,
        "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"],
    },
    "Config": {"User": "10001:10001", "Env": ["A_PASSWORD_FILE=/run/secrets/a"]},
}  # fmt: skip


def faults(*, is_task=False, service="worker", restarts=0, **changes):
    container = copy.deepcopy(GOOD)
    for path, value in changes.items():
        section, _, name = path.partition("__")
        if name:
            container[section][name] = value
        else:
            container[section] = value
    return list(find_faults(service, container, is_task=is_task, restarts=restarts))


def test_a_container_as_the_file_promises_has_no_fault():
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"State__Health": {"Status": "starting"}}, "not healthy"),
        ({"State__OOMKilled": True}, "memory"),
        ({"RestartCount": 2}, "restarted 2 times"),
        ({"HostConfig__ReadonlyRootfs": False}, "read-only: False"),
        ({"Config__User": ""}, "runs as root"),
        ({"Config__User": "0:0"}, "runs as root"),
        ({"HostConfig__PidsLimit": None}, "no limit"),
        ({"HostConfig__CapDrop": None}, "keeps privileges"),
        ({"HostConfig__SecurityOpt": []}, "keeps privileges"),
        ({"Config__Env": ["REDIS_PASSWORD=x"]}, "holds a secret"),
    ],
)
def test_each_fault_is_said(changes, said):
    (fault,) = faults(**changes)
    assert said in fault


def test_a_container_that_was_killed_must_have_been_started_again_and_no_other():
    assert faults(restarts=1, RestartCount=1) == []
    (fault,) = faults(restarts=1)
    assert "restarted 0 times, not 1" in fault


def test_a_source_that_ends_may_end_well_only():
    ends = {"HostConfig__RestartPolicy": {"Name": "on-failure"}, "State__Status": "exited"}
    assert faults(**ends) == []
    (fault,) = faults(**ends, State__ExitCode=3)
    assert "not ended with 0" in fault
    assert faults(State__Status="exited", State__Health={"Status": "unhealthy"})


def test_a_source_that_was_started_again_after_its_end_counts_anew():
    ends = {"HostConfig__RestartPolicy": {"Name": "on-failure"}}
    assert faults(**ends, restarts=1) == []
    assert faults(**ends, restarts=1, RestartCount=2)


def test_a_task_must_have_ended_well():
    assert faults(is_task=True, State__Status="exited") == []
    (fault,) = faults(is_task=True, State__Status="exited", State__ExitCode=3)
    assert "not ended with 0" in fault


def test_the_overlay_takes_away_what_an_older_engine_refuses():
    overlay = overlay_for({"a": {"healthcheck": {}}, "b": {"build": {}}})
    assert "start_interval: !reset null" in overlay
    assert overlay.count("network: host") == 1


TAG = "groundswell/app:local"
LABELS = {f"org.opencontainers.image.{name}": "x" for name in ("title", "version", "licenses")}


def image_faults(size=1, labels=LABELS, files=("/app", "/app/core"), listed='{"components": [1]}'):
    image = {"Size": size, "Config": {"Labels": labels}}
    return list(find_image_faults(TAG, image, files, listed))


def test_an_image_as_it_should_be_has_no_fault():
    assert image_faults() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": SIZE_LIMITS["app"] + 1}, "more than"),
        ({"labels": None}, "has no label org.opencontainers.image.title"),
        ({"files": ["/app/testkit"]}, "holds /app/testkit"),
        ({"files": ["/app/services/Fake_scorer.py"]}, "holds /app/services/Fake_scorer.py"),
        ({"listed": "{}"}, "lists nothing"),
    ],
)
def test_each_fault_of_an_image_is_said(changes, said):
    assert said in image_faults(**changes)[0]
