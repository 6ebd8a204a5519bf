"""The one object that commands write with `--json`."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from core.report import SHAPE, Report, write_report


def written(file: Path, figures: dict[str, Any], **further: Any) -> Report:
    write_report(file, "try", figures, **({"settings": {}} | further))
    return msgspec.json.decode(file.read_bytes(), type=Report)


def test_a_report_says_what_was_found_where_and_when(tmp_path: Path) -> None:
    report = written(
        tmp_path / "deep" / "report.json",
        {"posts": 3},
        settings={"file": tmp_path, "cuts": (0.5, 1)},
        packages=("msgspec", "no-such-package"),
        seed=7,
        tables={"checks": [{"name": "disk", "found": None}]},
        notes=["one is missing"],
        versions={"groundswell": "abc"},
    )
    assert (report.shape, report.command, report.figures) == (SHAPE, "try", {"posts": 3})
    assert timedelta(0) <= datetime.now(UTC) - report.made_at < timedelta(minutes=5)
    assert report.settings == {"file": str(tmp_path), "cuts": [0.5, 1]}
    assert report.tables == {"checks": [{"name": "disk", "found": None}]}
    assert (report.notes, report.seed) == (["one is missing"], 7)
    assert report.versions["msgspec"] == msgspec.__version__
    assert report.versions["no-such-package"] == "missing"
    assert report.versions["groundswell"] == "abc"
    assert report.machine.cores == os.cpu_count()
    assert report.machine.memory_bytes > 1 << 27


def test_numbers_of_numpy_are_numbers_and_what_is_not_finite_is_null(tmp_path: Path) -> None:
    figures = {
        "one": np.float32(0.5), "two": np.int64(2), "three": float("nan"), "four": np.float64("inf")
    }  # fmt: skip
    report = written(tmp_path / "report.json", figures)
    assert report.figures == {"one": 0.5, "two": 2, "three": None, "four": None}


@pytest.mark.parametrize("figures", [{"posts": "many"}, {"posts": {"a": 1}}, {"posts": [1]}])
def test_a_figure_that_is_no_number_is_refused_and_the_old_report_stays(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    file = tmp_path / "report.json"
    written(file, {"posts": 1})
    before = file.read_bytes()
    with pytest.raises(msgspec.ValidationError, match="figures"):
        written(file, figures)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_no_report_can_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="object has no place"):
        written(tmp_path / "report.json", {}, settings={"what": object()})


def test_what_is_no_regular_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_report(pipe, "try", {"posts": 1}, settings={})
        assert json.loads(os.read(reader, 1 << 16))["figures"] == {"posts": 1}
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
