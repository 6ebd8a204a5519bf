import asyncio
import json
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from core.errors import ScorerRefused, ScorerTimedOut, ScorerUnavailable
from core.metrics import Metrics
from core.settings import ScorerSettings, Settings
from models.scorers.triton import TritonScorer
from models.scorers.triton_client import translate
from services.bootstrap import make_scorer, make_shadow
from services.local.paths import DEFAULT_PATHS
from services.local.ports import reserved_port
from services.local.scrape import Page, fetch_pages
from services.local.triton_server import DEFAULT_SERVER_PYTHON, TritonServer
from testkit.models import EXAMPLES


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("StatusCode.UNAVAILABLE", "failed to connect to all addresses", ScorerUnavailable),
        ("StatusCode.UNAVAILABLE", "Exceeds maximum queue size", ScorerUnavailable),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", ScorerTimedOut),
        ("StatusCode.UNAVAILABLE", "[request id: x] Request timeout expired", ScorerTimedOut),
        ("StatusCode.INTERNAL", "Stub process 'post_encoder_0' is not healthy", ScorerUnavailable),
        ("StatusCode.NOT_FOUND", "Request for unknown model", ScorerUnavailable),
        ("StatusCode.INVALID_ARGUMENT", "the model failed with ValueError", ScorerRefused),
        ("StatusCode.INTERNAL", "the model failed", ScorerRefused),
        ("StatusCode.RESOURCE_EXHAUSTED", "larger than max", ScorerRefused),
    ],
)
def test_server_errors_tell_the_caller_what_to_do(
    status: str, message: str, expected: type[Exception]
) -> None:
    error = InferenceServerException(message, status)
    assert type(translate(error, "Triton, 3 posts")) is expected


async def test_no_server_is_unavailable_and_not_ready() -> None:
    with reserved_port() as port:
        scorer = TritonScorer(f"127.0.0.1:{port}", timeout_s=0.5)
        try:
            assert not await scorer.is_ready()
            with pytest.raises(ScorerUnavailable):
                await scorer.score_batch(["x"], [""])
        finally:
            await scorer.close()


async def test_server_that_never_answers_is_unavailable() -> None:
    # The kernel accepts the connection, and nobody ever reads from it.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scorer = TritonScorer(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)
        try:
            with pytest.raises(ScorerUnavailable):
                await asyncio.wait_for(scorer.score_batch(["x"], [""]), timeout=60)
        finally:
            await scorer.close()


