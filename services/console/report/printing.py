"""A PDF of a report, through Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from core.errors import GroundswellError

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LIMIT_S: Final = 120.0


class ChromiumUnavailable(GroundswellError):
    """There is no Chromium, or it did not print."""


def find_chromium() -> str:
    """Return the program.

    Raises:
        ChromiumUnavailable: There is none; says what to install.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise ChromiumUnavailable(
        "--pdf needs Chromium, and none is on PATH: install chromium (Debian, Fedora, Alpine) or "
        "google-chrome; or leave out --pdf and print the HTML file from any browser"
    )


def print_pdf(chromium: str, page: Path, pdf: Path) -> None:
    """Write a page as a PDF.

    Args:
        chromium: The program.
        page: The HTML file.
        pdf: The file to write; it is replaced as a whole.

    Raises:
        ChromiumUnavailable: Chromium failed, or wrote no PDF.
    """
    with tempfile.TemporaryDirectory(prefix="groundswell-pdf-") as folder:
        made = Path(folder) / "report.pdf"
        # A page of ours without scripts; its sandbox cannot be had as root, as in containers.
        unboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
        argv = [
            chromium, "--headless", "--disable-gpu", *unboxed, f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer", f"--print-to-pdf={made}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            ended = subprocess.run(  # noqa: S603  (our own argv, no shell)
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=_LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChromiumUnavailable(f"{chromium} could not print {page}: {error}") from error
        if ended.returncode or not made.is_file() or not made.read_bytes().startswith(b"%PDF-"):
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ChromiumUnavailable(
                f"{chromium} wrote no PDF (status {ended.returncode}): {last}"
            )
        scratch = pdf.with_name(f".{pdf.name}.{os.getpid()}")
        shutil.copyfile(made, scratch)
        scratch.replace(pdf)
