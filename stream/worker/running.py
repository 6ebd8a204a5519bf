"""The chain: its order is checked once, its steps are run, and their time is taken around them."""

from __future__ import annotations

import asyncio
import inspect
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Protocol, cast

from core.errors import FatalError
from core.logs import get_logger
from core.metrics import Metrics
from stream.worker.batch import Column, PostBatch
from stream.worker.step import OptionalStep, Step, StepGroup, file_name

_log = get_logger(__name__)


class ChainRefused(FatalError):
    """Steps that cannot follow each other so; the message names the two."""


class Patience(Protocol):
    """Tries something until store and broker are back; a flow has the real one."""

    async def __call__(self, attempt: Callable[[], Awaitable[None]], /) -> None:
        """Return once an attempt has succeeded."""
        ...


class Chain:
    """The steps of one topic. No state between batches; its steps may have some.

    Attributes:
        topic: The topic whose batches it takes.
    """

    def __init__(
        self, topic: str, metrics: Metrics, before: StepGroup, beside: StepGroup, after: StepGroup
    ) -> None:
        """Check the order.

        Args:
            topic: The topic.
            metrics: The metrics of this process: the time of each step, and what was left out.
            before: The steps up to scoring, `in_order`.
            beside: The steps that run `beside_others`.
            after: The steps with effects, `in_order`.

        Raises:
            ChainRefused: A step needs what no step before it adds.
        """
        if (before.is_in_order, beside.is_in_order, after.is_in_order) != (True, False, True):
            raise ChainRefused(f"chain of {topic}: expected in_order, beside_others, in_order")
        self.topic = topic
        groups = [
            [_TimedStep(step, topic, metrics) for step in group.steps]
            for group in (before, beside, after)
        ]
        _check_order(topic, [step for group in groups for step in group])
        for timed in (*groups[0], *groups[2]):
            if timed.within_s is not None:
                raise ChainRefused(f"chain of {topic}: {timed.name} is optional, so it must stand "
                                   "in beside_others")  # fmt: skip
        self._before, self._after = groups[0], groups[2]
        self._waves = [_way_of(wave) for wave in _waves(groups[1])]
        self._releasing = [
            timed.step
            for group in groups
            for timed in group
            if type(timed.step).release is not Step.release
        ]

    async def prepare(self, batch: PostBatch, patience: Patience) -> None:
        """Run the steps before scoring; one batch at a time, in order."""
        await _run_in_order(self._before, batch, patience)

    async def work(self, batch: PostBatch) -> None:
        """Run the steps that take batches beside others."""
        for run_wave in self._waves:
            await run_wave(batch)

    async def conclude(self, batch: PostBatch, patience: Patience) -> None:
        """Run the steps with effects; one batch at a time, in order."""
        await _run_in_order(self._after, batch, patience)

    def release(self, batch: PostBatch) -> None:
        """Let the steps forget a batch."""
        for step in self._releasing:
            step.release(batch)


class _TimedStep:
    """A step with what is taken around it: its time, and whether it did what it declares."""

    def __init__(self, given: Step | OptionalStep, topic: str, metrics: Metrics) -> None:
        self.step = given.step if isinstance(given, OptionalStep) else given
        self.within_s = given.within_s if isinstance(given, OptionalStep) else None
        self.name = type(self.step).__name__
        self._adds = frozenset(self.step.adds)
        self.is_async = inspect.iscoroutinefunction(self.step.run)
        if self.within_s is not None and (self.step.drops or not self.is_async):
            raise ChainRefused(f"chain of {topic}: {self.name} cannot be optional: expected a "
                               "coroutine that drops no rows")  # fmt: skip
        label = file_name(self.name)
        self._seconds = metrics.step_seconds.labels(topic=topic, step=label)
        if self.within_s is not None:
            self._absent = {
                cause: metrics.step_absent.labels(topic=topic, step=label, cause=cause)
                for cause in ("late", "failed")
            }

    def run(self, batch: PostBatch) -> None:
        """Run a plain step."""
        began, size = time.perf_counter(), batch.size
        try:
            self.step.run(batch)
        finally:
            self._seconds.inc(time.perf_counter() - began)
        self._check(batch, size)

    async def wait(self, batch: PostBatch) -> None:
        """Run a coroutine step; waiting counts as its time."""
        began, size = time.perf_counter(), batch.size
        try:
            await cast("Awaitable[None]", self.step.run(batch))
        finally:
            self._seconds.inc(time.perf_counter() - began)
        self._check(batch, size)

    def _check(self, batch: PostBatch, size: int) -> None:
        """Refuse a step that does not do what it declares."""
        if not batch.has(self._adds):
            missing = ", ".join(str(column) for column in self.step.adds if column not in batch)
            raise FatalError(f"{self.name} did not add the column {missing}")
        if size > batch.size and not self.step.drops:
            raise FatalError(f"{self.name} dropped rows and does not declare it")

    async def leave_out_if_late(
        self, batch: PostBatch, own: PostBatch, task: asyncio.Task[None], deadline: float
    ) -> None:
        """Take over what the step has added to `own`, if it ended well and in time."""
        left_s = deadline - time.perf_counter()
        await asyncio.wait({task}, timeout=max(0.0, left_s))
        if not task.done():
            task.cancel()
            self._absent["late"].inc()
        elif (error := task.exception()) is not None:
            self._absent["failed"].inc()
            _log.warning("an optional step failed", step=self.name, error=type(error).__name__)
        else:
            batch.take(own, self.step.adds)


