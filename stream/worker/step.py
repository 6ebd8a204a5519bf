"""What a step of a chain is, and the words in which a chain is written.

`in_order` takes batches one after the other, in the order of their offsets; a step that finds store
or broker away is tried again. `beside_others` takes several batches at once, and within a batch
lets a step run beside those that it needs nothing of. A step in it may be `optional`: it gets a
bounded time, and what is late is left out and counted. `stream.worker.running` runs it all.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, ClassVar

from stream.worker.batch import Column, PostBatch

Columns = tuple[Column[Any], ...]
"""The columns that a step declares."""


def file_name(step: str) -> str:
    """Return the name of a step's file, which is its name in metrics too.

    Example:
        >>> file_name("DropUnscored")
        'drop_unscored'
    """
    return re.sub(r"(?<=.)([A-Z])", r"_\1", step).lower()


class Step:
    """One step: reads columns of a batch and adds others. Shared by all partitions of a worker.

    Attributes:
        needs: The columns that it reads.
        wants: The columns that it reads where they are there; they may be absent.
        adds: The columns that are there after it.
        drops: It may drop rows, so nothing runs beside it.
    """

    needs: ClassVar[Columns] = ()
    wants: ClassVar[Columns] = ()
    adds: ClassVar[Columns] = ()
    drops: ClassVar[bool] = False

    def run(self, batch: PostBatch) -> Awaitable[None] | None:
        """Do the step; a plain method or a coroutine.

        One that asks store or broker changes nothing before they have answered: it is run again
        when they are back.
        """
        raise NotImplementedError

    def release(self, batch: PostBatch) -> None:
        """Forget what is held because of a batch: it was applied, or thrown away."""


@dataclass(frozen=True, slots=True)
class OptionalStep:
    """A step that a batch waits for only so long."""

    step: Step
    within_s: float


@dataclass(frozen=True, slots=True)
class StepGroup:
    """Steps of a chain that are run in one of the two ways."""

    steps: tuple[Step | OptionalStep, ...]
    is_in_order: bool


def in_order(*steps: Step) -> StepGroup:
    """Return steps that take one batch after the other, in the order of their offsets."""
    return StepGroup(steps, is_in_order=True)


def beside_others(*steps: Step | OptionalStep) -> StepGroup:
    """Return steps that take batches beside other batches, and run beside each other."""
    return StepGroup(steps, is_in_order=False)


def optional(step: Step, *, within_ms: float) -> OptionalStep:
    """Return a step whose columns are left out, and counted, if they are not there in time.

    Its time begins with it. It may only add columns: what else it does to its batch is lost.
    """
    return OptionalStep(step, within_ms / 1000)
