"""Puts Grafana's own components and our page into one script, below the run-time root.

The packages come from npm's registry by `page/package-lock.json`, each with its hash, once. Nothing
of them is committed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import GroundswellError
from services.local.child import Command, run_to_end

PAGE: Final = Path(__file__).parent / "page"
_LOCKED: Final = ("package.json", "package-lock.json", ".npmrc")
_MADE_OF: Final = ("build.mjs", "known.js", "page.jsx")
_FETCH_TIMEOUT_S: Final = 600
_BUILD_TIMEOUT_S: Final = 120
_STAMP: Final = ".installed"
_HTML: Final = """<!doctype html>
<meta charset="utf-8">
<link rel="stylesheet" href="look.css">
<div id="page"></div>
<script src="look.js"></script>
"""


class NotBundled(GroundswellError):
    """Grafana's components cannot be bundled; the message says what to do."""


class NotFetched(NotBundled):
    """Grafana's components cannot be had: there is no npm, or its registry is out of reach."""


def bundle(folder: Path, say: Callable[[str], None]) -> Path:
    """Return the page that draws dashboards; fetch and bundle what is not there.

    Args:
        folder: Where packages and bundle are kept.
        say: Takes what is going on.

    Raises:
        NotFetched: There is no npm or node, or npm cannot fetch.
        NotBundled: The page cannot be bundled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_LOCKED, *_MADE_OF):
        shutil.copyfile(PAGE / name, folder / name)
    locked = hashlib.sha256(b"".join((PAGE / name).read_bytes() for name in _LOCKED)).hexdigest()
    stamp = folder / _STAMP
    if not stamp.is_file() or stamp.read_text() != locked:
        say("look: fetching Grafana's components (40 MB)")
        try:
            _run(("npm", "ci"), folder, _FETCH_TIMEOUT_S, "npm could not fetch the components")
        except NotBundled as error:
            raise NotFetched(str(error)) from error
        stamp.write_text(locked)
    _run(("node", "build.mjs", "look.js"), folder, _BUILD_TIMEOUT_S, "esbuild refused the page")
    page = folder / "look.html"
    page.write_text(_HTML)
    return page


def _run(words: tuple[str, ...], folder: Path, timeout_s: float, what: str) -> None:
    program = shutil.which(words[0])
    if program is None:
        raise NotFetched(f"{words[0]} is not installed: apt-get install npm, which brings node too")
    try:
        status, output = run_to_end(Command((program, *words[1:]), cwd=folder), timeout_s)
    except subprocess.TimeoutExpired as error:
        raise NotBundled(f"{what} within {timeout_s:.0f} s") from error
    if status:
        raise NotBundled(f"{what} (status {status}):\n{output.strip()[-2000:]}")
