"""What is expected of a crowd before its first answer: the shares that its topic usually has.

An event's own text says little beyond its topic's average (measured: docs/crowds.md), so this is
the forecast that anything cleverer has to beat. A topic of which little is known leans on all
topics of the source; large events count for no more than `MOST_OF_EVENT` answers each.

Shapes: `C` classes of the label.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from models.socialalign.posterior import Floats, checked_shares

MOST_OF_EVENT: Final = 20.0
"""The answers that one event counts for at most: a crowd of thousands is one crowd."""
MOST_TOPICS: Final = 1_024
"""Topics that are kept of a source; the one that was longest without an event goes first."""
MOST_SUMMED: Final = 2.0**53
"""No sum of what was learnt is larger; of one that is, shares could not be told."""
_LEAN: Final = 20.0
"""The answers that the average of all topics counts for in the forecast of one."""


class UsualShares:
    """The usual shares of one source and kind of label, by topic. Not thread-safe.

    Args:
        classes: The number of labels.
    """

    def __init__(self, classes: int) -> None:
        self._all = np.ones(classes)
        self._topics: OrderedDict[str, Floats] = OrderedDict()
        self.dropped = 0

    def forecast(self, topic: str) -> Floats:
        """Return (C,) shares expected of an event of a topic, which need not be known."""
        overall = self._all / self._all.sum()
        of_topic = self._topics.get(topic)
        if of_topic is None:
            return checked_shares(overall)
        return checked_shares(of_topic + _LEAN * overall)

    def learn(self, topic: str, counts: Floats) -> None:
        """Take in an event that is over.

        Args:
            topic: Its topic.
            counts: (C,) how often each label was given.

        Raises:
            ValueError: A count is no count, or there are more or fewer of them than labels.
        """
        given = np.asarray(counts, np.float64)
        if given.shape != self._all.shape or not np.isfinite(given).all() or (given < 0).any():
            raise ValueError(f"counts {counts}: expected {len(self._all)}, none below zero")
        if not given.any():
            return
        taken = given * min(1.0, MOST_OF_EVENT / given.sum())
        self._all += taken
        self._topics[topic] = self._topics.pop(topic, np.zeros(len(given))) + taken
        if len(self._topics) > MOST_TOPICS:
            self._topics.popitem(last=False)
            self.dropped += 1

    def sums(self) -> dict[str, list[float]]:
        """Return what was learnt, by topic, the longest without an event first; all under ""."""
        return {"": self._all.tolist()} | {
            f":{topic}": shares.tolist() for topic, shares in self._topics.items()
        }

    def restore(self, sums: Mapping[str, Sequence[float]]) -> None:
        """Take up what `sums` gave.

        Raises:
            ValueError: It is not of these labels; nothing is changed.
        """
        found = {name: np.array(of, np.float64) for name, of in sums.items()}
        if "" not in found or any(
            one.shape != self._all.shape or not ((one >= 0) & (one <= MOST_SUMMED)).all()
            for one in found.values()
        ) or not found[""].all():  # fmt: skip
            raise ValueError("usual shares cannot be read")
        self._all = found.pop("")
        self._topics = OrderedDict((name.removeprefix(":"), one) for name, one in found.items())
