"""From training to what is shown: a tiny decoder learns, is built, served, asked and told."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.codec import response_decoder
from core.ports import Generated
from core.response_schemas import Response
from models.popalm.base import SMOLLM2_ID
from models.popalm.config import save_responder_config
from models.popalm.safety import reply_fault
from models.popalm.training.decoder import load_decoder
from models.popalm.training.sft import ADAPTER, SftSettings, train_sft
from models.scorers import RESPONDERS
from services.kafka_client import read_topic
from services.local.kafka_server import KafkaServer
from services.local.paths import DEFAULT_SERVER_PYTHON, PROJECT_ROOT
from services.local.redis_server import RedisServer
from services.local.triton_server import TritonServer
from services.responder.showing import read_responses
from stream.topics import RESPONSES
from testkit.decoders import EVERY_LINEAR, write_responder
from tests.integration.conftest import Stream
from tests.integration.test_responder import Said

pytestmark = [pytest.mark.train, pytest.mark.integration]
POST = "my cat is so funny today, why is it always the cat?"
BUILD = (
    "import sys; from pathlib import Path; from models.build_responder import build_responder; "
    "print(build_responder(*map(Path, sys.argv[1:4]))[0])"
)


def trained(folder: Path) -> Path:
    """Return the folder of a responder whose adapter a few steps of SFT have made."""
    weights = folder / "responder"
    config = write_responder(weights, rank=0, reward="en-heldout")
    save_responder_config(replace(config, base=SMOLLM2_ID), weights)
    threads = folder / "threads.jsonl"
    replies = ["that is so very funny", "people love the cat", "why always the dog"]
    threads.write_text("".join(
        json.dumps({"post": f"my cat is so funny today {row}", "replies": replies}) + "\n"
        for row in range(24)
    ))  # fmt: skip
    settings = SftSettings(
        steps=6, batch=4, rank=2, alpha=4.0, learning_rate=0.02, validate_every=3,
        checkpoint_every=6,
    )  # fmt: skip
    record = train_sft(
        load_decoder(weights / "tiny.gguf", "tests/tiny"), threads, folder / "sft", settings
    )
    assert record["best_nats"] < record["untrained_nats"]
    for part in (folder / "sft" / ADAPTER).iterdir():
        shutil.copy(part, weights)
    described = json.loads((weights / "adapter_config.json").read_text())
    assert set(described["target_modules"]) == set(EVERY_LINEAR)
    return weights


def built(folder: Path, weights: Path) -> str:
    """Build in the model server's environment, which has no torch; return the version."""
    done = subprocess.run(
        [str(DEFAULT_SERVER_PYTHON), "-c", BUILD, str(folder / "repository"), str(weights),
         str(weights / "tiny.gguf")],
        cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.split()[-1]


def told(stream: Stream) -> list[Response]:
    records = read_topic(stream.settings.kafka, RESPONSES)
    return [response_decoder.decode(one.value) for one in records]


def asked(stream: Stream, seed: int) -> Generated:
    """Return what the server says when it is asked for the same once more."""

    async def ask() -> Generated:
        settings = stream.settings
        model = RESPONDERS.get("triton")(settings.responder, settings.scorer)
        try:
            return await model.reply(POST, 3, seed)
        finally:
            await model.close()

    return asyncio.run(ask())


def test_what_was_learnt_is_built_served_and_answers_an_event(tmp_path: Path) -> None:
    version = built(tmp_path, trained(tmp_path))
    with (
        KafkaServer(tmp_path / "kafka") as kafka,
        RedisServer(tmp_path / "redis") as store,
        TritonServer(tmp_path / "triton", repository=tmp_path / "repository") as triton,
    ):
        tables = {"responder": {"kind": "triton", "every_s": 0.1},
                  "scorer": {"kind": "fake", "url": triton.grpc_address}}  # fmt: skip
        stream = Stream(tmp_path / "workers", kafka, store, tables)
        try:
            said = Said(stream)
            stream.start_process("responder", "r1", "run")
            said.posts(("p", POST, None), ("r", "mine hides behind the door", "p"))
            said.takes_off("p")
            stream.wait_until(
                lambda: any(one.model_version and one.seen for one in told(stream)), "a response"
            )
        finally:
            stream.stop_workers()
        last = told(stream)[-1]
        assert [one.kind for one in last.replies[:1]] == ["real"]
        generated = [one for one in last.replies if one.kind == "generated"]
        assert 1 <= len(generated) <= 3
        assert all(reply_fault(POST, one.text) == "" for one in generated)
        # Of the weights that were trained and built just now, and nobody has changed it since.
        assert last.model_version == version
        assert version.startswith("tiny-1.int8.en-heldout-")
        assert asked(stream, last.seed).texts == tuple(one.text for one in generated)
        rows = asyncio.run(read_responses(stream.settings, 10)).events[0].replies
        assert [(row.kind, row.text) for row in rows] == [
            ("real", "mine hides behind the door"),
            *(("generated", one.text) for one in generated),
        ]
