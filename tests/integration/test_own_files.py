"""Files of one's own, given to ingest as they are, become the windows that plain programs count."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.local.child import Command, run_to_end

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
PROGRAM = (
    "import sys\n"
    "from services.cli.main import run\n"
    "words = ['ingest', '--source', 'replay', '--fresh', '--path']\n"
    "sys.exit(max(run([*words, path]) for path in sys.argv[1:]))"
)


def _exports() -> tuple[Any, ...]:
    path = REPOSITORY / "tests" / "services" / "ingest" / "replay" / "exports.py"
    spec = importlib.util.spec_from_file_location("exports_of_tools", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.EXPORTS


def _ingest(stream: Any, *paths: Path) -> str:
    env = {
        f"GROUNDSWELL__{section}__{field}".upper(): str(value)
        for section, fields in stream.tree.items()
        for field, value in fields.items()
    } | {"GROUNDSWELL__INGEST__CURSOR_DIR": str(stream.directory / "cursors")}
    argv = (sys.executable, "-c", PROGRAM, *map(str, paths))
    status, output = run_to_end(Command(argv, env, cwd=REPOSITORY), 300)
    assert status == 0, output
    return output


def _years(path: Path, start: datetime, rows: int) -> Path:
    """Write a file of a post a day over years, shuffled."""
    lines = [
        f"{start.year}-{n},ana,{start + timedelta(days=n):%Y-%m-%dT%H:%M:%SZ},post {n}\n"
        for n in range(rows)
    ]
    random.Random(1).shuffle(lines)
    path.write_text("id,author,created_at,text\n" + "".join(lines), encoding="utf-8")
    return path


def test_exports_and_files_in_any_order_are_counted_whole_and_older_ones_are_told(
    make_stream: Callable[..., Any], tmp_path: Path
) -> None:
    stream = make_stream()
    stream.start_worker("w0")
    _ingest(stream, _years(tmp_path / "years.csv", datetime(2023, 1, 1, tzinfo=UTC), 900))
    stream.wait_until(lambda: stream.accounted() >= 900, "counting years")
    assert stream.totals()["counted"] == 900, "each is counted, though 2 days are kept"

    expected: Counter[int] = Counter()
    paths: list[Path] = []
    for export in _exports():
        told = export.plain(export.content)
        expected.update(int(at.timestamp()) // 60 * 60 for _, _, at, _ in told)
        paths.append(tmp_path / export.name)
        paths[-1].write_bytes(export.content)
    _ingest(stream, *paths)
    posts = expected.total()
    assert posts >= 12 * 24
    stream.wait_until(lambda: stream.accounted() >= posts + 900, "counting the exports")
    found = {
        start: c["posts"]
        for (query, start), c in stream.windows().items()
        if query == "all" and start >= min(expected)
    }
    assert found == dict(expected)

    said = _ingest(stream, _years(tmp_path / "older.csv", datetime(2012, 1, 1, tzinfo=UTC), 70))
    assert "late=70" in said
    assert "--fresh" in said
    stream.wait_until(lambda: stream.accounted() >= posts + 970, "judging the older")
    assert stream.totals()["counted"] == posts + 900
