"""What was given to Kafka and is not yet acknowledged, in the order of the source.

Kafka acknowledges partitions out of order; the outbox lets go only from its head, so the cursor
it reports is the highest one with nothing unacknowledged before it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.ingest.sources.base import Cursor
from services.kafka_client.messages import Acknowledgement, Producer


class _NothingSent:
    """The acknowledgement of a letter that only moves the cursor."""

    is_done = True

    def failed(self) -> bool:
        """Tell that nothing can go wrong with it."""
        return False


_NOTHING_SENT: Final = _NothingSent()


class Letter(Struct):
    """One record on its way.

    Attributes:
        topic: where it goes; "" if nothing is sent and only the cursor moves.
        cursor: of the source, after the item that this record carries; the very object of the
            letter before if the item does not move it.
        tally: field of `Totals` that counts it once acknowledged.
        acknowledgement: None until it was given to the producer.
    """

    topic: str
    key: bytes
    value: bytes
    cursor: Cursor
    tally: str
    acknowledgement: Acknowledgement | None = None


class Outbox:
    """Bounded by its user, who asks `is_full` before taking more from the source.

    Args:
        producer: where letters go.
        max_posts: letters held at most.
        max_bytes: bytes of their values at most (exceeded by one poll of the source at most).
    """

    def __init__(self, producer: Producer, max_posts: int, max_bytes: int) -> None:
        self._producer = producer
        self._max_posts = max_posts
        self._max_bytes = max_bytes
        self._letters: deque[Letter] = deque()
        self._unsent: deque[Letter] = deque()
        self._held_bytes = 0
        self.cursor: Cursor | None = None
        self.acknowledged: Counter[str] = Counter()
        self._after_cursor: list[str] = []

    def __len__(self) -> int:
        """Return how many letters are unacknowledged."""
        return len(self._letters)

    @property
    def settled(self) -> Counter[str]:
        """`acknowledged` up to `cursor`: what comes after it comes again after a crash."""
        return self.acknowledged - Counter(self._after_cursor)

    @property
    def held_bytes(self) -> int:
        """Bytes of the values held."""
        return self._held_bytes

    @property
    def is_full(self) -> bool:
        """True while no more should be taken from the source."""
        return len(self._letters) >= self._max_posts or self._held_bytes >= self._max_bytes

    def room(self, largest_bytes: int) -> int:
        """Return how many letters of up to `largest_bytes` still fit, 0 if full."""
        if self.is_full:
            return 0
        left = (self._max_bytes - self._held_bytes) // max(1, largest_bytes)
        return max(1, min(self._max_posts - len(self._letters), left))

    def add(self, letters: Sequence[Letter]) -> None:
        """Take letters; `transmit` sends them."""
        self._letters.extend(letters)
        self._unsent.extend(letters)
        self._held_bytes += sum(len(letter.value) for letter in letters)

    def transmit(self) -> None:
        """Give to the producer what was not given yet, in order.

        Raises:
            BrokerUnavailable, FatalError: as `Producer.send`; what was not sent stays.
        """
        unsent, send = self._unsent, self._producer.send
        while unsent:
            letter = unsent[0]
            if letter.topic:
                letter.acknowledgement = send(letter.topic, letter.key, letter.value)
            else:
                letter.acknowledgement = _NOTHING_SENT
            unsent.popleft()

    def collect(self) -> int:
        """Let go of what Kafka acknowledged, from the head; move `cursor` and `acknowledged`.

        Returns:
            How many letters were let go.

        Raises:
            BrokerUnavailable: a letter failed; `start_over` on a fresh connection.
            DecodeError: the broker will never take the letter at the head; `replace_head`.
            FatalError: the broker refuses this client.
        """
        letters, tallies = self._letters, self.acknowledged
        gone = 0
        while letters:
            letter = letters[0]
            answer = letter.acknowledgement
            if answer is None or not answer.is_done:
                break
            if answer.failed():
                raise self._producer.failure(answer)
            letters.popleft()
            self._held_bytes -= len(letter.value)
            tallies[letter.tally] += 1
            if letter.cursor is self.cursor:
                self._after_cursor.append(letter.tally)
            else:
                self.cursor = letter.cursor
                self._after_cursor.clear()
            gone += 1
        return gone

    def replace_head(self, letter: Letter) -> None:
        """Put another letter in the place of the one that Kafka will never take."""
        refused = self._letters.popleft()
        self._held_bytes += len(letter.value) - len(refused.value)
        self._letters.appendleft(letter)
        letter.acknowledgement = self._producer.send(letter.topic, letter.key, letter.value)

    @property
    def head(self) -> Letter:
        """The oldest unacknowledged letter; there must be one."""
        return self._letters[0]

    def start_over(self) -> None:
        """Forget every answer: the next `transmit` sends all that is held, in order, again."""
        for letter in self._letters:
            letter.acknowledgement = None
        self._unsent = deque(self._letters)
