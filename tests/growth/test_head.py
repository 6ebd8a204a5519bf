"""A head is one file and one row: scored, checked, counted, shown, trained and measured."""

from pathlib import Path

import pytest

from testkit.growth import GrowingTree

pytestmark = pytest.mark.slow

ROW = '    HeadSpec("stance", ("against", "neither", "in_favour"), since=6),'

HEAD = '''"""Stance of a post towards what it speaks of: against, neither or in favour."""

from pathlib import Path

from core.heads import HEADS
from models.encoder.data import LabelledTexts, labelled
from models.encoder.heads.base import HeadTraining, OfficialTest, plain_posts, plain_sample
from models.metrics import macro_f1


def train(root: Path) -> LabelledTexts:
    """The training posts."""
    return labelled(root / "stance" / "train.csv.gz", HEADS["stance"])


def validation(root: Path) -> LabelledTexts:
    """Posts for selection and calibration."""
    return labelled(root / "stance" / "val.csv.gz", HEADS["stance"])


def test(root: Path) -> LabelledTexts:
    """Posts for the final figures only."""
    return labelled(root / "stance" / "test.csv.gz", HEADS["stance"])


TRAINING = HeadTraining(
    figure=lambda logits, truth: macro_f1(logits.argmax(1), truth, logits.shape[1]),
    train=lambda root, _fold: plain_posts("stance", train(root)),
    validation=lambda root, _fold: plain_posts("stance", validation(root)),
    sample=lambda root: plain_sample(validation(root), "stance validation, {}"),
    test=OfficialTest("Stance test", test, train, "neither"),
)
'''

