"""A counter of panes is one row: it is counted, kept, published, exported and recounted."""

from pathlib import Path

import pytest

from testkit.growth import GrowingTree

pytestmark = pytest.mark.slow

ROW = (
    '    PaneCounter("undecided", 6, "posts", "rated", '
    "lambda posts: (abs(_opinion(posts)) < 50_000) * 1),"
)

WORKS = '''
"""Does the counter that was added do what its row says?"""

import asyncio
import json
from datetime import datetime, timezone

from core.codec import encode
from core.metrics import Metrics
from core.schemas import ScoredPost
from services.exporter.conversation import Exporter
from services.repair.history import contributions
from services.windows_view import PaneView, WindowsView
from stream.windows.increments import counter_matrix, to_micro
from stream.windows.layout import COUNTERS, named
from stream.windows.records import PaneSum
from stream.windows.summary import to_window
from testkit.chaos.recount import COUNTER_NAMES, read_scoring
from testkit.scorers.fake import FakeScorer
from testkit.stream import count_plainly

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)


def posts() -> list[ScoredPost]:
    texts = [f"post {number}" for number in range(300)] + [""]
    scores = to_micro(asyncio.run(FakeScorer().score_batch(texts, [""] * len(texts))))
    made = [
        ScoredPost(
            id=str(row), source="s", author="a", event_at=AT, ingested_at=AT, model_version="m",
            rated=bool(scores.rated[row]), queries=["all"], stratum="s|en|none", pane_start=AT,
            scores={head: values[row].tolist() for head, values in scores.heads.items()},
        )
        for row in range(len(texts))
    ]
    assert counter_matrix(scores).sum(axis=0).tolist() == total_of(made)
    return made


def total_of(made: list[ScoredPost]) -> list[int]:
    rows = [one.counters for one in contributions([(post, post) for post in made])]
    return [sum(column) for column in zip(*rows)]


def test_product_and_both_plain_counters_agree_and_everybody_is_told() -> None:
    made = posts()
    total = total_of(made)
    obvious = sum(
        post.rated and abs(post.scores["sentiment"][2] - post.scores["sentiment"][0]) < 50_000
        for post in made
    )
    assert 0 < obvious < 300
    assert COUNTERS[-1] == COUNTER_NAMES[-1] == "undecided"
    assert named(total)["undecided"] == obvious
    (plain,) = count_plainly(made).values()
    assert {**dict.fromkeys(COUNTERS, 0), **plain} == named(total)
    oracle = [read_scoring(encode(post)).counters for post in made]
    assert [sum(column) for column in zip(*oracle)] == total
    window = to_window("all", 0, 60, 0, PaneSum(total), AT)
    assert json.loads(encode(window))["counters"]["undecided"] == obvious
    metrics, pane = Metrics(), PaneView("all", 0, 60, True, 0, PaneSum(total))
    Exporter(metrics, 10).export(WindowsView(panes=[pane]))
    shown = metrics.window_counter.labels(query="all", counter="undecided")
    assert shown._value.get() == obvious


def test_what_the_version_before_stored_reads_as_before() -> None:
    stored = list(range(1, len(COUNTERS)))
    assert list(named(stored).values()) == [*stored, 0]
'''


@pytest.fixture
def tree(tmp_path: Path) -> GrowingTree:
    return GrowingTree.copy_to(tmp_path)


def _run(tree: GrowingTree, *arguments: str) -> str:
    """Run pytest in the copy, without what needs servers; it must pass and run something."""
    ran = tree.run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow and not integration",
        *arguments,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


def test_a_counter_of_panes_is_one_row(tree: GrowingTree) -> None:
    tree.add_line("stream/windows/layout.py", ROW, after='PaneCounter("near_duplicates"')
    tree.add_file("tests/growth/test_grown.py", WORKS)
    assert tree.lines == {"stream/windows/layout.py": 1}
    assert "2 passed" in _run(tree, "tests/growth/test_grown.py")
    # Both plain counters, beside the product in their own tests, and `make docs`.
    _run(
        tree,
        *("tests/testkit/chaos/test_oracle.py", "tests/stream/windows"),
        *("tests/stream/worker/test_flows.py", "tests/stream/test_heartbeat.py"),
        *("tests/docs", "tests/core/test_schemas.py"),
    )


def test_an_addition_that_claims_a_number_that_is_taken_is_refused(tree: GrowingTree) -> None:
    row = ROW.replace("undecided", "late").replace("6", "4", 1)
    tree.add_line("stream/windows/layout.py", row, after='PaneCounter("near_duplicates"')
    ran = tree.run("-c", "import stream.windows.layout")
    assert ran.returncode != 0
    assert "expected each of 1 to 6 once" in ran.stderr
