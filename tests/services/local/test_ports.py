import os
import socket
import subprocess
import sys

import pytest

from services.local.ports import any_free_port, is_free, listening_ports, reserved_port


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
    assert is_free(any_free_port())


def test_the_kernel_tells_what_a_process_listens_on_itself_or_by_its_children() -> None:
    code = (
        "import socket, subprocess, sys\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    print(server.getsockname()[1], flush=True)\n"
        "    if sys.argv[1:]:\n"
        "        subprocess.run([sys.executable, '-S', '-c', sys.argv[1]])\n"
        "    sys.stdin.read()\n"
    )
    words = [sys.executable, "-S", "-c", code, code]
    with (
        socket.create_server(("127.0.0.1", 0)) as ours,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as mother,
    ):
        assert mother.stdout is not None
        own = {int(mother.stdout.readline()) for _ in range(2)}  # its own, and its child's
        assert listening_ports(mother.pid) == own
        assert ours.getsockname()[1] in listening_ports(os.getpid())
        mother.communicate()
    assert listening_ports(mother.pid) == set()


def test_a_reserved_port_refuses_until_somebody_listens_and_after() -> None:
    with reserved_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 60.0)
            with (
                socket.create_server(("127.0.0.1", port)) as server,  # it reuses addresses
                socket.create_connection(("127.0.0.1", port), 60.0) as line,
            ):
                server.accept()[0].close()
                assert line.recv(1) == b""
