"""Exports of well-known tools are counted right the first time, without an option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.cli.main import run

from .exports import EXPORTS, Export


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_export_is_read_as_a_plain_program_reads_it(
    given: Callable[..., Any], export: Export
) -> None:
    expected = export.plain(export.content)
    assert len(expected) == 24
    posts = given(export.content, export.name).posts()
    has_ids = bool(expected[0][0])
    assert Counter(
        (post.id if has_ids else "", post.author, post.claimed_at, post.text) for post in posts
    ) == Counter(expected)
    assert len({post.id for post in posts}) == 24
    times = [post.claimed_at for post in posts]
    assert times == sorted(times), "what leaves is in order, whatever the file's is"


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_check_of_an_export_says_that_all_will_count(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / export.name
    path.write_bytes(export.content)
    assert run(["sources", "check", "replay", "--set", f"path={path}"]) == 0
    printed = capsys.readouterr().out
    assert "24 will count" in printed
    assert "not count" not in printed
