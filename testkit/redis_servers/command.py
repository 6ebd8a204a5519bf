"""`make test-redis`: the store's tests and a kill test on Redis and Valkey of other versions.

Exit status: 0 every server passed; 1 one did not start or did not pass; 2 wrong use.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Final

from core.errors import ConfigError
from core.folders import home
from services.local.server import OWN, WRONG_USE
from testkit.redis_servers.programs import DEBIAN, NAMES, NoServer, has_debian, place, version_of

EXPECTED_VARIABLE: Final = "GROUNDSWELL_TESTED_REDIS"
"""What the tests expect their server to be, such as `Valkey 9.1.2`."""
_PASSED: Final = "passed"
_FAILED: Final = "failed"
_TESTS: Final = (
    "tests/stream/store",
    "tests/integration/test_exactly_once.py::"
    "test_a_killed_worker_and_a_killed_store_lose_and_repeat_nothing",
)


def run_tests(names: list[str], *, slow: bool, jobs: int) -> int:
    """Run the store's tests on each server, on all that can be had here if none is named.

    Returns:
        The exit status.

    Raises:
        ConfigError: There is no server of such a name.
    """
    chosen = names or [name for name in NAMES if name != DEBIAN or has_debian()]
    if DEBIAN not in chosen and not names:
        _say(f"{DEBIAN}: left out, this machine has no apt-get")
    results = [_try(name, slow, jobs) for name in chosen]
    _say("\nserver      version           result  seconds")
    for name, (version, result, took_s) in zip(chosen, results, strict=True):
        _say(f"{name:<11} {version:<17} {result:<7} {took_s:.0f}")
    return int(any(result != _PASSED for _, result, _ in results))


def _try(name: str, slow: bool, jobs: int) -> tuple[str, str, float]:
    """Return what the server is, what came of its tests, and the seconds that they took."""
    began = time.monotonic()
    try:
        folder = place(name, home().resolve() / "redis-servers")
        version = version_of(folder)
    except NoServer as error:
        _say(f"== {name}: {error}")
        return "-", _FAILED, time.monotonic() - began
    _say(f"== {name}: {version}")
    marks = "integration or slow" if slow else "integration and not slow"
    words = (sys.executable, "-m", "pytest", "-q", "-m", marks, "-n", str(jobs),
             "--dist", "loadfile", "-p", "no:cacheprovider", *_TESTS)  # fmt: skip
    environment = os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
        EXPECTED_VARIABLE: version,
    }
    done = subprocess.run(words, env=environment, check=False)  # noqa: S603  (our own argv)
    result = _FAILED if done.returncode else _PASSED
    return version, result, time.monotonic() - began


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", nargs="*", help=f"{', '.join(NAMES)}, or the path of a program")
    parser.add_argument("--slow", action="store_true", help="also the tests that take long")
    parser.add_argument("--jobs", type=int, default=2, help="so many tests at a time")
    return parser


def main() -> int:
    """Run the command; a name that is none is wrong use."""
    options = _parser().parse_args()
    try:
        return run_tests(options.server, slow=options.slow, jobs=options.jobs)
    except ConfigError as error:
        sys.stderr.write(f"{OWN}{error}\n")
        return WRONG_USE


if __name__ == "__main__":
    sys.exit(main())
