"""Judges many streams on all cores, with a bar on standard error."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.settings import ShiftSettings
from evaluation.alerts.plan import StreamPlan
from evaluation.alerts.running import Judged, judge_streams
from evaluation.alerts.synthetic import PANES

_CHUNK: Final = 200
"""Streams side by side in one process at most; their panes are 5 MB each."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does at a time."""

    plans: tuple[StreamPlan, ...]
    extras: tuple[float, ...]
    settings: ShiftSettings
    panes: int
    peaks: bool


class _Told:
    """The queue on which a process tells how far it is; set when the process starts."""

    queue: Any = None


def _begin(queue: Any) -> None:
    _Told.queue = queue


def _judge(work: Work) -> list[Judged]:
    def tell(panes: int) -> None:
        if _Told.queue is not None:
            _Told.queue.put(panes * len(work.plans))

    return judge_streams(
        work.plans, work.settings, panes=work.panes, peaks=work.peaks, extras=work.extras,
        tell=tell,
    )  # fmt: skip


def judge_all(
    plans: Sequence[StreamPlan], settings: ShiftSettings, *, what: str, processes: int = 0,
    panes: int = PANES, peaks: bool = False, extras: Sequence[float] = (),
) -> list[Judged]:  # fmt: skip
    """Judge every plan and return the outcomes in the same order.

    Args:
        plans: one stream each.
        settings: of the judge.
        what: the words before the bar.
        processes: how many; 0 means one a core.
        panes: of each stream.
        peaks: also note the scores of excursions.
        extras: evidence asked of each stream beyond the thresholds; none means zero.
    """
    count = min(processes or os.cpu_count() or 1, len(plans))
    size = max(1, min(_CHUNK, -(-len(plans) // count)))
    more = list(extras) or [0.0] * len(plans)
    # Dealt like cards: each process gets as much of every scenario.
    hands = [range(at, len(plans), -(-len(plans) // size)) for at in range(-(-len(plans) // size))]
    chunks = [
        Work(tuple(plans[n] for n in hand), tuple(more[n] for n in hand), settings, panes, peaks)
        for hand in hands
    ]
    with _bar(what, len(plans) * panes) as progress:
        if count == 1:
            return _in_order(hands, [_alone(work, progress) for work in chunks])
        # Spawned, not forked: the caller may have threads.
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        with context.Pool(count, _begin, (queue,)) as pool:
            pending = pool.map_async(_judge, chunks, chunksize=1)
            while not pending.ready():
                pending.wait(0.5)
                while not queue.empty():
                    progress(queue.get())
            return _in_order(hands, pending.get())


def _in_order(hands: Sequence[Sequence[int]], parts: Sequence[Sequence[Judged]]) -> list[Judged]:
    found = {
        number: judged
        for hand, part in zip(hands, parts, strict=True)
        for number, judged in zip(hand, part, strict=True)
    }
    return [found[number] for number in sorted(found)]


def _alone(work: Work, progress: Any) -> list[Judged]:
    found = judge_streams(
        work.plans, work.settings, panes=work.panes, peaks=work.peaks, extras=work.extras
    )
    progress(work.panes * len(work.plans))
    return found


@contextmanager
def _bar(what: str, total: int) -> Iterator[Any]:
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda panes: progress.advance(task, panes)