@pytest.mark.integration
async def test_triton_and_the_model_in_process_give_the_same_numbers(
    triton: TritonServer, tmp_path: Path
) -> None:
    texts = [*EXAMPLES[:11], *EXAMPLES[12:]]
    asked = tmp_path / "texts.json"
    asked.write_text(json.dumps(texts))
    code = (
        "import asyncio, json, sys\n"
        "from core.logs import set_up\n"
        "from core.settings import LogSettings, ScorerSettings\n"
        "from models.scorers import SCORERS\n"
        "set_up(LogSettings(), 'twin')\n"
        "texts = json.load(open(sys.argv[1]))\n"
        "scorer = SCORERS.get('openvino')(ScorerSettings(kind='openvino'))\n"
        "batch = asyncio.run(scorer.score_batch(texts, [''] * len(texts)))\n"
        "json.dump([batch.model_version, batch.rated.tolist(),\n"
        "           {k: v.tolist() for k, v in batch.heads.items()}], sys.stdout)\n"
    )
    server = await asyncio.to_thread(
        subprocess.run,
        [str(DEFAULT_SERVER_PYTHON), "-c", code, str(asked)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    version, rated, heads = json.loads(server.stdout)
    scorer = TritonScorer(triton.grpc_address)
    try:
        batch = await scorer.score_batch(texts, [""] * len(texts))
    finally:
        await scorer.close()
    assert batch.model_version == version
    assert batch.rated.tolist() == rated
    assert set(batch.heads) == set(heads)
    for name, values in heads.items():
        # Bit for bit: float32 goes through JSON's float64 unchanged.
        np.testing.assert_array_equal(batch.heads[name], np.asarray(values, np.float32))


@pytest.mark.integration
async def test_batches_beyond_the_server_limit_go_in_pieces(triton: TritonServer) -> None:
    scorer = TritonScorer(triton.grpc_address, timeout_s=120.0)
    texts = [f"{EXAMPLES[i % 3]} {i % 50}" for i in range(2_500)]
    try:
        batch = await scorer.score_batch(texts, ["en"] * len(texts))
        few = await scorer.score_batch(texts[:50], ["en"] * 50)
    finally:
        await scorer.close()
    assert batch.rated.shape == (2_500,)
    for name, values in batch.heads.items():
        np.testing.assert_array_equal(values[1_050:1_100], values[:50])
        np.testing.assert_array_equal(values[:50], few.heads[name])


@pytest.mark.integration
async def test_scorer_recovers_when_the_server_comes_back(tmp_path: Path) -> None:
    server = TritonServer(tmp_path)
    scorer = TritonScorer(server.grpc_address, timeout_s=60.0)
    try:
        with server:
            before = await scorer.score_batch(list(EXAMPLES[:2]), ["", ""])
        with pytest.raises(ScorerUnavailable):
            await scorer.score_batch(list(EXAMPLES[:2]), ["", ""])
        with server:
            async with asyncio.timeout(60):
                while not await scorer.is_ready():  # noqa: ASYNC110 -- no event of ours
                    await asyncio.sleep(0.1)
            after = await scorer.score_batch(list(EXAMPLES[:2]), ["", ""])
    finally:
        await scorer.close()
    np.testing.assert_array_equal(before.heads["sentiment"], after.heads["sentiment"])


@pytest.mark.integration
async def test_a_second_model_on_the_same_server_is_compared_and_versions_are_chosen(
    triton: TritonServer, tmp_path: Path
) -> None:
    assert triton.grpc_address  # it runs, so its repository is built
    repository = tmp_path / "repository"
    for name in ("post_encoder", "post_encoder_next"):
        shutil.copytree(DEFAULT_PATHS.model_repository / "post_encoder", repository / name)
        place = repository / name / "config.pbtxt"
        place.write_text(place.read_text().replace('name: "post_encoder"', f'name: "{name}"'))
    metrics = Metrics()
    with TritonServer(tmp_path / "server", repository=repository) as server:
        asked = ScorerSettings(
            url=server.grpc_address, shadow_model="post_encoder_next", shadow_share=1.0
        )
        settings = Settings(scorer=asked)
        scorer, shadow = make_scorer(settings), make_shadow(settings, metrics)
        assert shadow is not None
        pinned = TritonScorer(server.grpc_address, version="1")
        absent = TritonScorer(server.grpc_address, version="9")
        try:
            texts = [*EXAMPLES[:11], *EXAMPLES[12:]]
            found = await scorer.score_batch(texts, [""] * len(texts))
            shadow.begin(texts, [""] * len(texts), found)
            await shadow.settle()
            same = await pinned.score_batch(texts, [""] * len(texts))
            with pytest.raises(ScorerUnavailable):
                await absent.score_batch(texts, [""] * len(texts))
        finally:
            for each in (shadow, scorer, pinned, absent):
                await each.close()
    value = metrics.registry.get_sample_value
    assert value("groundswell_shadow_posts_total") == len(texts)
    for head in found.heads:
        np.testing.assert_array_equal(found.heads[head], same.heads[head])
        # The same weights twice: whatever is not zero would be a mistake of the comparison.
        assert value("groundswell_shadow_distance_total", {"head": head}) == 0
        assert value("groundswell_shadow_compared_posts_total", {"head": head}) == found.rated.sum()


def page(server: TritonServer) -> Page:
    return fetch_pages([server.metrics_port])[server.metrics_port]


async def until(server: TritonServer, name: str, value: float) -> Page:
    """Wait for the server's own count: it is written a moment after the answer."""
    async with asyncio.timeout(120):
        while (shown := await asyncio.to_thread(page, server)).total(name) < value:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return shown


@pytest.mark.integration
async def test_what_ran_out_of_time_in_the_queue_is_dropped_there_and_not_scored(
    triton: TritonServer,
) -> None:
    failed, scored = "nv_inference_request_failure_total", "nv_inference_count_total"
    answered = "nv_inference_request_success_total"
    earlier = await until(triton, answered, 0)  # of tests before this one, on the same server
    patient = TritonScorer(triton.grpc_address, timeout_s=120.0)
    hasty = TritonScorer(triton.grpc_address, timeout_s=120.0)
    try:
        await asyncio.gather(*(each.score_batch(["a"], [""]) for each in (patient, hasty)))
        hasty._timeout_s = 0.05  # now that it is connected and knows the model
        await until(triton, answered, earlier.total(answered) + 2)
        before = await until(triton, scored, earlier.total(scored) + 2)
        # No two fit one execution: one is scored, two are taken ahead, and one is in the queue.
        long = [
            asyncio.create_task(
                patient.score_batch([f"{word} {i} is late" for i in range(520)], ["en"] * 520)
            )
            for word in ("train", "tram", "ferry", "metro")
        ]
        await until(triton, "nv_inference_pending_request_count", 3)
        for _ in range(3):
            with pytest.raises(ScorerTimedOut):
                await hasty.score_batch([f"bus {i} is late" for i in range(520)], ["en"] * 520)
        await asyncio.gather(*long)
        await until(triton, scored, before.total(scored) + 4 * 520)
        after = await until(triton, failed, before.total(failed) + 3)
    finally:
        await asyncio.gather(patient.close(), hasty.close())
    assert after.total(scored) == before.total(scored) + 4 * 520
