from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from core.heads import EMOTION
from evaluation.baselines.embedding import embed
from evaluation.encoder.__main__ import cuts, main
from evaluation.encoder.scoring import in_process, score_all
from testkit.models import write_rows

pytestmark = pytest.mark.server


def test_the_built_model_scores_and_brings_its_cuts(built_repository: Path) -> None:
    from models.encoder.config import load_config
    from models.serving.candidates import CANDIDATES

    batch = score_all(in_process(built_repository), ["What a lovely day!", "So sad and angry now."])
    config = load_config(built_repository / "post_encoder" / "1")
    version, _, engine = batch.model_version.rpartition(".")
    assert version == config.version
    assert engine in {one.name for one in CANDIDATES}
    assert batch.heads["sentiment"].argmax(1).tolist() == [2, 0]
    assert set(cuts(config)) == set(batch.heads)
    assert all(0 < cut < 1 for cut in cuts(config).values())


def test_the_command_writes_a_page_with_pictures_in_this_environment(
    built_repository: Path, tmp_path: Path
) -> None:
    rows = [{"text": f"So much {label} on day {day}.", "label": label}
            for label in EMOTION for day in range(5)]  # fmt: skip
    write_rows(tmp_path / "emotion" / "test.csv.gz", rows)
    app = typer.Typer()
    app.command()(main)
    argv = ["emotion", "--data", str(tmp_path), "--repository", str(built_repository)]
    argv += ["--no-floors", "--resamples", "10", "--out", str(tmp_path / "page")]
    said = CliRunner().invoke(app, argv)
    assert said.exit_code == 0, said.output
    page = (tmp_path / "page" / "evaluation.md").read_text(encoding="utf-8")
    for name in ("emotion-reliability.svg", "emotion-confusion.svg"):
        assert f"({name})" in page
        assert (tmp_path / "page" / name).read_text(encoding="utf-8").startswith("<svg")


def test_the_backbone_without_adapters_puts_like_texts_side_by_side() -> None:
    vectors = embed(
        ["The cat sat on the mat.", "A cat is sitting on a rug.", "Interest rates rose."]
    )
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    # As published for this checkpoint: paraphrases near 0.6, unrelated sentences near 0.
    assert vectors[0] @ vectors[1] > 0.5
    assert abs(float(vectors[0] @ vectors[2])) < 0.2
