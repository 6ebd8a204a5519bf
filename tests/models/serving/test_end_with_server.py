"""A model process whose server is killed, whether anybody collects the server or not; Linux."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

from models.serving.end_with_server import SERVER_GONE, mapped_regions

SERVING = Path(__file__).resolve().parents[3] / "models" / "serving"
MODEL = """
import mmap, sys, time
from models.serving.end_with_server import end_with_server
with open(sys.argv[2], "r+b") as file:
    region = mmap.mmap(file.fileno(), 4096)
end_with_server(int(sys.argv[1]))
print("loaded", flush=True)
time.sleep(600)
"""


def test_it_ends_though_nobody_collects_the_server_and_takes_shared_memory_along() -> None:
    region = Path("/dev/shm") / f"test-end-with-server-{id(object())}"
    region.write_bytes(bytes(4096))
    server = subprocess.Popen(["sleep", "600"])
    words = [sys.executable, "-c", MODEL, str(server.pid), str(region)]
    try:
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as model:
            assert model.stdout is not None
            assert model.stdout.readline() == "loaded\n"
            assert region.exists()
            server.send_signal(signal.SIGKILL)  # from here it is a zombie: nobody waits for it
            assert model.wait(60) == SERVER_GONE
        assert not region.exists()
    finally:
        server.kill()
        server.wait()
        region.unlink(missing_ok=True)


def _first_call(file: Path) -> str:
    """Return what the `initialize` of a model of Triton's calls first; "" where there is none."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "initialize":
            calls = (one for one in ast.walk(node) if isinstance(one, ast.Call))
            return ast.unparse(next(calls).func)
    return ""


def test_every_model_process_ends_with_its_server() -> None:
    found = {file.stem: _first_call(file) for file in SERVING.glob("triton_*.py")}
    models = {name: first for name, first in found.items() if first}
    assert models == dict.fromkeys(
        ("triton_crowd", "triton_engagement", "triton_model", "triton_responder"), "end_with_server"
    )


def test_shared_memory_is_found_once_among_what_is_mapped() -> None:
    maps = (
        "7f0-7f1 rw-s 00000000 00:19 5      /dev/shm/groundswell-1-a\n"
        "7f1-7f2 rw-s 00001000 00:19 5      /dev/shm/groundswell-1-a\n"
        "7f2-7f3 r-xp 00000000 08:01 9      /usr/lib/dev/shm/x.so\n"
        "7f3-7f4 rw-p 00000000 00:00 0\n"
    )
    assert mapped_regions(maps) == [Path("/dev/shm/groundswell-1-a")]
