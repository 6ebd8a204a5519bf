"""The pages in Chromium: each page's task, axe, the console of the browser, and where it asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

from core.schemas import Contribution
from services.alerting.showing import THERE, ExampleText
from services.console.keys import Role
from testkit.console import (
    PANE_S,
    START_S,
    TEXT,
    MemoryData,
    ServedConsole,
    dead_record,
    pane,
    past_alert,
    served_console,
)

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]
POSTS = f"/queries/trains/posts?start={START_S}&length={PANE_S}"
PAGES = (
    "/now", "/queries", "/queries/trains", POSTS, "/alerts", "/alerts/a1", "/quality", "/pipeline"
)  # fmt: skip
SIZES = {"phone": (400, 800), "wide": (2_560, 1_440)}


def stream() -> MemoryData:
    """Return two hours of two queries, one of which shifts, with a post that shows it."""
    kept = [
        pane(START_S + n * PANE_S, query, closed=n < 119, posts=40 + n % 7, rated=40,
             sentiment_sum=(8 if n < 90 else -8) * 1_000_000, sentiment_square=16_000_000)
        for query in ("all", "trains")
        for n in range(120)
    ]  # fmt: skip
    moved = [
        Contribution(stratum="mastodon/en/transport", posts=40, share_before=0.3, share_after=0.5,
                     mean_before=0.2, mean_after=-0.3, mix=-0.02, opinion=-0.2)
    ]  # fmt: skip
    shown = [ExampleText("typical", "mastodon", "p1", THERE, TEXT, "https://social.example/1")]
    past = [past_alert(1, contributions=moved)]
    return MemoryData(kept=kept, past=past, shown=shown, dead=[dead_record()])


class Browsing:
    """A browser that is signed in, and what went wrong in it.

    Attributes:
        page: Its page.
        console: What it looks at.
        faults: What it wrote to its console, and requests that left the machine.
    """

    def __init__(self, context: BrowserContext, console: ServedConsole) -> None:
        self.console = console
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        context.on("request", lambda asked: self._check(asked.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def _check(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.console.base).netloc:
            self.faults.append(f"asked {url}")

    def go(self, path: str) -> Page:
        """Open a page of the console; the stream of events never ends, so nothing waits for it."""
        self.page.goto(self.console.base + path, wait_until="load")
        return self.page


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    with served_console(tmp_path_factory.mktemp("console"), stream(), refresh_s=0.1) as found:
        yield found


@pytest.fixture(scope="module")
def context(served: ServedConsole) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        found = browser.new_context()
        entering = found.new_page()
        entering.goto(served.link, wait_until="load")
        assert entering.url == f"{served.base}/now"
        entering.close()
        yield found
        browser.close()


@pytest.fixture
def browsing(context: BrowserContext, served: ServedConsole) -> Iterator[Browsing]:
    found = Browsing(context, served)
    yield found
    found.page.close()
    assert found.faults == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(browsing: Browsing, path: str, dark: bool) -> None:
    page = browsing.page
    page.emulate_media(color_scheme="dark" if dark else "light")
    browsing.go(path)
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_window(browsing: Browsing, path: str, size: str) -> None:
    width, height = SIZES[size]
    browsing.page.set_viewport_size({"width": width, "height": height})
    page = browsing.go(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_from_an_alerts_link_to_its_posts_and_windows_is_one_click(browsing: Browsing) -> None:
    page = browsing.go("/alerts/a1")  # as `alerts.link` has it
    assert page.get_by_text(TEXT).is_visible()
    assert page.get_by_role("table").count() == 2


def test_from_now_to_the_posts_behind_a_shift_are_two_clicks(browsing: Browsing) -> None:
    page = browsing.go("/now")
    page.get_by_role("link", name="opinion down").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Opinion about trains fell."
    assert page.get_by_text(TEXT).is_visible()


def test_a_query_is_found_and_shown(browsing: Browsing) -> None:
    page = browsing.go("/now")
    page.get_by_label("Find a query").fill("train")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Trains").click()
    assert page.get_by_role("img").is_visible()
    assert page.get_by_role("row").count() == 121
    page.get_by_role("link", name="1h", exact=True).click()
    assert page.get_by_role("row").count() == 61


def test_an_expression_is_checked(browsing: Browsing) -> None:
    page = browsing.go("/queries")
    page.get_by_role("textbox", name="Expression").fill("late AND (train")
    page.get_by_role("button", name="Check").click()
    assert "column 10" in page.get_by_role("status").inner_text()


def test_one_signs_in_with_a_key_and_out_again(
    served: ServedConsole, context: BrowserContext
) -> None:
    other = context.browser.new_context()  # type: ignore[union-attr]
    page = other.new_page()
    page.goto(f"{served.base}/alerts/a1")
    page.get_by_label("Key").fill(served.keys[Role.VIEWER])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/alerts/a1")
    assert page.get_by_text(TEXT).count() == 0  # a viewer sees no text
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("heading", name="Sign in").is_visible()
    other.close()


def test_a_window_that_closes_appears_by_itself(browsing: Browsing) -> None:
    data = browsing.console.data
    page = browsing.go("/now")
    before = page.get_by_role("status").inner_text()
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)  # until it listens: what it is told first it has
    data.kept += [pane(START_S + n * PANE_S, "all", posts=999) for n in (119, 120)]
    page.get_by_text("999").first.wait_for(timeout=30_000)
    assert page.get_by_role("status").inner_text() != before


def test_pages_are_whole_without_script(served: ServedConsole, context: BrowserContext) -> None:
    without = context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    without.add_cookies(context.cookies())
    page = without.new_page()
    for path in PAGES:
        page.goto(served.base + path)
        assert page.get_by_role("heading", level=1).is_visible()
    without.close()


def test_pictures_of_the_pages(browsing: Browsing, tmp_path: Path) -> None:
    page = browsing.page
    page.set_viewport_size({"width": 1_280, "height": 800})
    for path in PAGES:
        browsing.go(path)
        picture = tmp_path / f"{path.strip('/').replace('/', '-')}.png"
        page.screenshot(path=str(picture), full_page=True)
        assert picture.stat().st_size > 10_000
