"""What an engine leaves on the machine is taken away, and nothing else is."""

import pytest

from testkit.compose.traces import Traces, TracesLeft

BEFORE = """\
*filter
:INPUT ACCEPT [1:2]
:FORWARD ACCEPT [0:0]
:OWN - [0:0]
-A FORWARD -j OWN
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
"""
AFTER = """\
*filter
:INPUT ACCEPT [7:8]
:FORWARD DROP [0:0]
:OWN - [0:0]
:DOCKER - [0:0]
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -j OWN
-A DOCKER -m comment --comment "two words" -j RETURN
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.213.0.0/24 ! -o docker0 -j MASQUERADE
COMMIT
"""
OWN_BRIDGE = "3: br0: <BROADCAST> mtu 1500\n"
NEW_BRIDGE = "4: docker0: <BROADCAST> mtu 1500\n"


class Machine:
    """Answers with the state after an engine and remembers what it is told to do."""

    def __init__(self, refused: str = "") -> None:
        self.told: list[tuple[str, ...]] = []
        self._refused = refused

    def __call__(self, argv):
        if argv[0] == "iptables-save":
            return AFTER
        if argv[:3] == ("ip", "-o", "link"):
            return OWN_BRIDGE + NEW_BRIDGE
        self.told.append(tuple(argv))
        if self._refused and self._refused in argv:
            raise TracesLeft(f"refused: {self._refused}")
        return ""


def test_all_that_came_is_taken_away_rules_before_chains():
    machine = Machine()
    Traces.of(BEFORE, OWN_BRIDGE).put_back(machine)
    assert machine.told == [
        ("iptables", "-t", "filter", "-D", "FORWARD", "-o", "docker0", "-j", "DOCKER"),
        ("iptables", "-t", "filter", "-D", "DOCKER", "-m", "comment", "--comment", "two words",
         "-j", "RETURN"),
        ("iptables", "-t", "nat", "-D", "POSTROUTING", "-s", "10.213.0.0/24", "!", "-o",
         "docker0", "-j", "MASQUERADE"),
        ("iptables", "-t", "filter", "-F", "DOCKER"),
        ("iptables", "-t", "filter", "-X", "DOCKER"),
        ("iptables", "-t", "filter", "-P", "FORWARD", "ACCEPT"),
        ("ip", "link", "delete", "docker0"),
    ]  # fmt: skip


def test_where_nothing_came_nothing_is_touched():
    machine = Machine()
    Traces.now(machine).put_back(machine)
    assert machine.told == []


def test_what_cannot_be_taken_away_is_said_after_all_else_was():
    machine = Machine(refused="-X")
    with pytest.raises(TracesLeft, match="refused: -X"):
        Traces.of(BEFORE, OWN_BRIDGE).put_back(machine)
    assert machine.told[-1] == ("ip", "link", "delete", "docker0")
