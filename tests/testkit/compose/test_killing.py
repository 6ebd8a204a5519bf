"""A service is killed by its first process, and nothing else is."""

import pytest

from testkit.compose import killing
from testkit.compose.failures import ComposeTestFailed

SERVICES = {"ingest": {}, "topics": {"restart": "no"}, "redis": {}, "kafka": {}}


class Stack:
    """Answers as a stack whose services are started again as soon as they are killed."""

    services = SERVICES

    def __init__(self, pid=7):
        self._pid, self._restarts = pid, dict.fromkeys(SERVICES, 0)

    def container(self, name):
        state = {"Pid": self._pid, "Status": "running", "Health": {"Status": "healthy"}}
        return {"State": state, "RestartCount": self._restarts[name]}

    def killed(self, *_):
        for name in self._restarts:
            self._restarts[name] += 1


def test_each_lasting_service_but_one_is_killed(monkeypatch):
    stack, signals = Stack(), []
    monkeypatch.setattr(killing.os, "kill", lambda *told: (signals.append(told), stack.killed()))
    assert list(killing.kill_each(stack, but="ingest")) == ["kafka", "redis"]
    assert signals == [(7, killing.signal.SIGKILL)] * 2


def test_what_does_not_run_is_not_killed(monkeypatch):
    # Process 0 would be this one's whole group.
    monkeypatch.setattr(killing.os, "kill", lambda *_: pytest.fail("something was killed"))
    with pytest.raises(ComposeTestFailed, match="redis: is to be killed, and does not run"):
        killing.kill(Stack(pid=0), "redis")
