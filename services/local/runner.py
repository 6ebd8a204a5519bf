"""`groundswell up`: the stack with its logs on the terminal, or apart from it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from core.errors import ConfigError, GroundswellError, TransientError
from core.settings import Settings
from services.local.accounting import Accounting, take_stock, unread_records
from services.local.child import Command
from services.local.log_follower import LogFollower
from services.local.options import MOST_UNCOUNTED, StackOptions
from services.local.paths import RuntimePaths, read_link
from services.local.runfile import Run, end_leftovers, load_run, read_run
from services.local.server import OWN, WRONG_USE
from services.local.session import SUPERVISOR_LOG, Session, StackAlreadyRuns
from services.local.stack import CONSOLE, INGEST, groundswell_command
from services.local.summary import RunSummary, await_published, steady_stock, stop_counting
from services.local.supervisor import PartState

_POLL_S = 0.1
_LOG_TAIL_LINES = 25
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []
"""Supervisors that are to outlive this process; a handle that nobody holds warns of that."""


class NotStarted(GroundswellError):
    """The supervisor in the background ended before the stack was ready."""


def start_in_background(
    command: Command, paths: RuntimePaths, is_up: Callable[[Run], bool], timeout_s: float = 600.0
) -> Run:
    """Start a supervisor that outlives this process; return once the stack is up.

    Args:
        command: The supervisor, in the foreground from its own point of view.
        paths: Where it keeps its files; its messages go to `logs/supervisor.log`.
        is_up: What to wait for.
        timeout_s: When to give up; the first start fetches and builds.

    Raises:
        ConfigError: It says that it, or a part of it, is used wrongly.
        StackAlreadyRuns: There is one in this folder; its log is left alone.
        NotStarted: With the last it said.
    """
    if read_run(paths.runfile) is not None:
        raise StackAlreadyRuns.in_folder(paths)
    paths.logs.mkdir(parents=True, exist_ok=True)
    log_path = paths.logs / SUPERVISOR_LOG
    supervisor = _spawn(command, log_path)
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at:
        if supervisor.poll() is not None:
            raise _why_not_started(supervisor.returncode, log_path)
        run = read_run(paths.runfile)
        if run is not None and run.supervisor.pid == supervisor.pid and is_up(run):
            return run
        time.sleep(_POLL_S)
    supervisor.terminate()
    raise NotStarted(f"the stack was not up after {timeout_s:g} s; see {log_path}")


def _spawn(command: Command, log_path: Path) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own, all it says in its log."""
    with log_path.open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603  (our own argv, no shell)
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=command.environment(),
            cwd=command.cwd,
            start_new_session=True,
        )
    _LEFT_RUNNING.append(supervisor)
    return supervisor


def _why_not_started(status: int, log_path: Path) -> GroundswellError:
    """Return the error of a supervisor that has ended, by the last lines of its log."""
    lines = log_path.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    refused = [line.removeprefix(OWN) for line in lines if line.startswith(OWN)]
    if status == WRONG_USE and refused:
        return ConfigError("\n".join(refused))
    return NotStarted("\n".join(["the stack did not start; its last words:", *lines]))


def stop_stack(paths: RuntimePaths, timeout_s: float = 60.0) -> Sequence[str]:
    """Stop the running stack, gently first; also clear what a crash left.

    Returns:
        Names of the parts that ran, empty if none did.
    """
    run = load_run(paths.runfile)
    if run is None:
        return []
    if not run.supervisor.is_alive():
        ended = end_leftovers(run)
        paths.runfile.unlink(missing_ok=True)
        _let_go_of_the_ended()
        return ended
    running = [part.name for part in run.parts if part.identity is not None]
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.supervisor.pid, signal.SIGTERM)
    give_up_at = time.monotonic() + timeout_s
    while run.supervisor.is_alive() and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
    if run.supervisor.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.supervisor.pid, signal.SIGKILL)
        end_leftovers(load_run(paths.runfile) or run)
        paths.runfile.unlink(missing_ok=True)
    _let_go_of_the_ended()
    return running


def _let_go_of_the_ended() -> None:
    _LEFT_RUNNING[:] = [supervisor for supervisor in _LEFT_RUNNING if supervisor.poll() is None]


SettingsOf = Callable[[Mapping[str, str]], Settings]
"""The settings that a process with these variables has."""

_START_TIMEOUT_S = 600.0  # the first start fetches and builds
_ASK_EVERY_S = 1.0


