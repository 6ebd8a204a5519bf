"""`groundswell up`: the stack with its logs on the terminal, or apart from it."""

import time
from collections.abc import Callable, Mapping

from core.errors import TransientError
from core.settings import Settings
from services.local.accounting import unread_records
from services.local.background import start_in_background
from services.local.log_follower import LogFollower
from services.local.options import StackOptions
from services.local.runfile import Run
from services.local.session import Session
from services.local.stack import INGEST, groundswell_command
from services.local.supervisor import PartState

SettingsOf = Callable[[Mapping[str, str]], Settings]
"""The settings that a process with these variables has."""

_START_TIMEOUT_S = 600.0  # the first start fetches and builds
_ASK_EVERY_S = 1.0


class IdleCheck:
    """Says whether everything in Kafka has been counted; asks at most once a second."""

    def __init__(self, settings: Settings) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self._ask_at = 0.0
        self._is_idle = False

    def __call__(self) -> bool:
        """Return the last answer; a broker or store that is away means no."""
        if time.monotonic() >= self._ask_at:
            try:
                self._is_idle = unread_records(self._settings) == 0
            except TransientError:
                self._is_idle = False
            self._ask_at = time.monotonic() + _ASK_EVERY_S
        return self._is_idle


def run_in_foreground(
    options: StackOptions,
    settings_of: SettingsOf,
    until_idle: bool = False,
    duration_s: float | None = None,
) -> None:
    """Keep a stack running, its logs on the terminal, until it is over or asked to stop.

    Args:
        options: what was asked for.
        settings_of: to ask the broker and the store.
        until_idle: end once the source has ended and all it sent is counted.
        duration_s: end after so many seconds of streaming.

    Raises:
        GroundswellError: it could not be brought up.
        StopRequested: it was asked to stop before it was up.
    """
    follower = LogFollower()
    with Session(options, say=follower.say, on_tick=follower.show_new_lines) as session:
        for server in session.stack.servers:
            follower.follow(server.name, server.log_path)
        session.bring_up()
        for name, url in session.stack.urls.items():
            follower.say(f"{name}: {url}")
        sources = [part for part in session.supervisor.parts if part.server.name == INGEST]
        ends_at = float("inf") if duration_s is None else time.monotonic() + duration_s
        is_idle = IdleCheck(settings_of(session.stack.environment))

        def is_done() -> bool:
            has_ended = all(source.state is PartState.ENDED for source in sources)
            return time.monotonic() >= ends_at or (until_idle and has_ended and is_idle())

        session.supervisor.watch(is_done)
        follower.say("stopping")


def run_in_background(
    options: StackOptions, settings_of: SettingsOf, until_idle: bool = False
) -> Run:
    """Start a stack that outlives this command; return once it is ready.

    Args:
        options: what was asked for; `settings` and `paths` must be the usual ones.
        settings_of: to ask the broker and the store.
        until_idle: return only when the source has ended and all it sent is counted. The stack
            stays up, so that its windows can be read.

    Raises:
        GroundswellError: it could not be brought up.
    """
    is_idle: IdleCheck | None = None

    def is_up(run: Run) -> bool:
        nonlocal is_idle
        if run.state != "ready" or not until_idle:
            return run.state == "ready"
        source = run.part(INGEST)
        if source is not None and source.state != PartState.ENDED:
            return False
        is_idle = is_idle or IdleCheck(settings_of(run.environment))
        return is_idle()

    command = groundswell_command(_arguments(options), {}, options.config)
    timeout_s = float("inf") if until_idle else _START_TIMEOUT_S
    return start_in_background(command, options.paths, is_up, timeout_s)


def _arguments(options: StackOptions) -> list[str]:
    """Return the words of `groundswell up` that ask for the same stack in the foreground."""
    return [
        "up", "--foreground", f"--source={options.source}", f"--workers={options.workers}",
        f"--partitions={options.partitions}", f"--scorer={options.scorer}",
        "--metrics" if options.metrics_stack else "--no-metrics",
        *(["--fresh"] if options.fresh else []),
        # The one word that has another name there: a file is data to people, a path to ingest.
        *(word.replace("--path=", "--data=", 1) for word in options.ingest_arguments),
    ]  # fmt: skip
