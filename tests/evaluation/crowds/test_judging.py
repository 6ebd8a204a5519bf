"""The judge of crowds: who wins where it must, folds, refusals, the command."""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from core.errors import ConfigError
from evaluation.crowds.__main__ import chosen_crowds, main
from evaluation.crowds.events import CrowdSet, LabelledEvent, load_crowds
from evaluation.crowds.judging import jensen_shannon, judge_crowds


def drawn(strength: float, events: int = 60, answers: int = 30) -> CrowdSet:
    """Events of two topics, whose crowds are drawn about the topic's shares."""
    rng = np.random.default_rng(2)
    usual = {"a": np.array([0.7, 0.2, 0.1]), "b": np.array([0.1, 0.2, 0.7])}
    found = []
    for number in range(events):
        topic = "ab"[number % 2]
        shares = rng.dirichlet(strength * usual[topic])
        found.append(LabelledEvent(topic, tuple(rng.choice(3, answers, p=shares).tolist())))
    return CrowdSet("drawn", ("x", "y", "z"), found, is_timed=True)


def test_the_posterior_beats_the_forecast_where_crowds_differ_and_counts_where_they_are_few() -> (
    None
):
    measures = judge_crowds(drawn(4.0), 50).measures
    assert measures["posterior_minus_forecast_n20"].low > 0
    assert measures["posterior_minus_counts_n5"].low > 0
    assert measures["posterior_n0"].value == pytest.approx(measures["forecast_n0"].value)
    assert measures["js_floor"].value < measures["js_topic"].value < measures["js_global"].value


def test_nothing_that_is_judged_is_learnt_from() -> None:
    crowds = drawn(4.0, events=20)
    alone = [*crowds.events[:-1], LabelledEvent("alone", (2,) * 30)]
    found = judge_crowds(CrowdSet("drawn", crowds.classes, alone, is_timed=True), 10)
    others = judge_crowds(CrowdSet("drawn", crowds.classes, crowds.events[:-1], True), 10)
    # A topic with one event has the average of all others; its own answers would give it away.
    assert found.measures["forecast_n0"].value < others.measures["forecast_n0"].value


def test_distance_is_none_to_itself_and_most_to_what_has_nothing_in_common() -> None:
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == pytest.approx(np.sqrt(np.log(2)))


def write_fanchuan(data: Path, events: int) -> None:
    """Write a set as it is published, with comments of nobody."""
    folder = data / "responses_fanchuan"
    folder.mkdir(parents=True)
    draws = random.Random(1)
    with gzip.open(folder / "comments.csv.gz", "wt", encoding="utf-8", newline="") as file:
        names = "topic", "split", "user_id", "parent_user_id", "parent_text", "text", "sentiment"
        writer = csv.writer(file)
        writer.writerow([*names, "parody"])
        for event in range(events):
            for answer in range(12):
                mood = draws.choice(["negative", "neutral", "positive"])
                part = ("train", "val", "test")[answer % 3]
                writer.writerow(["t", part, answer, 1, f"parent {event}", "so", mood, 0])


def test_the_command_writes_figures_by_set(tmp_path: Path) -> None:
    write_fanchuan(tmp_path / "data", 12)
    report = tmp_path / "crowds.json"
    arguments = ["--data", str(tmp_path / "data"), "--json", str(report), "--resamples", "10"]
    program = typer.Typer()
    program.command()(main)
    done = CliRunner().invoke(program, arguments)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    figures = json.loads(report.read_text())["figures"]
    assert figures["macro.fanchuan.events"] == 12
    assert figures["macro.fanchuan.counts_n0"] == pytest.approx(np.log(1 / 3))
    macro = [
        f"{system}_n{seen}" for system in ("posterior", "counts", "forecast") for seen in (0, 5)
    ]
    distances = "js", "js_topic", "js_floor"
    assert {f"macro.fanchuan.{name}" for name in (*macro, *distances)} <= set(figures)
    micro = "log_loss", "macro_f1", "unseen_log_loss", "swap_cost", "topic_log_loss"
    assert {f"fanchuan.{name}" for name in micro} <= set(figures)


def test_sets_that_are_not_there_or_too_small_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="responses_fanchuan"):
        chosen_crowds(tmp_path, "")
    write_fanchuan(tmp_path, 3)
    with pytest.raises(ConfigError, match="stance; it has fanchuan"):
        chosen_crowds(tmp_path, "stance")
    with pytest.raises(ConfigError, match="3 events of 10 answers; expected 10"):
        load_crowds(tmp_path, "fanchuan", None)


def test_a_label_that_nobody_knows_is_refused_with_its_file(tmp_path: Path) -> None:
    write_fanchuan(tmp_path, 12)
    path = tmp_path / "responses_fanchuan" / "comments.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read().replace("negative", "cross", 1)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(ConfigError, match="cross"):
        load_crowds(tmp_path, "fanchuan", None)
