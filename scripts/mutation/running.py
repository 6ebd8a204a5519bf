"""Runs tests on a copy of the tree with one fault in it, each in a process forked for it.

Forked from one that has loaded pytest and the libraries, but nothing of ours: a run then costs what
its tests cost, and not the second and a half in which they are loaded.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

PRELOADED: Final = (
    "pytest", "_pytest.doctest", "hypothesis.strategies", "numpy",
    "msgspec", "redis.asyncio", "aiohttp.web", "websockets.asyncio.client", "structlog", "typer",
    "prometheus_client", "psutil", "faust", "faust.transport.drivers.aiokafka", "selectolax",
)  # fmt: skip
"""Without threads of their own, which a fork would leave behind."""

LINKED: Final = (".venv", ".venv-server", ".groundswell")
"""What the tests read beside the tree."""


@dataclass(frozen=True, slots=True)
class TestRun:
    """How the tests of a mutant ended.

    Attributes:
        passed: Whether every test passed.
        timed_out: Whether they were ended for taking too long.
        took_s: The seconds that they took.
        output: What pytest printed.
    """

    passed: bool
    timed_out: bool
    took_s: float
    output: str


def preload() -> None:
    """Load what every run of tests loads."""
    for name in PRELOADED:
        import_module(name)


def copy_tree(root: Path, into: Path) -> None:
    """Copy what git knows or would add, so that nobody's tree is ever mutated."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
    for name in LINKED:
        if (root / name).exists():
            (into / name).symlink_to(root / name)


@contextmanager
def planted(path: Path, text: str) -> Iterator[None]:
    """Write `text` to a file for as long as the context lasts."""
    before = path.read_bytes()
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(before)


def run_tests(tree: Path, tests: Sequence[str], limit_s: float) -> TestRun:
    """Run tests of a tree until the first fails; end them after `limit_s` seconds."""
    output = tree.parent / "output"
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_pytest(tree, tests, output)
    ended = os.pidfd_open(pid)
    try:
        timed_out = not select.select([ended], [], [], limit_s)[0]
    finally:
        os.close(ended)
        # Also when all is well: what a test leaves running must not disturb the next.
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    took_s = time.monotonic() - began
    passed = not timed_out and os.waitstatus_to_exitcode(status) == 0
    return TestRun(passed, timed_out, took_s, output.read_text("utf-8", errors="replace"))


def _be_pytest(tree: Path, tests: Sequence[str], output: Path) -> None:
    """Become the process of one run; does not return."""
    status = 3
    try:
        os.setsid()
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.chdir(tree)
        # A file is written twice within the second that a compiled one is dated by.
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(tree))
        os.environ["PYTHONPATH"] = str(tree)
        import pytest
        from hypothesis import HealthCheck, Phase, settings

        # As in `tests/conftest.py`, and no time is spent on making a failing example small.
        settings.register_profile(
            "mutation", deadline=None, suppress_health_check=[HealthCheck.too_slow],
            derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
        )  # fmt: skip
        status = int(pytest.main([
            "-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider",
            "-W", "ignore::pytest.PytestAssertRewriteWarning",
            "--hypothesis-profile=mutation", f"--rootdir={tree}",
            f"--basetemp={tree.parent / 'temporary'}", *tests,
        ]))  # fmt: skip
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
