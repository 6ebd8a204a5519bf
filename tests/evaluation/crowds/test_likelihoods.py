"""What adapters say of real replies is read, checked, and judged on the same replies."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from evaluation.crowds.likelihoods import judge_likelihoods, print_likelihoods, read_likelihoods


def write(folder: Path, variant: str, seed: int, **changed: Any) -> None:
    own = [-4.0 - row % 3 for row in range(30)]
    row = {
        "variant": variant, "seed": seed, "weights": 1000, "spent_s": 60.0, "own": own,
        "swapped": [one - 0.5 for one in own], "tokens": [2] * 30,
    }  # fmt: skip
    (folder / f"{variant}-{seed}.json").write_text(json.dumps(row | changed))


def test_variants_are_held_against_plain_lora_and_against_another_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        write(tmp_path, "plain", seed)
        write(tmp_path, "sequence", seed, own=[-3.0 - row % 3 for row in range(30)])
    said = read_likelihoods(tmp_path)
    found = judge_likelihoods(said, 50)
    assert found["plain.log_likelihood"].value == pytest.approx(-2.5)
    assert found["plain.swap_cost"].value == pytest.approx(0.25)
    assert found["sequence.over_plain"].low == pytest.approx(0.5)
    assert found["sequence.swap_cost"].value == pytest.approx(0.75)
    assert "plain.over_plain" not in found
    print_likelihoods(said, found)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("sequence" in line and "-2.000" in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"own": [-1.0]}, "not of one length"),
        ({"own": [float("nan")] * 30}, "malformed"),
        ({"tokens": [0] * 30}, ">= 1"),
        ({"weights": "many"}, "weights"),
        ({"own": "text"}, "own"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    write(tmp_path, "plain", 1, **changed)
    with pytest.raises(ConfigError, match=rf"plain-1\.json.*{why}"):
        read_likelihoods(tmp_path)


def test_files_of_different_replies_are_not_compared(tmp_path: Path) -> None:
    write(tmp_path, "plain", 1)
    write(tmp_path, "sequence", 1, tokens=[3] * 30)
    with pytest.raises(ConfigError, match="different replies"):
        read_likelihoods(tmp_path)
    with pytest.raises(ConfigError, match="no file of likelihoods"):
        read_likelihoods(tmp_path / "none")


def test_no_reply_at_all_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "plain", 1, own=[], swapped=[], tokens=[])
    with pytest.raises(ConfigError, match="no reply"):
        read_likelihoods(tmp_path)
