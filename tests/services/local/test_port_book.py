import socket
import subprocess
import sys

import pytest

from services.local import ports
from services.local.ports import PortBook, any_free_port


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a free port that is the usual one of Kafka in this test."""
    port = any_free_port()
    monkeypatch.setitem(ports.USUAL_PORTS, "kafka", port)
    return port


def test_the_usual_port_is_taken_when_it_is_free_and_stays(usual: int) -> None:
    book = PortBook()
    assert book.take("kafka") == book.take("kafka") == usual


def test_another_port_is_taken_when_somebody_listens_on_the_usual_one() -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("127.0.0.1", 0)) as stranger,
    ):
        port = stranger.getsockname()[1]
        patch.setitem(ports.USUAL_PORTS, "kafka", port)
        assert PortBook().take("kafka") != port


def test_two_books_never_have_the_same_port_until_one_is_closed(usual: int) -> None:
    first, second = PortBook(), PortBook()
    assert first.take("kafka") == usual
    assert second.take("kafka") != usual
    first.close()
    assert PortBook().take("kafka") == usual


def test_a_book_of_another_process_is_heeded_and_ends_with_it(usual: int) -> None:
    code = (
        "import sys\n"
        "from services.local import ports\n"
        f"ports.USUAL_PORTS['kafka'] = {usual}\n"
        "book = ports.PortBook()\n"
        "print(book.take('kafka'), flush=True)\n"
        "sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == usual
        assert PortBook().take("kafka") != usual
        other.kill()
    assert PortBook().take("kafka") == usual


def test_a_lost_port_is_given_to_nobody_again_and_the_others_stay(usual: int) -> None:
    book = PortBook()
    redis = book.take("redis")
    book.lose(book.take("kafka"))
    assert book.take("kafka") not in (usual, redis)
    assert book.take("redis") == redis


def test_no_preference_gives_any_free_port_and_uses_of_one_name_have_one_each() -> None:
    book = PortBook(usual=False)
    taken = [book.take("worker", number) for number in range(8)]
    assert len(set(taken)) == 8
    assert not set(taken) & set(ports.USUAL_PORTS.values())
