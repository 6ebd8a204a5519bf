"""The stack is well when each service has its containers, healthy or ended well."""

import json

import pytest

from testkit.compose import stack as module
from testkit.compose.failures import ComposeTestFailed
from testkit.compose.stack import Stack


def container(service, status="running", code=0, health="healthy"):
    state = {"Status": status, "ExitCode": code, "Health": {"Status": health}}
    return {"Config": {"Labels": {"com.docker.compose.service": service}}, "State": state}


class Engine:
    """Answers with containers."""

    def __init__(self, containers):
        self._containers = containers

    def docker(self, command, *_):
        if command == "ps":
            return "\n".join(map(str, range(len(self._containers))))
        return json.dumps(self._containers)


def wait(containers, monkeypatch, **replicas):
    monkeypatch.setattr(module, "_PATIENCE_S", -1.0)
    stack = Stack.__new__(Stack)
    stack._engine, stack.services = Engine(containers), {"worker": {}, "topics": {}}
    stack.wait_until_healthy(**replicas)


def test_healthy_and_ended_well_is_well(monkeypatch):
    wait([container("worker"), container("topics", "exited")], monkeypatch)


@pytest.mark.parametrize(
    ("containers", "replicas", "said"),
    [
        ([container("topics", "exited")], {}, "worker 0 of 1"),
        ([container("worker", health="starting"), container("topics")], {}, "worker 0 of 1"),
        ([container("worker"), container("topics", "exited", 3, "none")], {}, "topics 0 of 1"),
        ([container("worker"), container("topics")], {"worker": 3}, "worker 1 of 3"),
        ([container("worker"), container("worker"), container("topics")], {}, "worker 2 of 1"),
    ],
)
def test_what_is_lacking_is_said(monkeypatch, containers, replicas, said):
    with pytest.raises(ComposeTestFailed, match=f"well are {said}"):
        wait(containers, monkeypatch, **replicas)
