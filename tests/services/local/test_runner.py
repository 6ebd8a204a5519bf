"""`up --until-idle` from an empty folder to its summary, and the windows when it is over."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core import config
from core.settings import Settings
from services.local.options import StackOptions
from services.local.paths import DEFAULT_PATHS, RuntimePaths
from services.local.runner import run_in_foreground
from services.local.session import Session
from services.local.supervisor import PartRefused
from services.windows_view import snapshot_now

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SHORT = {
    "GROUNDSWELL__WINDOWS__PANE_S": "10",
    "GROUNDSWELL__WINDOWS__ALLOWED_LATENESS_S": "5",
    "GROUNDSWELL__WINDOWS__IDLE_AFTER_S": "2",
}


def settings_of(environment: Mapping[str, str]) -> Settings:
    return config.load(environ=environment)


def replay(folder: Path, data: Path) -> StackOptions:
    return StackOptions(
        source="replay", ingest_arguments=(f"--path={data}",), partitions=2, scorer="fake",
        heartbeat=False, metrics_stack=False, fresh=True, settings=SHORT,
        paths=RuntimePaths(folder, shared_cache=DEFAULT_PATHS.cache),
    )  # fmt: skip


def test_a_file_is_counted_to_its_end_and_what_was_not_counted_is_said(tmp_path: Path) -> None:
    data = tmp_path / "posts.csv"
    rows = [f"{n},author{n % 5},2026-03-01T10:00:{n:02}Z,so late again" for n in range(60)]
    # One copy, which its original stands for; a row that is no post, and a post that is too late.
    rows += [rows[0], "60,author0,some day,no time", "61,author0,2026-02-20T10:00:00Z,too late"]
    data.write_text("\n".join(["id,author,created_at,text", *rows]) + "\n")
    options = replay(tmp_path / "stack", data)  # as it stands: in order of time none is late
    options = replace(options, ingest_arguments=(*options.ingest_arguments, "--order=file"))
    summary = run_in_foreground(options, settings_of, until_idle=True, most_uncounted=0.02)
    assert summary is not None
    books = summary.books
    assert books.errors() == []
    assert (books.counted, books.in_panes) == (60, 60)
    assert books.dead_by_reason == {"duplicate": 1, "dropped_late": 1}
    assert books.refused_by_reason == {"unmappable": 1}
    assert books.windows_closed >= 4
    (fault,) = summary.faults()
    assert fault.startswith("3.2% of the posts were not counted (1 dropped_late, 1 unmappable)")
    assert replace(summary, most_uncounted=0.05).faults() == []

    # The state is kept: a stack without a source shows the windows again.
    again = replace(options, source="", ingest_arguments=(), fresh=False)
    with Session(again, say=lambda _text: None) as session:
        session.bring_up()
        view = snapshot_now(settings_of(session.stack.environment))
        assert sum(p.counters["posts"] for p in view.panes if p.query == "all") == 60


def test_a_source_that_is_used_wrongly_ends_the_stack_with_its_message(tmp_path: Path) -> None:
    data = tmp_path / "posts.csv"
    data.write_text("number,when\n1,2026-03-01T10:00:00Z\n")  # no text: only ingest finds out
    with pytest.raises(PartRefused, match=r"^ingest: .*text"):
        run_in_foreground(replay(tmp_path / "stack", data), settings_of, until_idle=True)
