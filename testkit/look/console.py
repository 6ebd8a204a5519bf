"""`make look-console`: pictures of the console's pages, over two made-up hours.

The posts, queries and figures mean nothing and are nobody's. Exit status: 0 every page was drawn
without a fault, 1 one was not.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from core import reasons
from core.clock import from_epoch_ms
from core.folders import home
from core.schemas import Contribution, Progress, Term
from services.alerting.showing import THERE, ExampleText
from services.kafka_client import TopicActivity
from services.pipeline_view import STAGES, OfKafka, OfStore, PipelineView, make_view
from services.windows_view import PaneView
from stream.store.increments import PartitionState
from stream.topics import POST_EVENTS, POSTS
from testkit.builders import NOON
from testkit.console import (
    PANE_S,
    START_S,
    MemoryData,
    dead_record,
    pane,
    past_alert,
    served_console,
)
from testkit.look.boards import chromium

PAGES: Final = {
    "now": "/now",
    "query": "/queries/trains?span=1h",
    "shift": "/alerts/a1",
    "alerts": "/alerts",
    "pipeline": "/pipeline",
}
"""Picture -> its page."""
_PANES: Final = 120
_MICRO: Final = 1_000_000
_SIZE: Final = {"width": 1_280, "height": 860}


def _panes(query: str, posts: int, mean: float, fall: float) -> Iterator[PaneView]:
    """Yield two hours of a query, whose mean falls by so much at three quarters."""
    for n in range(_PANES):
        here = posts + round(posts / 3 * math.sin(n / 11 + len(query)))
        now = mean - fall / (1 + math.exp(-(n - 90) / 2)) + 0.05 * math.sin(n * 1.7)
        yield pane(
            START_S + n * PANE_S, query, closed=n < _PANES - 1, posts=here, rated=here * 9 // 10,
            sentiment_sum=round(now * here * 0.9 * _MICRO),
            sentiment_square=round(0.4 * here * 0.9 * _MICRO),
        )  # fmt: skip


def _stream() -> PipelineView:
    """Return how far a stream of four partitions is."""
    at_ms = (START_S + _PANES * PANE_S) * 1_000
    states, told = dict[int, PartitionState](), dict[int, Progress]()
    for number in range(4):
        last = 21_000 + 731 * number
        totals = {"counted": last - 4, "dead:posts": 5, "events": 900, "removed": 17}
        cursors = {POSTS: last, POST_EVENTS: 899}
        states[number] = PartitionState(cursors, at_ms - 9_000, -1, totals)
        told[number] = Progress(
            partition=number, cursor=last, event_cursor=899, model_version="post-encoder-7",
            applied_at=from_epoch_ms(at_ms - 800),
        )  # fmt: skip
    ends = {number: state.cursors[POSTS] + 3 for number, state in states.items()}
    topics = {
        topic: TopicActivity(
            ends if topic == POSTS else {0: 90_000 // (n + 1)}, 4_210 // (n + 1), at_ms
        )
        for n, topic in enumerate(STAGES)
    }
    return make_view(from_epoch_ms(at_ms), OfStore(states, (), {}, None), OfKafka(topics, told))


def made_up() -> MemoryData:
    """Return two hours of four queries, one of which shifts."""
    kept = [
        one
        for query, posts, mean, fall in (("all", 900, 0.1, 0.1), ("trains", 140, 0.2, 0.5),
                                         ("weather", 60, -0.1, 0.0))
        for one in _panes(query, posts, mean, fall)
    ]  # fmt: skip
    moved = [
        Contribution(stratum="mastodon|en|transport", posts=640, share_before=0.30,
                     share_after=0.42, mean_before=0.20, mean_after=-0.3, mix=-0.02, opinion=-0.2),
        Contribution(stratum="bluesky|en|transport", posts=420, share_before=0.45,
                     share_after=0.40, mean_before=0.24, mean_after=-0.15, mix=0.01, opinion=-0.14),
    ]  # fmt: skip
    terms = [
        Term("cancelled", 9.1, 3, 210),
        Term("strike", 7.4, 8, 190),
        Term("thanks", -3.0, 40, 6),
    ]
    shift = past_alert(
        1, contributions=moved, terms=terms, posts=1_060,
        started=NOON + timedelta(minutes=88), fired=NOON + timedelta(minutes=92),
        decided_at=NOON + timedelta(minutes=118),
    )  # fmt: skip
    shown = [
        ExampleText("typical", "mastodon", "p1", THERE, "Third train cancelled this morning.", ""),
        ExampleText(
            "against", "bluesky", "p2", THERE, "Mine was on time, for what it is worth.", ""
        ),
    ]
    why = (reasons.WRONG_TYPE, reasons.DUPLICATE, reasons.UNMAPPABLE, reasons.SCORER_REFUSED)
    dead = [dead_record(n, reason=reason) for n, reason in enumerate(why)]
    return MemoryData(kept=kept, past=[shift], shown=shown, dead=dead, stream=_stream())


def look(folder: Path, names: Sequence[str], *, dark: bool) -> list[str]:
    """Write the pictures; return what the pages complain of."""
    faults: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="groundswell-look-") as keys,
        served_console(Path(keys), made_up()) as served,
        chromium() as browser,
    ):
        context = browser.new_context(viewport=_SIZE, color_scheme="dark" if dark else "light")  # pyright: ignore[reportArgumentType]
        page: Page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(served.link, wait_until="load")
        for name in names:
            answer = page.goto(served.base + PAGES[name], wait_until="load")
            if answer is None or answer.status != 200:
                faults.append(f"{name}: status {answer.status if answer else 'none'}")
            page.screenshot(path=folder / f"console-{name}.png")
            sys.stdout.write(f"look: {folder / f'console-{name}.png'}\n")
    return faults


def main(arguments: list[str] | None = None) -> int:
    """Draw, and say what is wrong."""
    parser = argparse.ArgumentParser(
        description="Draw the console's pages over two made-up hours.",
        epilog='Example: make look-console ARGS="--dark now shift"',
    )
    parser.add_argument("page", nargs="*", help=f"of {', '.join(PAGES)}; all if none is named")
    parser.add_argument("--output", type=Path, default=None, metavar="FOLDER",
                        help="where pictures go (.groundswell/look/pictures)")  # fmt: skip
    parser.add_argument("--dark", action="store_true", help="as in a dark room")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.page) - set(PAGES)):
        parser.error(f"page: {unknown[0]!r}: expected one of {', '.join(PAGES)}")
    folder = asked.output or home() / "look" / "pictures"
    faults = look(folder, asked.page or list(PAGES), dark=asked.dark)
    for fault in faults:
        sys.stdout.write(f"look: {fault}\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
