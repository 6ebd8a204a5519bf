"""A recorded stream gives the same windows at any batch size, number of workers and order."""

import csv
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.local.child import Command, run_to_end
from services.local.triton_server import TritonServer
from testkit.stream import count_plainly

pytestmark = pytest.mark.integration


def _replay(stream, path: Path, *options: str) -> int:
    """Replay a file as fast as possible; return how many rows it has."""
    env = {
        f"GROUNDSWELL__{section}__{field}".upper(): str(value)
        for section, fields in stream.tree.items()
        for field, value in fields.items()
    } | {"GROUNDSWELL__INGEST__CURSOR_DIR": str(stream.directory / "cursors")}
    argv = (sys.executable, "-m", "services.cli.main", "ingest", "--source", "replay",
            "--path", str(path), "--lang", "en", *options)  # fmt: skip
    status, output = run_to_end(Command(argv, env, cwd=Path(__file__).parents[2]), 300)
    assert status == 0, output
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.DictReader(lines))


def _run(stream, path: Path, workers: list[dict], *options: str):
    rows = _replay(stream, path, *options)
    for number, changes in enumerate(workers):
        stream.start_worker(f"w{number}", **changes)
    stream.wait_until(lambda: stream.accounted() >= rows, "counting the whole replay")
    stream.stop_workers()
    assert stream.totals()["counted"] == rows
    return stream.windows()


def test_windows_of_the_replay_equal_the_plain_program_and_do_not_depend_on_how_it_ran(
    make_stream: Callable, triton: TritonServer, data_dir: Path, tmp_path: Path
):
    path = data_dir / "streams" / "airline.csv.gz"
    scorer = {"kind": "triton", "url": triton.grpc_address}

    stream = make_stream(scorer=scorer)
    windows = _run(stream, path, [{}, {}])
    expected = count_plainly(stream.scored())
    assert windows == {k: {n: v for n, v in c.items() if v} for k, c in expected.items()}
    assert {query for query, _ in windows} >= {"all", "united"}
    rated = sum(c.get("rated", 0) for (query, _), c in windows.items() if query == "all")
    assert rated > 11_000

    stream.redis.kill()
    stream.kafka.kill()
    again = make_stream(scorer=scorer)
    other = {
        "worker__max_batch_posts": 37,
        "worker__max_in_flight_batches": 2,
        "worker__max_batch_age_ms": 5,
    }
    assert _run(again, path, [other], "--shuffle-within", "30", "--seed", "5") == windows
