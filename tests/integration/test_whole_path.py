"""From training to what is shown: a tiny decoder learns, is built, served, asked by the stream.

Training and building are processes of the environments that have their libraries, as whoever trains
runs them; broker, store, model server and responder are the real ones.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.codec import response_decoder
from core.ports import Generated
from core.response_schemas import Response
from models.popalm.safety import reply_fault
from models.scorers import RESPONDERS
from services.kafka_client import read_topic
from services.local.kafka_server import KafkaServer
from services.local.paths import DEFAULT_SERVER_PYTHON, PROJECT_ROOT
from services.local.redis_server import RedisServer
from services.local.triton_server import TritonServer
from services.responder.showing import read_responses
from stream.topics import RESPONSES
from tests.integration.conftest import Stream
from tests.integration.test_responder import Said

pytestmark = pytest.mark.integration

TRAIN_PYTHON = PROJECT_ROOT / ".venv-train" / "bin" / "python"
POST = "they closed my street, why is it always mine?"
LEARNT = ("I love the cat", "I like my dog today", "I hate that day")
"""All that is answered in the threads that are learnt from."""
WRITE = (
    "import sys; from pathlib import Path; from testkit.decoders import write_responder; "
    "write_responder(Path(sys.argv[1]), rank=0, reward='en-heldout')"
)
BUILD = (
    "import sys; from pathlib import Path; from models.build_responder import build_responder; "
    "print(*build_responder(*map(Path, sys.argv[1:4])))"
)


def run(python: Path, *words: str | Path) -> str:
    """Run a program of another environment to its end; return what it printed."""
    assert python.exists(), f"{python} is not there: make setup-dev setup-train"
    argv, one = [str(python), *map(str, words)], os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        argv, cwd=PROJECT_ROOT, env=one, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(folder: Path) -> dict[str, Any]:
    """Let an adapter of the decoder in `folder` learn, put it beside it; return the record."""
    threads, out = folder / "threads.jsonl", folder / "sft"
    rows = [{"post": f"the bus is late again {row}", "replies": LEARNT} for row in range(40)]
    threads.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = run(
        TRAIN_PYTHON, "-m", "models.popalm.training.sft", "--threads", threads, "--out", out,
        "--decoder", folder / "tiny.gguf", "--base", "tests/tiny", "--steps", "100", "--batch", "8",
        "--learning-rate", "0.02", "--validate-every", "20", "--cpu-threads", "1",
    )  # fmt: skip
    for part in (out / "adapter").iterdir():
        part.rename(folder / part.name)
    return json.loads(record.splitlines()[-1])


def built(repository: Path, weights: Path) -> str:
    """Build a responder into a repository; return its version."""
    done = run(DEFAULT_SERVER_PYTHON, "-c", BUILD, repository, weights, weights / "tiny.gguf")
    version, was_there = done.split()[-2:]
    assert was_there == "False"
    return version


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return the repository with what has learnt, its version, and that before it learnt."""
    folder = tmp_path_factory.mktemp("learnt")
    weights, repository = folder / "responder", folder / "repository"
    run(TRAIN_PYTHON, "-c", WRITE, weights)
    before = built(folder / "untrained", weights)
    record = trained(weights)
    assert record["best_nats"] < record["untrained_nats"] / 2
    return repository, built(repository, weights), before


@pytest.fixture
def stream(tmp_path: Path, learnt: tuple[Path, str, str]) -> Iterator[Stream]:
    """Return a stream whose responder asks a model server that has nothing but what was learnt."""
    with (
        KafkaServer(tmp_path / "kafka") as kafka,
        RedisServer(tmp_path / "redis") as store,
        TritonServer(tmp_path / "triton", repository=learnt[0]) as triton,
    ):
        tables = {"responder": {"kind": "triton", "every_s": 0.1},
                  "scorer": {"kind": "fake", "url": triton.grpc_address}}  # fmt: skip
        made = Stream(tmp_path / "workers", kafka, store, tables)
        try:
            yield made
        finally:
            made.stop_workers()


def told(stream: Stream) -> list[Response]:
    records = read_topic(stream.settings.kafka, RESPONSES)
    return [response_decoder.decode(one.value) for one in records]


def asked(stream: Stream, seed: int) -> Generated:
    """Return what the server says when it is asked for the same once more."""

    async def ask() -> Generated:
        model = RESPONDERS.get("triton")(stream.settings.responder, stream.settings.scorer)
        try:
            return await model.reply(POST, 3, seed)
        finally:
            await model.close()

    return asyncio.run(ask())


def test_what_was_learnt_is_built_served_and_answers_an_event(
    stream: Stream, learnt: tuple[Path, str, str]
) -> None:
    said = Said(stream)
    stream.start_process("responder", "r1", "run")
    said.posts(("p", POST, None), ("r", "mine hides behind the door", "p"))
    said.takes_off("p")
    stream.wait_until(
        lambda: any(one.model_version and one.seen for one in told(stream)), "a response"
    )
    stream.stop_workers()

    last = told(stream)[-1]
    generated = [one.text for one in last.replies if one.kind == "generated"]
    assert [one.reply_id for one in last.replies if one.kind == "real"] == ["r"]
    assert 1 <= len(generated) <= 3
    assert not any(reply_fault(POST, text) for text in generated)

    # Of the weights that were trained and built just now, and nobody has changed it since.
    _repository, version, before = learnt
    assert last.model_version == version != before
    assert asked(stream, last.seed).texts == tuple(generated)
    rows = asyncio.run(read_responses(stream.settings, 10)).events[0].replies
    assert [(row.kind, row.text) for row in rows] == [
        ("real", "mine hides behind the door"), *(("generated", text) for text in generated),
    ]  # fmt: skip
