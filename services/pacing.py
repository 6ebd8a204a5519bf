"""How forecasts and replies give way to counting: while posts wait for it, they take little.

Niceness settles who runs where processors are short, but not what a batch of forecasts or a reply
costs the broker, the store and the model server, which are asked by all. So forecaster and
responder look once a second how long posts wait to be counted, and rest after each piece of work
the longer the longer they do. What they are then behind by is made up for when the workers have
caught up, or is left out and said, as ever when they are behind.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from core.clock import Clock

PATIENCE: Final = 20.0
"""Work begins so many times what the last took after it, for each second that posts wait."""
_MOST: Final = 50.0
"""It is never put off for longer than this many times: a fiftieth of a core is kept."""
_NAP_S: Final = 0.5
"""After so long it is looked again whether rest is still due."""
_MAX_LOOKS: Final = 600
_STUCK_S: Final = 30.0
"""Where nothing was counted for so long, nobody is slowed by us: that is another fault."""


class CountingDelay:
    """How long posts wait to be counted, from where topics end and what has been counted.

    Attributes:
        now_s: The longest wait of any partition at the last look, in seconds.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._ends: dict[int, deque[tuple[float, int]]] = {}
        self._moved: dict[int, tuple[int, float]] = {}

    def look(self, ends: Mapping[int, int], counted: Mapping[int, int], at_s: float) -> None:
        """Take into account where partitions end, and the next offsets that are to be counted.

        Args:
            ends: Partition -> the offset after the last post that is there.
            counted: Partition -> the offset after the last post that was counted; one that is
                missing cannot be told and is left out.
            at_s: Seconds that never go back.
        """
        known = {number: ends[number] for number in ends if number in counted}
        self._ends = {number: self._ends.get(number, deque()) for number in known}
        self.now_s = 0.0
        for number, end in known.items():
            if self._moved.get(number, (-1, at_s))[0] != counted[number]:
                self._moved[number] = (counted[number], at_s)
            seen = self._ends[number]
            while seen and seen[0][1] <= counted[number]:
                seen.popleft()
            while seen and seen[-1][1] > end:  # the topic was made anew: nobody counts up to there
                seen.pop()
            if end > counted[number]:
                if len(seen) == _MAX_LOOKS:
                    seen.pop()
                seen.append((at_s, end))
                if at_s - self._moved[number][1] < _STUCK_S:
                    self.now_s = max(self.now_s, at_s - seen[0][0])


class Pacer:
    """Rests between pieces of work of a process, while posts wait to be counted.

    Args:
        clock: The present time.
        rested: Is told the seconds of every rest.
        spent_s: Tells the processor time that work has taken until now, in seconds.

    Attributes:
        delay: How long posts wait to be counted.
    """

    def __init__(
        self,
        clock: Clock,
        rested: Callable[[float], object],
        spent_s: Callable[[], float] = time.process_time,
    ) -> None:
        self.delay = CountingDelay()
        self._clock = clock
        self._rested = rested
        self._spent_s = spent_s
        self._before_s, self._began_s = spent_s(), clock.monotonic()
        self._turn = asyncio.Lock()

    async def rest(self) -> None:
        """Wait until work may begin again, by what was spent since it may have begun last.

        Who works beside each other takes turns here: several spend no more than one would.
        """
        async with self._turn:
            spent_s = self._spent_s() - self._before_s
            began_s = self._clock.monotonic()
            while True:
                left_s = self._began_s + spent_s * self._times() - self._clock.monotonic()
                if left_s <= 0:
                    break
                await self._clock.sleep(min(left_s, _NAP_S))
            if (rested_s := self._clock.monotonic() - began_s) > 0:
                self._rested(rested_s)
            self._before_s, self._began_s = self._spent_s(), self._clock.monotonic()

    def _times(self) -> float:
        return min(PATIENCE * self.delay.now_s, _MOST)