async def _run_in_order(steps: Sequence[_TimedStep], batch: PostBatch, patience: Patience) -> None:
    """Run steps one after the other, with patience for those that wait for others."""
    for step in steps:
        if step.is_async:
            await patience(lambda step=step: step.wait(batch))
        else:
            step.run(batch)


def _way_of(wave: Sequence[_TimedStep]) -> Callable[[PostBatch], Awaitable[None]]:
    """Return what runs a wave: tasks of their own only where more than one coroutine waits."""
    waiting = sum(step.is_async for step in wave)
    if any(step.within_s is not None for step in wave) or waiting > 1:
        return partial(_run_wave, wave)
    if waiting == 0:
        return partial(_run_plain, wave)
    return wave[0].wait if len(wave) == 1 else partial(_run_beside_one, wave)


async def _run_plain(wave: Sequence[_TimedStep], batch: PostBatch) -> None:
    """Run steps that wait for nothing."""
    for step in wave:
        step.run(batch)


async def _run_beside_one(wave: Sequence[_TimedStep], batch: PostBatch) -> None:
    """Run plain steps while the only coroutine among them waits.

    It is started by hand and goes on in this task: one of its own for every batch would cost more
    than some of the steps.
    """
    (waiting,) = [step.wait(batch) for step in wave if step.is_async]
    try:
        waits_for = waiting.send(None)
    except StopIteration:
        waits_for = waiting = None
    try:
        for step in wave:
            if not step.is_async:
                step.run(batch)
        if waiting is not None:
            await _go_on(waiting, waits_for)
    finally:
        if waiting is not None:
            waiting.close()


@types.coroutine
def _go_on(waiting: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started and waits for something."""
    try:
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:
                waits_for = waiting.throw(error)
            else:
                waits_for = waiting.send(answer)
    except StopIteration:
        return


async def _run_wave(wave: Sequence[_TimedStep], batch: PostBatch) -> None:
    """Run steps that need nothing of each other; return when none is left that must be there."""
    began = time.perf_counter()
    needed = [asyncio.create_task(s.wait(batch)) for s in wave if s.is_async and s.within_s is None]
    extra: list[tuple[_TimedStep, PostBatch, asyncio.Task[None], float]] = []
    for step in wave:
        if step.within_s is not None:
            own = batch.beside()
            task = asyncio.create_task(step.wait(own))
            extra.append((step, own, task, began + step.within_s))
    try:
        await asyncio.sleep(0)  # they get to where they wait, and the others use the time
        for step in wave:
            if not step.is_async:
                step.run(batch)
        for task in needed:
            await task
        for step, own, task, deadline in extra:
            await step.leave_out_if_late(batch, own, task, deadline)
    finally:
        for task in (*needed, *(task for _, _, task, _ in extra)):
            if not task.done():
                task.cancel()
                task.add_done_callback(_forget)


def _forget(task: asyncio.Task[None]) -> None:
    """Take note of how an abandoned step ended, which nobody waits for."""
    if not task.cancelled():
        task.exception()


def _waves(steps: Sequence[_TimedStep]) -> list[list[_TimedStep]]:
    """Return the steps cut where one needs what is added since the cut, or drops rows."""
    waves: list[list[_TimedStep]] = []
    added: set[Column[Any]] = set()
    for timed in steps:
        step = timed.step
        alone = step.drops or bool(waves and waves[-1][-1].step.drops)
        if not waves or alone or not added.isdisjoint((*step.needs, *step.wants)):
            waves.append([])
            added = set()
        waves[-1].append(timed)
        added |= {*step.adds}
    return waves


def _check_order(topic: str, steps: Sequence[_TimedStep]) -> None:
    """Refuse an order in which a step reads what is added after it, by nobody, or perhaps."""
    adding: dict[Column[Any], _TimedStep] = {}
    for timed in steps:
        for column in timed.step.adds:
            if column in adding:
                raise ChainRefused(
                    f"chain of {topic}: both {adding[column].name} and {timed.name} add {column}"
                )
            adding[column] = timed
    done: set[Column[Any]] = set()
    for timed in steps:
        for column in (*timed.step.needs, *timed.step.wants):
            adder, is_needed = adding.get(column), column in timed.step.needs
            if column not in done and adder is not None:
                raise ChainRefused(
                    f"chain of {topic}: {timed.name} reads {column}, which {adder.name} adds after "
                    f"it: put {adder.name} before {timed.name}"
                )
            if adder is None and is_needed:
                raise ChainRefused(
                    f"chain of {topic}: {timed.name} needs {column}, which no step adds"
                )
            if adder is not None and is_needed and adder.within_s is not None:
                raise ChainRefused(
                    f"chain of {topic}: {timed.name} needs {column}, which the optional "
                    f"{adder.name} may leave out: it can only want it"
                )
        done |= {*timed.step.adds}
