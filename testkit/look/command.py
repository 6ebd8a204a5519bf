"""`make look`: pictures of every dashboard, and what is wrong with them.

First a dashboard in which everything is wrong on purpose: what does not find that finds nothing.

Exit status: 0 nothing is wrong; 1 something is, or nothing could be drawn; 2 wrong use.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import GroundswellError
from core.folders import home
from services.local.runfile import load_run
from testkit.look.boards import Asked, boards, chromium, look_at
from testkit.look.bundle import NotFetched, bundle
from testkit.look.series import UNTIL_S, made_up_prometheus
from testkit.look.wrong import overlooked, wrong_board


@contextmanager
def asked_of(address: str, *, light: bool) -> Iterator[Asked]:
    """Give whom to ask: the address, else the local stack's Prometheus, else a made-up one."""
    if not address and (run := load_run()) and (part := run.part("prometheus")):
        address = f"http://127.0.0.1:{part.ports['http']}"
    if address:
        _say(f"look: at the last half hour of {address}")
        yield Asked(address.rstrip("/"), int(time.time()) // 15 * 15, light=light)
        return
    _say("look: no stack runs here; at half an hour that is made up")
    with (
        tempfile.TemporaryDirectory(prefix="groundswell-look-") as folder,
        made_up_prometheus(Path(folder)) as server,
    ):
        yield Asked(server.url, UNTIL_S, light=light)


def _overlooked(page: Path) -> list[str]:
    """Return what of a dashboard that is wrong in every way is not found to be."""
    with (
        tempfile.TemporaryDirectory(prefix="groundswell-look-") as folder,
        made_up_prometheus(Path(folder)) as server,
        chromium() as browser,
    ):
        asked = Asked(server.url, UNTIL_S)
        return overlooked(look_at(browser, page, "wrong", wrong_board(), asked))


def main(arguments: list[str] | None = None) -> int:
    """Draw, and say what is wrong."""
    asked_for = _parser().parse_args(arguments)
    pictures = asked_for.output or home() / "look" / "pictures"
    try:
        page = bundle(home() / "look", _say)
        if missed := _overlooked(page):
            _say(f"look: what is wrong on purpose was not found: {', '.join(missed)}")
            return 1
        with asked_of(asked_for.prometheus, light=asked_for.light) as asked:
            faults = _look(page, asked, pictures)
    except NotFetched as error:
        _say(f"look: NOTHING WAS LOOKED AT: {error}")
        return int(not asked_for.skip_without_registry)
    except (GroundswellError, OSError) as error:
        _say(f"look: {error}")
        return 1
    for fault in faults:
        _say(fault)
    _say(f"look: {len(faults)} faults")
    return int(bool(faults))


def _look(page: Path, asked: Asked, pictures: Path) -> list[str]:
    """Draw every dashboard and return what is wrong."""
    faults: list[str] = []
    with chromium() as browser:
        for name, board in boards().items():
            picture = pictures / f"{name}.png"
            seen = look_at(browser, page, name, board, asked, picture)
            _say(f"look: {picture}")
            faults += seen.faults()
            if asked.until_s == UNTIL_S:  # where every metric is, every panel has something
                faults += seen.empty()
                continue
            for empty in seen.empty():  # a stream may well have nothing to show there
                _say(f"look: empty: {empty}")
    return faults


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Draw the Grafana dashboards with Grafana's own components.",
        epilog='Example: make look ARGS="--prometheus http://127.0.0.1:9090 --light"',
    )
    parser.add_argument(
        "--prometheus",
        default="",
        metavar="URL",
        help="whose series; the local stack's, or made-up ones, if not given",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where pictures go (.groundswell/look/pictures)",
    )
    parser.add_argument("--light", action="store_true", help="on Grafana's light ground")
    parser.add_argument(
        "--skip-without-registry",
        action="store_true",
        help="end well, and say so, where the components cannot be fetched",
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
