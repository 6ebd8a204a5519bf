"""Draws dashboards in Chromium with Grafana's components, and says what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, sync_playwright

from core.folders import shipped

WIDTH_PX: Final = 1456
"""Of the page: 24 of Grafana's columns and a margin."""
_SHOWN_S: Final = 30 * 60
_VARIABLES: Final = {"query": "all", "__rate_interval": "60s"}
"""What Grafana fills in: the page is opened with all queries, and four scrapes are a minute."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the series are, and of when.

    Attributes:
        prometheus: Base address of a Prometheus that lets pages of files ask it.
        until_s: The end of what is shown, in seconds since 1970; half an hour is shown.
        step_s: Seconds between two points.
        light: On Grafana's light ground and not on its dark one.
    """

    prometheus: str
    until_s: int
    step_s: int = 15
    light: bool = False


@dataclass(frozen=True, slots=True)
class PanelSeen:
    """What became of a panel.

    Attributes:
        title: Its title.
        error: Why Prometheus or a component refused it; None if none did.
        ignored: Settings that Grafana does not know, in words.
        series: The names in its legend.
        colours: Name -> colour.
        drawn: Whether anything of a series is seen.
        text: The words on it.
    """

    title: str
    error: str | None
    ignored: Sequence[str]
    series: Sequence[str]
    colours: dict[str, str]
    drawn: bool
    text: str


@dataclass(frozen=True, slots=True)
class BoardSeen:
    """What became of a dashboard.

    Attributes:
        name: The name of its file, without its ending.
        panels: Its panels in their order, rows left out.
        complaints: Errors and warnings of the page.
    """

    name: str
    panels: Sequence[PanelSeen]
    complaints: Sequence[str] = field(default_factory=tuple)

    def empty(self) -> list[str]:
        """Return the panels whose queries found no series, a line each."""
        return [
            f"{self.name} / {panel.title}: no series: {panel.text!r}"
            for panel in self.panels
            if panel.error is None and not panel.series
        ]

    def faults(self) -> list[str]:
        """Return what nobody should see, a line each: errors, blank panels, ignored settings."""
        found = [f"{self.name}: {complaint}" for complaint in self.complaints]
        for panel in self.panels:
            place = f"{self.name} / {panel.title}"
            found += [f"{place}: Grafana knows no {setting}" for setting in panel.ignored]
            if panel.error is not None:
                found.append(f"{place}: {panel.error}")
            elif panel.series and not panel.drawn:
                found.append(f"{place}: blank, with {len(panel.series)} series")
        return found


def boards() -> dict[str, dict[str, Any]]:
    """Return name -> dashboard, of all that are generated."""
    folder = shipped("deploy", "grafana", "dashboards")
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a browser that is closed in the end.

    Raises:
        FileNotFoundError: Chromium is not installed.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise FileNotFoundError("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


def look_at(
    browser: Browser, page_file: Path, name: str, board: dict[str, Any], asked: Asked,
    picture: Path | None = None,
) -> BoardSeen:  # fmt: skip
    """Draw a dashboard and return what became of it.

    Args:
        browser: What draws.
        page_file: As `bundle` makes it.
        name: What the dashboard is called in faults.
        board: Its JSON, as Grafana reads it.
        asked: Where its series are.
        picture: A PNG of the whole page is written here.
    """
    page = browser.new_page(viewport={"width": WIDTH_PX, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda said: complaints.extend(_complaint(said)))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        page.goto(page_file.resolve().as_uri(), wait_until="load")
        begin_s = asked.until_s - _SHOWN_S
        told = page.evaluate(
            "asked => window.look(asked)",
            {"board": board, "prometheus": asked.prometheus, "from": begin_s, "to": asked.until_s,
             "step": asked.step_s, "variables": _VARIABLES,
             "mode": "light" if asked.light else "dark"},
        )  # fmt: skip
        if picture is not None:
            picture.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=picture, full_page=True)
    finally:
        page.close()
    return BoardSeen(name, [PanelSeen(**one) for one in told], complaints)


def _complaint(said: ConsoleMessage) -> Iterator[str]:
    # Grafana's typeface is a file of its server; the one of the machine stands in.
    is_typeface = "/fonts/" in str(said.location.get("url", ""))
    if said.type in ("error", "warning") and not is_typeface:
        yield said.text
