"""The responder asks the real model on a real Triton, which dies and comes back."""

import asyncio
from pathlib import Path

import pytest

from core.config import build as settings_of
from models.build_crowd import build_crowd
from services.bootstrap import make_crowd
from services.local.triton_server import TritonServer
from tests.services.responder.asking import Bench


@pytest.mark.integration
async def test_a_server_that_is_killed_costs_its_forecasts_and_is_taken_back(
    tmp_path: Path,
) -> None:
    version, _ = build_crowd(tmp_path / "repository")
    with TritonServer(tmp_path, repository=tmp_path / "repository") as server:
        settings = settings_of({"scorer": {"url": server.grpc_address}})
        model = make_crowd(settings)
        assert model is not None
        bench = Bench(model)
        angry, glad = await bench.begin("p", 0, 0), await bench.begin("q", 1, 2)
        assert angry.model.version == glad.model.version == version
        assert angry.model.shares[0] > glad.model.shares[0]
        server.kill()
        assert (await bench.begin("r", 2, 0)).model is None
        assert bench.left_out("model_away") == 1
        server.restart()
        async with asyncio.timeout(60):
            while not await model.is_ready():  # noqa: ASYNC110 -- no event of ours
                await asyncio.sleep(0.1)
        bench.clock.advance(60)  # the pause is over
        assert (await bench.begin("s", 3, 0)).model == angry.model
        await model.close()


def test_without_a_kind_nobody_is_asked() -> None:
    assert make_crowd(settings_of({"responder": {"crowd_kind": ""}})) is None
