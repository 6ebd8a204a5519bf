"""The stand-in scorer as a process: its scores are the fake's, its failures look like Triton's."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import ScorerUnavailable
from models.scorers.fake import FakeScorer
from services.chaos.stand_in import ERRORS_OFF, ERRORS_ON, SocketScorer
from services.local.child import Child, Command
from services.local.paths import PROJECT_ROOT
from services.local.ports import any_free_port

TEXTS, LANGS = ["late again", "", "tarde"], ["en", "en", "es"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Child, SocketScorer]]:
    """A stand-in process and a scorer that asks it."""
    port = any_free_port()
    command = Command(
        (sys.executable, "-m", "services.chaos.stand_in", str(port), "1"),
        {"PYTHONPATH": str(PROJECT_ROOT)},
        PROJECT_ROOT,
    )
    child = Child(command, tmp_path / "stand-in.log")
    yield child, SocketScorer(f"127.0.0.1:{port}", timeout_s=60.0)
    child.kill()


async def _until(scorer: SocketScorer, ready: bool) -> None:
    while await scorer.is_ready() is not ready:
        pass


async def test_scores_are_those_of_the_fake(served):
    _child, scorer = served
    await _until(scorer, ready=True)
    got, wanted = (
        await scorer.score_batch(TEXTS, LANGS),
        await FakeScorer().score_batch(TEXTS, LANGS),
    )
    assert got.rated.tolist() == wanted.rated.tolist()
    assert all(np.array_equal(got.heads[name], wanted.heads[name]) for name in wanted.heads)


async def test_told_to_fail_it_is_unavailable_until_told_otherwise(served):
    child, scorer = served
    await _until(scorer, ready=True)
    child._popen.send_signal(ERRORS_ON)
    await _until(scorer, ready=False)
    with pytest.raises(ScorerUnavailable, match="error"):
        await scorer.score_batch(TEXTS, LANGS)
    child._popen.send_signal(ERRORS_OFF)
    await _until(scorer, ready=True)


async def test_killed_it_is_unavailable(served):
    child, scorer = served
    await _until(scorer, ready=True)
    child.kill()
    with pytest.raises(ScorerUnavailable, match="does not answer"):
        await scorer.score_batch(TEXTS, LANGS)
