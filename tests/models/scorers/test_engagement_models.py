"""The battery of engagement models: on Triton, in this process, and the fake for other tests."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.config import build as settings_of
from core.errors import ConfigError, ScorerUnavailable
from core.ports import EngagementModel
from models.build_engagement import ENGAGEMENT_MODELS, build_engagement
from models.engagement.features import SEQUENCE
from models.engagement.layout import LEVELS, TARGETS
from models.scorers import ENGAGEMENT
from models.scorers.engagement_edge import distance_of
from services.local.ports import reserved_port
from services.local.triton_server import TritonServer
from testkit.scorers.untrained import posts
from tests.models.scorers.served_models import (
    answers_no_more_when_closed,
    closing,
    is_away,
    is_built_again_when_changed,
)


def opened(kind: str, repository: Path, url: str = "", **forecasts: str) -> EngagementModel:
    settings = settings_of(
        {
            "forecasts": {"kind": kind, **forecasts},
            "scorer": {"repository": str(repository), **({"url": url} if url else {})},
        }
    )
    return ENGAGEMENT.get(kind)(settings.forecasts, settings.scorer)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the engagement models alone."""
    folder = tmp_path_factory.mktemp("engagement") / "repository"
    for model in ENGAGEMENT_MODELS:
        assert not build_engagement(folder, model)[1]
    return folder


async def battery(model: EngagementModel) -> None:
    """What every engagement model keeps."""
    assert await model.is_ready()
    features, sequence = posts(1_500)
    whole = await model.predict(features, sequence)
    assert whole.quantiles.shape == (1_500, len(TARGETS), len(LEVELS))
    assert whole.quantiles.dtype == np.float32
    assert (np.diff(whole.quantiles, axis=2) >= 0).all()
    assert (whole.quantiles >= 0).all()
    some = [slice(row, row + 3) for row in range(0, 90, 17)]
    answers = await asyncio.gather(*(model.predict(features[p], sequence[p]) for p in some))
    for part, answer in zip(some, answers, strict=True):
        assert answer.model_version == whole.model_version
        assert answer.quantiles.tobytes() == whole.quantiles[part].tobytes()
    none = await model.predict(features[:0], sequence[:0])
    assert none.model_version == whole.model_version
    assert none.quantiles.shape == (0, len(TARGETS), len(LEVELS))


@pytest.mark.parametrize("kind", ["in_process", "fake"])
async def test_battery_of_models_without_a_server(kind: str, repository: Path) -> None:
    async with closing(opened(kind, repository)) as model:
        await battery(model)


async def test_closed_model_answers_no_more(repository: Path) -> None:
    model = opened("in_process", repository)
    await answers_no_more_when_closed(model, lambda closed: closed.predict(*posts(1)))


async def test_no_server_is_unavailable_and_not_ready(tmp_path: Path) -> None:
    with reserved_port() as port:
        async with closing(opened("triton", tmp_path, f"127.0.0.1:{port}")) as model:
            await is_away(model, lambda absent: absent.predict(*posts(1)))


@pytest.mark.integration
async def test_triton_serves_the_bits_of_this_process(repository: Path, tmp_path: Path) -> None:
    with TritonServer(tmp_path, repository=repository) as server:
        for name in ENGAGEMENT_MODELS:
            here = opened("in_process", repository, model=name)
            async with closing(
                opened("triton", repository, server.grpc_address, model=name)
            ) as there:
                await battery(there)
                asked = posts(300, seed=9)
                one, other = await here.predict(*asked), await there.predict(*asked)
            assert one.model_version == other.model_version
            assert one.quantiles.tobytes() == other.quantiles.tobytes()
            assert distance_of(one, other).medians.tolist() == [0, 0, 0]
        url = server.grpc_address
        async with closing(opened("triton", repository, url, model="nobody")) as absent:
            assert not await absent.is_ready()
            with pytest.raises(ScorerUnavailable, match="nobody"):
                await absent.predict(*posts(1))
        async with closing(opened("triton", repository, url, version="9")) as unknown:
            with pytest.raises(ScorerUnavailable):
                await unknown.predict(*posts(1))


def test_repository_is_complete_and_building_again_does_nothing(
    repository: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    for name in ENGAGEMENT_MODELS:
        text = is_built_again_when_changed(
            copy / name,
            partial(build_engagement, copy, name),
            partial(opened, "in_process", copy, model=name),
        )
        assert f'name: "{name}"' in text
        assert f"dims: [ 32, {len(SEQUENCE)} ]" in text
    assert sorted(path.name for path in copy.iterdir()) == sorted(ENGAGEMENT_MODELS)


def test_without_weights_a_build_says_how_to_train(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models train engagement"):
        build_engagement(tmp_path / "repository", "engagement", weights=tmp_path)
