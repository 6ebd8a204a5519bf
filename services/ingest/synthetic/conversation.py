"""The stream of items: posts and what follows them, in order of arrival, tick after tick.

Event time is cut into ticks. A tick's posts depend on the seed, the tick's number and the original
posts of a few ticks before; what they cause later (a late arrival, a duplicate, an edit) waits in a
heap. To go on at a tick, only the ticks before it that still reach into it are made again.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush
from typing import Final

from core.clock import epoch_ms
from core.schemas import Post
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.synthetic.authors import make_authors, make_pools
from services.ingest.synthetic.chance import poisson
from services.ingest.synthetic.engagement import SEEK_S, Engagement, make_followings
from services.ingest.synthetic.schedule import Moment, Schedule
from services.ingest.synthetic.utterances import Crowd, TickMaker, Utterance

TICK_POSTS: Final = 256
"""About so many posts are made at once."""
RECENT_S: Final = 10.0
_RECENT_PER_TICK: Final = 64


class Conversation:
    """Everything that is said in one run.

    Args:
        options: The options of the source, already checked.
        start: The beginning of event time, aware.
    """

    def __init__(self, options: SyntheticOptions, start: datetime) -> None:
        self._options = options
        self._start_ms = epoch_ms(start)
        self.schedule = Schedule(options, start)
        wanted_ms = TICK_POSTS / options.posts_per_s * 1000
        self.tick_ms = int(min(1000.0, max(10.0, wanted_ms)))
        authors = make_authors(options)
        names = [author.name for author in authors[:50]]
        self._crowd = Crowd(options, make_pools(authors), names)
        self._recent_ticks = math.ceil(RECENT_S * 1000 / self.tick_ms)
        self._followings = make_followings(options, authors) if options.engagement_share else {}
        follows_s = max(options.follow_up_max_s, options.life_s + SEEK_S if self._followings else 0)
        reach_s = follows_s + options.late_max_s + 1
        self._reach_ticks = math.ceil(reach_s * 1000 / self.tick_ms)
        self._last_tick = (
            math.ceil(options.duration_s * 1000 / self.tick_ms) if options.duration_s else None
        )

    def tick_start_ms(self, tick: int) -> int:
        """Return when a tick begins, milliseconds since 1970."""
        return self._start_ms + tick * self.tick_ms

    def ticks(self, first: int = 0) -> Iterator[tuple[int, list[Utterance]]]:
        """Yield (tick, what arrives in it, in order) from tick `first` to the end, if there is one.

        The first tick costs as much as the ticks that reach into it.
        """
        waiting: list[tuple[int, int, Utterance]] = []
        recent: deque[list[Post]] = deque(maxlen=self._recent_ticks)
        lives = Engagement(self._options, self._start_ms, self._followings)
        tick = max(0, first - self._reach_ticks - self._recent_ticks)
        made = self._posts_before(tick)
        first_ms = self.tick_start_ms(first)
        while True:
            left = self._options.posts - made if self._options.posts else None
            ended = (left is not None and left <= 0) or (
                self._last_tick is not None and tick >= self._last_tick
            )
            if ended and not waiting and not lives and tick >= first:
                return
            if not ended:
                made += self._make(tick, left, recent, waiting, lives)
            end_ms = self.tick_start_ms(tick + 1)
            for utterance in lives.due(end_ms):
                heappush(waiting, (utterance.arrival_ms, utterance.number, utterance))
            arrived: list[Utterance] = []
            while waiting and waiting[0][0] < end_ms:
                utterance = heappop(waiting)[2]
                if utterance.arrival_ms >= first_ms:
                    arrived.append(utterance)
            if tick >= first:
                yield tick, arrived
            tick += 1

    def _posts_before(self, tick: int) -> int:
        """Count the posts of earlier ticks; only a bound on posts needs it."""
        if not self._options.posts:
            return 0
        return sum(self._volume(earlier)[2] for earlier in range(tick))

    def _volume(self, tick: int) -> tuple[random.Random, Moment, int]:
        draws = random.Random(f"{self._options.seed}:{tick}")
        moment = self.schedule.at((tick + 0.5) * self.tick_ms / 1000)
        return draws, moment, poisson(draws, moment.posts_per_s * self.tick_ms / 1000)

    def _make(
        self,
        tick: int,
        left: int | None,
        recent: deque[list[Post]],
        waiting: list[tuple[int, int, Utterance]],
        lives: Engagement,
    ) -> int:
        """Make the posts of a tick and all they cause; return how many posts."""
        rng, moment, count = self._volume(tick)
        count = count if left is None else min(count, left)
        start_ms = self.tick_start_ms(tick)
        maker = TickMaker(self._crowd, tick, start_ms, self.tick_ms, rng.random, moment, recent)
        for said in maker.say(count):
            for utterance in lives.engage(said) if self._followings else said:
                heappush(waiting, (utterance.arrival_ms, utterance.number, utterance))
        recent.append(maker.originals[-_RECENT_PER_TICK:])
        return count