WORKS = '''
"""Does the head that was added go the whole way?"""

import asyncio
from datetime import datetime, timezone

import numpy as np
import pytest

from core.codec import encode
from core.errors import InvalidAnswer
from core.metrics import Metrics
from core.schemas import ScoredPost
from evaluation.encoder.__main__ import chosen_heads, evaluate_all
from evaluation.encoder.context import Context
from models.build import TEMPLATE, _write_config
from models.encoder.config import EncoderConfig, save_config, uncalibrated
from models.encoder.heads import training_of
from models.encoder.samples import held_out
from models.encoder.tasks import TASKS, heads_of, passes_of
from models.serving.engine_choice import AUTO, Circumstances, EngineChoice, Trial
from services.cli.windows import SHARES
from services.exporter.conversation import Exporter
from services.repair.history import contributions
from services.windows_view import PaneView, WindowsView
from stream.windows.increments import to_micro
from stream.windows.layout import COUNTERS, named
from stream.windows.records import PaneSum
from stream.windows.summary import summarise
from testkit.chaos.recount import is_probable, read_scoring
from testkit.models import write_rows
from testkit.scorers.fake import FakeScorer, Faults
from testkit.stream import count_plainly

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)
LABELS = ("against", "neither", "in_favour")


def score(texts, langs):
    return asyncio.run(FakeScorer().score_batch(texts, langs))


def test_it_is_scored_counted_recounted_and_shown() -> None:
    scores = to_micro(score([f"post {number}" for number in range(90)], [""] * 90))
    made = [
        ScoredPost(
            id=str(row), source="s", author="a", event_at=AT, ingested_at=AT, model_version="m",
            rated=True, queries=["all"], stratum="s|en|none", pane_start=AT,
            scores={head: values[row].tolist() for head, values in scores.heads.items()},
        )
        for row in range(90)
    ]
    rows = [one.counters for one in contributions([(post, post) for post in made])]
    total = [sum(column) for column in zip(*rows)]
    counters = named(total)
    assert COUNTERS[-4:] == ("stance_posts", *(f"stance_{label}" for label in LABELS))
    assert counters["stance_posts"] == 90
    assert counters["stance_against"] == sum(post.scores["stance"][0] for post in made) > 0
    (plain,) = count_plainly(made).values()
    assert {**dict.fromkeys(COUNTERS, 0), **plain} == counters
    assert all(is_probable(encode(post)) for post in made)
    oracle = [read_scoring(encode(post)).counters for post in made]
    assert [sum(column) for column in zip(*oracle)] == total
    shares = summarise(counters).shares["stance"]
    assert tuple(shares) == LABELS and sum(shares.values()) == pytest.approx(1)
    metrics, pane = Metrics(), PaneView("all", 0, 60, True, 0, PaneSum(total))
    Exporter(metrics, 10).export(WindowsView(panes=[pane]))
    shown = metrics.window_share.labels(query="all", head="stance", label="against")
    assert shown._value.get() == shares["against"]
    assert "stance" in SHARES


def test_the_edge_names_a_wrong_row_and_refuses_a_wrong_shape() -> None:
    def wrong(answer):
        return {**answer, "stance": np.full_like(answer["stance"], 0.9)}

    def narrow(answer):
        return {**answer, "stance": answer["stance"][:, :2]}

    found = asyncio.run(FakeScorer(faults=Faults(spoil=wrong)).score_batch(["a"], [""]))
    assert found.wrong[0].startswith("stance: probabilities that sum to 2.7")
    with pytest.raises(InvalidAnswer, match="stance of shape"):
        asyncio.run(FakeScorer(faults=Faults(spoil=narrow)).score_batch(["a"], [""]))


def test_its_training_side_is_found(tmp_path) -> None:
    for split in ("train", "val", "test"):
        said = [(f"{label} {split} {n}", label) for n in range(9) for label in LABELS]
        rows = [{"text": text, "label": label} for text, label in said]
        write_rows(tmp_path / "stance" / f"{split}.csv.gz", rows)
    assert "stance" in TASKS and passes_of("joint")["stance"] == 1.0
    assert heads_of(("sentiment", "stance")) == ("sentiment", "stance")
    own = training_of("stance")
    assert own.train(tmp_path, 0).lessons[0].targets[:3] == (0, 1, 2)
    truth = np.array([0, 1, 2])
    assert own.figure(np.eye(3)[truth], truth) == 1.0
    assert held_out("stance", tmp_path).said == "stance validation, 27 posts"
    assert "stance" in chosen_heads("all")
    (found,) = evaluate_all(["stance"], Context(tmp_path, score, 20, has_floors=False), print)
    assert found.extra["posts"] == 27
    assert 0 <= found.figures()["stance_model_macro_f1"] <= 1


def test_the_model_server_declares_its_output(tmp_path) -> None:
    head = uncalibrated("stance")
    assert (head.labels, head.activation) == (LABELS, "softmax")
    config = EncoderConfig(
        version="v", backbone="b", backbone_sha256="s", normaliser_version=1, heads=(head,)
    )
    (tmp_path / "1").mkdir()
    save_config(config, tmp_path / "1")
    now = Circumstances(processor="any", model="v", packages={}, wanted=AUTO)
    trials = (Trial(engine="openvino-int8"),)
    choice = EngineChoice(engine="openvino-int8", why="it is", circumstances=now, trials=trials)
    _write_config(TEMPLATE, tmp_path, "cpu", AUTO, choice)
    declared = (tmp_path / "config.pbtxt").read_text()
    assert 'name: "stance" data_type: TYPE_FP32 dims: [ 3 ]' in declared
'''


def _run(tree: GrowingTree, *arguments: str) -> str:
    """Run pytest in the copy, without what needs servers; it must pass."""
    what = "not slow and not integration and not server and not train"
    ran = tree.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", what, *arguments)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


def test_a_head_is_one_file_and_one_row(tmp_path: Path) -> None:
    tree = GrowingTree.copy_to(tmp_path)
    tree.add_line("core/heads.py", ROW, after='HeadSpec("problem"')
    tree.add_file("models/encoder/heads/stance.py", HEAD)
    assert tree.lines == {"core/heads.py": 1}
    assert list(tree.written) == ["models/encoder/heads/stance.py"]
    tree.add_file("tests/growth/test_grown.py", WORKS)
    assert "4 passed" in _run(tree, "tests/growth/test_grown.py")
    # The batteries of models, both plain counters in their own tests, and `make docs`.
    _run(
        tree,
        *("tests/models/test_contracts.py", "tests/models/scorers/test_edge.py"),
        *("tests/models/encoder/test_tasks.py", "tests/models/encoder/test_selection.py"),
        *("tests/testkit/scorers", "tests/testkit/chaos/test_oracle.py", "tests/stream/windows"),
        *("tests/stream/worker/test_flows.py", "tests/docs", "tests/core/test_schemas.py"),
    )
