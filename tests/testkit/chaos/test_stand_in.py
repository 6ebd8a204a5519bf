"""The stand-in as a process: the worker's own scorer asks it, its failures look like Triton's."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidAnswer, ScorerUnavailable
from models.scorers.triton import TritonScorer
from services.local.child import Child, Command
from services.local.paths import PROJECT_ROOT
from testkit.chaos.faults import FAULTS
from testkit.chaos.stand_in import LOOK, MANNERS_FILE, PORT_FILE, WRONG_FILE
from testkit.scorers.fake import FakeScorer
from testkit.scorers.fake_triton import ERRORS, NONSENSE

TEXTS, LANGS = ["late again", "", "tarde", *(f"late {n}" for n in range(9))], ["en"] * 12


class Served:
    """A stand-in process and a scorer that asks it."""

    def __init__(self, folder: Path) -> None:
        command = Command(
            (sys.executable, "-m", "testkit.chaos.stand_in", str(folder), "0", "1"),
            {"PYTHONPATH": str(PROJECT_ROOT)},
            PROJECT_ROOT,
        )
        self.folder = folder
        self.child = Child(command, folder / "stand-in.log")

    async def until_ready(self) -> None:
        port = ""
        while not port:  # made first and written then
            await asyncio.sleep(0.01)
            place = self.folder / PORT_FILE
            port = place.read_text() if place.exists() else ""
        self.scorer = TritonScorer(f"127.0.0.1:{port}", timeout_s=60.0)
        while not await self.scorer.is_ready():  # it may be too busy to say so at once
            pass

    async def tell(self, kind: str) -> None:
        """Change its manners, and wait until what it answers shows that it has looked."""
        (self.folder / MANNERS_FILE).write_text(kind)
        self.child._popen.send_signal(LOOK)
        while await self.found() != kind:
            pass

    async def found(self) -> str:
        """Return the kind by what comes back, as far as it can be told."""
        try:
            scores = await self.scorer.score_batch(TEXTS, LANGS)
        except InvalidAnswer:
            return "row-more"
        except ScorerUnavailable:
            return "errors"
        return "nan" if scores.wrong else ""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    await made.until_ready()
    yield made
    await made.scorer.close()
    await asyncio.to_thread(made.child.kill)


async def test_it_is_the_fake_until_told_to_fail_and_writes_down_each_wrong_row(served: Served):
    got, wanted = (
        await served.scorer.score_batch(TEXTS, LANGS),
        await FakeScorer().score_batch(TEXTS, LANGS),
    )
    assert got.rated.tolist() == wanted.rated.tolist()
    assert all(np.array_equal(got.heads[name], wanted.heads[name]) for name in wanted.heads)
    for kind in ("errors", "", "row-more", ""):
        await served.tell(kind)
    written = served.folder / WRONG_FILE
    assert written.read_bytes() == b""
    await served.tell("nan")
    before = len(written.read_bytes().splitlines())
    scores = await served.scorer.score_batch(TEXTS, LANGS)
    lines = [json.loads(line) for line in written.read_bytes().splitlines()]
    assert scores.wrong
    assert lines[before:] == [
        ["nan", sha256(TEXTS[row].encode()).hexdigest()] for row in scores.wrong
    ]
    await served.tell("")
    assert len(written.read_bytes().splitlines()) == len(lines)


async def test_killed_it_is_unavailable(served: Served):
    await asyncio.to_thread(served.child.kill)
    with pytest.raises(ScorerUnavailable):
        await served.scorer.score_batch(TEXTS, LANGS)


def test_every_way_to_answer_is_a_way_of_the_fake_server():
    words = {name.removeprefix("scorer-") for name, f in FAULTS.items() if f.how == "answers"}
    assert words == {ERRORS, *NONSENSE}
