"""The worker as chaos starts it: the very same, and it can be asked where it is.

SIGUSR1 makes it write down what every task waits for: a worker that hangs is asked before it is
taken down.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType
from typing import Final

from services import worker
from services.cli.settings import load_settings

SAY_WHERE: Final = signal.SIGUSR1


def _write_stacks(_number: int, _frame: FrameType | None) -> None:
    """Print the chain of coroutines of every task; runs between two steps of the loop."""
    for task in asyncio.all_tasks():
        sys.stderr.write(f"task {task.get_name()}, cancelling {task.cancelling()}\n")
        waits = task.get_coro()
        while waits is not None:
            frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
            if frame is not None:
                code = frame.f_code
                sys.stderr.write(f"    {code.co_filename}:{frame.f_lineno} {code.co_qualname}\n")
            waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    sys.stderr.flush()


if __name__ == "__main__":
    signal.signal(SAY_WHERE, _write_stacks)
    worker.main(load_settings())
