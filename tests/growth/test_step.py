"""A step that adds a column is one file and one line, and works on real batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from testkit.growth import GrowingTree

pytestmark = pytest.mark.slow
CHAIN = "stream/worker/chain.py"

STEP = '''"""The step `CountWords`: how many words each text has."""

from __future__ import annotations

from stream.worker.batch import Column, PostBatch
from stream.worker.step import Step
from stream.worker.steps.decode_posts import TEXTS

WORDS = Column[list[int]]("words")
"""The number of words."""


class CountWords(Step):
    """Counts the words of each text."""

    needs = (TEXTS,)
    adds = (WORDS,)

    async def run(self, batch: PostBatch) -> None:
        """Add the numbers."""
        batch[WORDS] = [len(text.split()) for text in batch[TEXTS]]
'''

PROGRAM = """
import asyncio, sys
from core.clock import ManualClock
from core.codec import encode
from core.logs import set_up
from core.settings import LogSettings
from stream.store.increments import Applied
from stream.topics import POSTS
from stream.worker.chain import make_chains
from stream.worker.steps.count_words import WORDS, CountWords
from testkit.builders import NOON, make_post
from testkit.stream import ListSink, batch_of, make_tools

set_up(LogSettings(), "grown")
if "late" in sys.argv:
    async def never(self, batch):
        await asyncio.Event().wait()

    CountWords.run = never


class Store:
    async def seen(self, partition, lookups, first=None, applied=-1):
        return [False] * len(lookups)

    async def apply(self, partition, batch):
        return Applied(0, 0)


async def main():
    tools = make_tools(Store(), ListSink(), clock=ManualClock(NOON))
    chain = make_chains(tools)[0]
    batch = batch_of(*(encode(make_post(n, text="one two " * n)) for n in range(3)), b"{")
    await chain.prepare(batch, lambda attempt: attempt())
    await chain.work(batch)
    await chain.conclude(batch, lambda attempt: attempt())
    print("words", batch.get(WORDS), "counted", batch.apply.totals["counted"])
    def value(name, **labels):
        labels |= {"topic": POSTS, "step": "count_words"}
        return tools.metrics.registry.get_sample_value(name, labels)

    print("timed", (value("groundswell_step_seconds_total") or 0) > 0)
    print("late", value("groundswell_step_absent_total", cause="late"))


asyncio.run(main())
"""


def _grown(folder: Path, line: str, step: str = STEP) -> GrowingTree:
    tree = GrowingTree.copy_to(folder)
    tree.add_file("stream/worker/steps/count_words.py", step)
    tree.add_line(CHAIN, line, after="steps.Match(")
    assert list(tree.written) == ["stream/worker/steps/count_words.py"]
    assert tree.lines == {CHAIN: 1}
    return tree


def test_a_step_that_adds_a_column_is_one_file_and_one_line(tmp_path: Path) -> None:
    tree = _grown(tmp_path, "        steps.CountWords(),")
    ran = tree.run("-c", PROGRAM)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines == ["words [0, 2, 4] counted 3", "timed True", "late None"]
    documents = tree.run("-m", "pytest", "-q", "tests/docs", "tests/core/test_schemas.py")
    assert documents.returncode == 0, documents.stdout


def test_a_step_that_stands_too_early_is_refused_when_the_worker_starts(tmp_path: Path) -> None:
    early = STEP.replace("needs = (TEXTS,)", "needs = (TEXTS, STRATA)").replace(
        "\n\nWORDS", "\nfrom stream.worker.steps.measure import STRATA\n\nWORDS"
    )
    tree = _grown(tmp_path, "        steps.CountWords(),", early)
    ran = tree.run("-c", PROGRAM)
    assert ran.returncode != 0
    assert "CountWords reads `strata`, which Measure adds after it" in ran.stderr


def test_an_optional_step_that_is_late_leaves_its_column_out_and_is_counted(
    tmp_path: Path,
) -> None:
    tree = _grown(tmp_path, "        optional(steps.CountWords(), within_ms=200),")
    ran = tree.run("-c", PROGRAM, "late")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["words None counted 3", "timed True", "late 1.0"]
