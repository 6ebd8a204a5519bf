import csv
import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from models.encoder.data import ParticipationTexts
from models.encoder.heads.participation import deployed_levels, gate_shift
from models.encoder.samples import held_out, read_sample


def test_a_sample_is_read_from_csv_and_from_json_lines(tmp_path: Path) -> None:
    rows = [{"text": "we march at noon", "label": "call_to_action"}, {"text": "x", "label": "none"}]
    comma, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    with comma.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    for file in (comma, lines):
        found = read_sample("participation", file)
        assert found.truth.tolist() == [2, 0]
        assert found.is_deployed
        assert file.name in found.said


def test_several_topics_are_joined_and_none_may_apply(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "a", "label": "music|sports"}\n{"text": "b", "label": ""}\n')
    found = read_sample("topics", file)
    assert found.truth.sum(1).tolist() == [2, 0]


@pytest.mark.parametrize("label", ["Call_to_action", "call", "", "none "])
def test_a_label_must_be_exactly_one_of_the_heads(label: str, tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps({"text": "a", "label": label}) + "\n")
    with pytest.raises(ConfigError, match="row 1"):
        read_sample("participation", file)


def test_a_missing_or_empty_sample_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--sample FILE"):
        read_sample("sentiment", tmp_path / "none.csv")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no rows"):
        read_sample("sentiment", tmp_path / "empty.jsonl")


def test_deployed_levels_come_from_crowd_rows_alone() -> None:
    levels = (0, 0, 1, 1, 1, 2, 3, 3, 3, 3)
    sources = ("crowd",) * 6 + ("synthetic",) * 4
    found = deployed_levels(ParticipationTexts(("",) * 10, levels, ("",) * 10, sources))
    np.testing.assert_allclose(found, [0.742, 0.258 * 0.75, 0.258 * 0.25, 0, 0])


def test_a_gate_that_is_passed_less_often_in_use_starts_lower() -> None:
    train = ParticipationTexts(("",) * 8, (0, 0, 0, 1, 2, 2, 3, 4), ("",) * 8, ("crowd",) * 8)
    shifts = gate_shift(train, (0.74, 0.18, 0.05, 0.02, 0.01))
    assert len(shifts) == 4
    assert shifts[0] == pytest.approx(np.log(0.26 / 0.74))
    assert shifts[1] < 0


def test_no_head_no_sample() -> None:
    with pytest.raises(ConfigError, match="no held-out sample"):
        held_out("weather", Path())
