"""Every scorer passes the shared battery; so does one that is not registered yet, once it is."""

from collections.abc import AsyncIterator

import pytest

from core.errors import ConfigError
from core.heads import HEADS as LABELS
from core.ports import Scorer
from core.settings import ScorerSettings
from models.encoder.heads import HEADS
from models.scorers import SCORERS
from services.local.triton_server import TritonServer
from testkit.models import Check, scorer_checks

CHECKS = pytest.mark.parametrize("check", scorer_checks(), ids=lambda check: check.__name__)


@pytest.fixture
async def fake() -> AsyncIterator[Scorer]:
    scorer = SCORERS.get("fake")(ScorerSettings(kind="fake"))
    yield scorer
    await scorer.close()


@pytest.fixture
async def on_triton(triton: TritonServer) -> AsyncIterator[Scorer]:
    scorer = SCORERS.get("triton")(ScorerSettings(url=triton.grpc_address))
    yield scorer
    await scorer.close()


@CHECKS
async def test_fake_keeps_the_contract(check: Check, fake: Scorer) -> None:
    await check(fake)


@pytest.mark.integration
@CHECKS
async def test_triton_keeps_the_contract(check: Check, on_triton: Scorer) -> None:
    await check(on_triton)


def test_registered_names_are_those_the_settings_document() -> None:
    assert SCORERS.names()[:3] == ("triton", "openvino", "fake")  # others may add theirs
    assert set(HEADS.names()) == set(LABELS)


def test_an_unknown_scorer_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match="did you mean 'triton'"):
        SCORERS.get("trition")
