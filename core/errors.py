"""The error tree. What a caller may do is decided by the class, never by the message.

::

    GroundswellError
    ├── ConfigError            wrong settings, query or file: say what was expected, exit 2
    ├── DecodeError            a message that cannot be used: dead record, count, go on
    ├── ScorerRefused          the scorer answers but will not take this batch: halve it
    ├── TransientError         try again with back-off; nothing is lost while we wait
    │   ├── AlertmanagerUnavailable
    │   ├── BrokerUnavailable
    │   ├── ScorerUnavailable
    │   │   ├── InvalidAnswer  it answers, and not with scores of what was asked
    │   │   └── ScorerTimedOut it has not answered in time: ask for less at once
    │   ├── StateUnreadable    stored state that nobody can read: its partition waits for a repair
    │   └── StoreUnavailable
    └── FatalError             our own state is wrong: stop loudly, never guess
        ├── CursorConflict     the store's cursor is not the one this writer expected
        └── IncrementRefused   a batch would add what is no integer
"""

from __future__ import annotations


class GroundswellError(Exception):
    """Base of every error raised on purpose by this project."""


class ConfigError(GroundswellError):
    """A setting, query or input file is wrong.

    The message names the key, the value that was given and what was expected.
    """


class DecodeError(GroundswellError):
    """A message cannot become a record.

    Attributes:
        reason: A code from `core.reasons`, used as the reason of a dead record and metric label.
        detail: What was found and what was expected; never text of a post.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ScorerRefused(GroundswellError):
    """The scorer is up but refuses this batch; the caller halves it to find the post at fault."""


class TransientError(GroundswellError):
    """Something outside is away for now; the caller waits with jitter and tries again."""


class AlertmanagerUnavailable(TransientError):
    """No Alertmanager takes our alerts."""


class BrokerUnavailable(TransientError):
    """Kafka does not answer or did not acknowledge in time."""


class ScorerUnavailable(TransientError):
    """The inference server is down, slow beyond its deadline, or its queue is full."""


class InvalidAnswer(ScorerUnavailable):
    """The scorer's answer as a whole cannot be used: rows, labels, types, outputs or version.

    Not the fault of a post: halving the batch would make dead records of posts that are well.
    """


class ScorerTimedOut(ScorerUnavailable):
    """The scorer has not answered a batch in time; it has been told that nobody waits any more."""


class StoreUnavailable(TransientError):
    """Redis does not answer, is loading, or refuses writes."""


class StoreWentBack(StoreUnavailable):
    """Redis has less than it had acknowledged; whoever relies on it must read it anew."""


class StateUnreadable(TransientError):
    """Something that is stored cannot be read, and nothing can be done about its partition.

    Attributes:
        key: The key in Redis; with a field of a hash after a blank.
    """

    def __init__(self, partition: int, key: str, found: str, expected: str) -> None:
        super().__init__(
            f"{key} holds {found}, expected {expected}: partition {partition} waits for "
            f"`groundswell windows repair --partition {partition}`"
        )
        self.partition = partition
        self.key = key


class FatalError(GroundswellError):
    """Our own state contradicts itself; carrying on would corrupt windows."""


class CursorConflict(FatalError):
    """Another writer moved the cursor of a partition.

    Not fatal to the process: the owner seeks to the stored cursor and goes on from there. It is
    fatal to the batch, which must be thrown away.

    Attributes:
        expected: The cursor that this writer believed to be stored.
        stored: The cursor that is stored.
    """

    def __init__(self, partition: int, topic: str, expected: int, stored: int) -> None:
        super().__init__(
            f"cursor of {topic}[{partition}] is {stored}, this writer expected {expected}"
        )
        self.partition = partition
        self.topic = topic
        self.expected = expected
        self.stored = stored


class IncrementRefused(FatalError):
    """A batch would add what is no integer within 2^53, which is a defect of ours.

    Nothing was written. The worker ends with it: the same batch would be refused for ever.
    """

    def __init__(self, partition: int, where: str, found: str) -> None:
        super().__init__(
            f"partition {partition}: {where} is {found}, expected an integer within 2^53"
        )
