import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.encoder import bench_bare
from evaluation.encoder.bench_bare import bare_throughput
from models.build import MODEL_NAME

pytestmark = pytest.mark.server


def test_figures_count_posts_and_tokens(built_repository: Path) -> None:
    folder = built_repository / MODEL_NAME / "1"
    figures = bare_throughput(["one two", "three"] * 20, folder, repeats=2)
    assert figures["posts"] == 40
    assert figures["tokens_per_post"] == pytest.approx(3.5)
    assert 0 < figures["posts_per_s_least"] <= figures["posts_per_s"]


def test_command_writes_the_report(built_repository: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(bench_bare.main)
    (tmp_path / "texts.txt").write_text("a post\nanother one\n")
    said = CliRunner().invoke(
        app,
        ["--texts", str(tmp_path / "texts.txt"), "--json", str(tmp_path / "out" / "bare.json"),
         "--repository", str(built_repository), "--repeats", "1"],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    report = json.loads((tmp_path / "out" / "bare.json").read_text())
    assert {"figures", "machine", "versions", "seed", "settings"} <= set(report)
    assert report["figures"]["posts"] == 2
