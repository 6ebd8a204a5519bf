"""`make compose-test`: docker-compose.yml on a real engine, every container of it.

Makes stand-ins for the public images, builds the project's own, brings everything up, holds what
runs against what the file promises, and reads the published pages. A day of posts is replayed until
its shift is an alert. While a second file is replayed it scales the workers to three and back,
restarts and kills each service, upgrades over the volumes and waits for an alert; a plain program
then counts every window again. At the end everything is taken away. What a stand-in cannot show:
docs/compose.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Final

from core.folders import checkout
from testkit.compose.bases import make_bases
from testkit.compose.engine import Engine, remove_cache
from testkit.compose.failures import ComposeTestFailed, NoEngine
from testkit.compose.stages import Stages
from testkit.compose.trial import check_stack

_ENDED_BY_SIGNAL: Final = 128


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end_in_order(number: int, _: object) -> None:
    """Leave by an error, so that everything is taken away; a second signal changes nothing."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    _say(f"compose-test: {signal.Signals(number).name}: everything is taken away")
    sys.exit(_ENDED_BY_SIGNAL + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".groundswell/compose"),
                        help="keeps images and Compose between runs")  # fmt: skip
    parser.add_argument("--remove-cache", action="store_true",
                        help="remove what earlier runs made, and do nothing else")  # fmt: skip
    parser.add_argument("--skip-without-engine", action="store_true",
                        help="end well, and say so, where no engine can be started")  # fmt: skip
    return parser


def _without_engine(error: NoEngine, *, is_allowed: bool) -> str:
    frame = "!" * 78
    ending = "skipped, as was asked for" if is_allowed else "failed"
    return (f"{frame}\ncompose-test: NO CONTAINER WAS STARTED, docker-compose.yml WAS NOT TRIED\n"
            f"{error}\ncompose-test: {ending}\n{frame}")  # fmt: skip


def main() -> int:
    """Run the test; status 0 if all is well, or if there is no engine and that is allowed."""
    asked, root = _parser().parse_args(), checkout()
    if root is None:
        sys.exit("compose-test: works in a checkout")
    if asked.remove_cache:
        remove_cache(asked.cache.absolute())
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_in_order)
    stages, fault = Stages(_say), ""
    try:
        with Engine(asked.cache.absolute()) as engine:
            with stages("Compose"):
                engine.compose_program()
            make_bases(engine, root, stages)
            check_stack(engine, root, stages)
    except NoEngine as error:
        _say(_without_engine(error, is_allowed=asked.skip_without_engine))
        return 0 if asked.skip_without_engine else 1
    except ComposeTestFailed as error:
        fault = str(error)
    _say(stages.report())
    _say(f"compose-test: {fault or 'passed'}")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
