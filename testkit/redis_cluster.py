"""A real Redis Cluster on this machine: three masters, a replica of each, failovers in a second."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from services.local.child import Command
from services.local.ports import LOOPBACK, any_free_port
from services.local.redis_server import RedisServer
from services.local.server import ServerFailed
from testkit.waiting import wait_until

MASTERS = 3
SLOTS = 16_384
_BUS = 10_000
"""Redis 6 has the bus of a cluster so far above the port of clients."""
_HIGHEST = 65_535 - _BUS
_TRIES = 20
_ANSWER_S = 5.0
_NODE_TIMEOUT_MS = 1_000
_OWN_SETTINGS = f"""
cluster-enabled yes
cluster-node-timeout {_NODE_TIMEOUT_MS}
cluster-replica-validity-factor 0
repl-diskless-sync yes
repl-diskless-sync-delay 0
"""


class ClusterNode(RedisServer):
    """One node; it continues what its directory holds, its name in the cluster included."""

    def command(self) -> Command:
        """Return the server's command, once the configuration is of a node."""
        command = super().command()
        with (self.directory / "redis.conf").open("a") as file:
            file.write(_OWN_SETTINGS)
        return command

    def ask(self, *words: str | int) -> str:
        """Return the answer to a command as text, the error of one that is refused.

        Raises:
            OSError: The node does not answer.
        """
        return self.ask_list(*words)[0]

    def ask_list(self, *words: str | int) -> list[str]:
        """Return an answer that is a list, or one that is none as its only element.

        Raises:
            OSError: The node does not answer.
        """
        parts = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection((LOOPBACK, self.port), _ANSWER_S) as connection:
            connection.settimeout(_ANSWER_S)
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                first = answers.readline().decode().rstrip()
                if not first.startswith("*"):
                    return [_text(first, answers)]
                lines = (answers.readline().decode().rstrip() for _ in range(int(first[1:])))
                return [_text(line, answers) for line in lines]

    @property
    def node_id(self) -> str:
        """The name of the node in the cluster."""
        return self.ask("CLUSTER", "MYID")

    @property
    def is_master(self) -> bool:
        """Whether the node takes itself for a master; False while it does not answer."""
        try:
            return "role:master" in self.ask("INFO", "replication")
        except OSError:
            return False


class RedisClusterServers:
    """Three masters and their replicas, all real processes on free ports.

    Attributes:
        nodes: The nodes; the first three began as masters, each with the one three places on.
    """

    def __init__(self, nodes: list[ClusterNode]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The address for the store."""
        hosts = ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    def form(self) -> None:
        """Make one cluster of the nodes, and return once all of them say so."""
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        bounds = [SLOTS * n // MASTERS for n in range(MASTERS + 1)]
        for node, (first, end) in zip(self.nodes, pairwise(bounds), strict=False):
            node.ask("CLUSTER", "ADDSLOTS", *range(first, end))
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", LOOPBACK, node.port)
        wait_until(lambda: all(self._knows_all(node) for node in self.nodes), "nodes that met")
        for master, replica in zip(self.nodes, self.nodes[MASTERS:], strict=False):
            replica.ask("CLUSTER", "REPLICATE", master.node_id)
        self.wait_whole()

    def _knows_all(self, node: ClusterNode) -> bool:
        listed = node.ask("CLUSTER", "NODES")
        return len(listed.splitlines()) == len(self.nodes) and "handshake" not in listed

    def wait_whole(self) -> None:
        """Return once every node is there, all slots are served, and every replica follows."""
        wait_until(lambda: all(map(_is_settled, self.nodes)), "a whole cluster")

    def master_of(self, key: str) -> ClusterNode:
        """Return the running node that has the slot of a key."""
        slot = next(self._each("CLUSTER", "KEYSLOT", key))
        for node in self.nodes:
            try:
                answer = node.ask("CLUSTER", "NODES") if node.is_master else ""
            except OSError:
                continue
            own = re.search(r"^.*myself.*$", answer, re.MULTILINE)
            ranges = (
                re.findall(r" (\d+)(?:-(\d+))?(?= |$)", own[0].partition("connected")[2])
                if own
                else []
            )
            if any(int(low) <= int(slot) <= int(high or low) for low, high in ranges):
                return node
        raise LookupError(f"no running master has slot {slot} of {key}")

    def replica_of(self, master: ClusterNode) -> ClusterNode:
        """Return the node that follows a master."""
        for node in self.nodes:
            if not node.is_master and f"master_port:{master.port}" in node.ask(
                "INFO", "replication"
            ):
                return node
        raise LookupError(f"nobody follows {master.port}")

    def fail_over(self, master: ClusterNode) -> ClusterNode:
        """Kill a master; return its replica once it is master in its place and serves."""
        replica = self.replica_of(master)
        master.kill()
        self.wait_promoted(replica)
        return replica

    def wait_promoted(self, replica: ClusterNode) -> None:
        """Return once a replica whose master was killed is master in its place and serves."""
        wait_until(lambda: replica.is_master and _is_served(replica), "a failover")

    def bring_back(self, node: ClusterNode) -> None:
        """Start a node that was killed, and return once it follows."""
        node.start()
        node.wait_ready()
        self.wait_whole()

    def _each(self, *words: str) -> Iterator[str]:
        for node in self.nodes:
            try:
                yield node.ask(*words)
            except OSError:
                continue


def _text(first: str, answers: BinaryIO) -> str:
    """Return a simple string, error, number or string of bytes, given its first line."""
    if not first.startswith("$"):
        return first[1:]
    length = int(first[1:])
    return answers.read(length + 2)[:length].decode() if length >= 0 else ""


def _is_served(node: ClusterNode) -> bool:
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


def _is_settled(node: ClusterNode) -> bool:
    try:
        if not _is_served(node) or "fail" in node.ask("CLUSTER", "NODES"):
            return False
        said = node.ask("INFO", "replication")
    except OSError:
        return False
    if "role:master" in said:
        return "connected_slaves:1" in said and "state=online" in said
    return "master_link_status:up" in said


def _node(directory: Path, taken: list[int], running: ExitStack) -> ClusterNode:
    """Start a node on a port whose bus is free as well; another pair if somebody was quicker.

    Raises:
        ServerFailed: It does not start on any of many pairs.
    """
    for tried in range(_TRIES):
        port = _pair(taken)
        taken.append(port)
        node = ClusterNode(directory / str(port), port)
        try:
            return running.enter_context(node)
        except ServerFailed:
            if tried + 1 == _TRIES:
                raise
    raise AssertionError


def _pair(taken: list[int]) -> int:
    """Return a port that is free, and whose bus is."""
    tried = list(taken)
    while True:
        port = any_free_port(tried)
        tried.append(port)
        if port <= _HIGHEST and _may_bind_both(port):
            return port


def _may_bind_both(port: int) -> bool:
    with ExitStack() as stack:
        for one in (port, port + _BUS):
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, one))
            except OSError:
                return False
    return True


@contextmanager
def redis_cluster(directory: Path) -> Iterator[RedisClusterServers]:
    """A whole, empty cluster; `.url` is its address."""
    with ExitStack() as running:
        taken: list[int] = []
        cluster = RedisClusterServers(
            [_node(directory, taken, running) for _ in range(2 * MASTERS)]
        )
        cluster.form()
        yield cluster