class IdleCheck:
    """Says whether everything in Kafka has been counted; asks at most once a second."""

    def __init__(self, settings_now: Callable[[], Settings]) -> None:
        """Ask nothing yet; `settings_now` tells where broker and store are by then."""
        self._settings_now = settings_now
        self._ask_at = 0.0
        self._is_idle = False

    def __call__(self) -> bool:
        """Return the last answer; a broker or store that is away means no."""
        if time.monotonic() >= self._ask_at:
            try:
                self._is_idle = unread_records(self._settings_now()) == 0
            except TransientError:
                self._is_idle = False
            self._ask_at = time.monotonic() + _ASK_EVERY_S
        return self._is_idle


def run_in_foreground(
    options: StackOptions,
    settings_of: SettingsOf,
    until_idle: bool = False,
    duration_s: float | None = None,
    most_uncounted: float = MOST_UNCOUNTED,
) -> RunSummary | None:
    """Keep a stack running, its logs on the terminal, until it is over or asked to stop.

    Args:
        options: What was asked for.
        settings_of: To ask the broker and the store.
        until_idle: End once the source has ended and all it sent is counted.
        duration_s: End after so many seconds of streaming.
        most_uncounted: The largest share of posts not counted that is a success.

    Returns:
        The summary of a run that ended because it was idle, else None.

    Raises:
        GroundswellError: It could not be brought up, or a part said that it is used wrongly.
        StopRequested: It was asked to stop before it was up.
    """
    follower = LogFollower()
    with Session(options, say=follower.say, on_tick=follower.show_new_lines) as session:
        _bring_up(session, follower)
        began_s = time.monotonic()
        ends_at = float("inf") if duration_s is None else began_s + duration_s
        is_idle = IdleCheck(lambda: settings_of(session.stack.environment))

        def is_done() -> bool:
            return until_idle and _source_has_ended(session) and is_idle()

        session.supervisor.watch(lambda: time.monotonic() >= ends_at or is_done())
        streamed_s = time.monotonic() - began_s
        summary = None
        if not session.supervisor.is_stopping and is_done():
            summary = _close_books(session, follower, settings_of, streamed_s, most_uncounted)
        follower.say("stopping")
    return summary


def _bring_up(session: Session, follower: LogFollower) -> None:
    """Bring a stack up with its logs on the terminal, and say where it is."""
    for server in session.stack.servers:
        follower.follow(server.name, server.log_path, server.unshown)
    session.bring_up()
    paths = session.stack.options.paths
    for name, url in session.stack.urls.items():
        follower.say(f"{name}: {(name == CONSOLE and read_link(paths)) or url}")


def _close_books(
    session: Session,
    follower: LogFollower,
    settings_of: SettingsOf,
    streamed_s: float,
    most_uncounted: float,
) -> RunSummary:
    """Return the summary of a stack that is idle, once its windows have closed."""
    settings = settings_of(session.stack.environment)
    follower.say("all is counted: waiting for windows to close, taking stock")
    await_published(settings, session.supervisor.turn)
    trouble = stop_counting(session.supervisor)
    return _summary(take_stock(settings), streamed_s, trouble, most_uncounted)


def _source_has_ended(session: Session) -> bool:
    sources = [part for part in session.supervisor.parts if part.server.name == INGEST]
    return all(source.state is PartState.ENDED for source in sources)


def _summary(
    books: Accounting, streamed_s: float, trouble: tuple[str, ...], most_uncounted: float
) -> RunSummary:
    """Return a summary; the windows of a short file stay open, which is no fault."""
    return RunSummary(
        books, streamed_s, trouble=trouble, most_uncounted=most_uncounted, must_close=False
    )


def sum_up(run: Run, settings_of: SettingsOf, most_uncounted: float) -> RunSummary:
    """Return the summary of a stack in the background that has counted everything and stays up."""
    books = steady_stock(settings_of(run.environment))
    began = datetime.fromisoformat(run.started_at)
    streamed_s = (datetime.now(UTC) - began).total_seconds()
    return _summary(books, streamed_s, (), most_uncounted)


def run_in_background(
    options: StackOptions, settings_of: SettingsOf, until_idle: bool = False
) -> Run:
    """Start a stack that outlives this command; return once it is ready.

    Args:
        options: What was asked for; `settings` and `paths` must be the usual ones.
        settings_of: To ask the broker and the store.
        until_idle: Return only when the source has ended and all it sent is counted. The stack
            stays up, so that its windows can be read.

    Raises:
        GroundswellError: It could not be brought up.
    """
    where: Mapping[str, str] = {}
    is_idle = IdleCheck(lambda: settings_of(where))

    def is_up(run: Run) -> bool:
        nonlocal where
        if run.state != "ready" or not until_idle:
            return run.state == "ready"
        source = run.part(INGEST)
        if source is not None and source.state != PartState.ENDED:
            return False
        where = run.environment
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
