"""The kinds of faults, and what a person asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import ConfigError
from core.suggest import did_you_mean

How = Literal["kill", "stop", "empty", "full", "slow", "cut", "drip", "answers", "rubbish"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        part: What is hit: worker, ingest, closer, forecaster, responder, kafka, redis, scorer.
        how: What is done to it.
        what: A line for people.
    """

    part: str
    how: How
    what: str


FAULTS: Final[dict[str, Fault]] = {
    "worker-killed": Fault("worker", "kill", "SIGKILL to a worker"),
    "worker-stopped": Fault("worker", "stop", "SIGSTOP beyond the session time-out, then SIGCONT"),
    "ingest-killed": Fault("ingest", "kill", "SIGKILL to ingest"),
    "ingest-stopped": Fault("ingest", "stop", "SIGSTOP of ingest, then SIGCONT"),
    "closer-killed": Fault("closer", "kill", "SIGKILL to the closer"),
    "closer-stopped": Fault("closer", "stop", "SIGSTOP beyond the session time-out, then SIGCONT"),
    "forecaster-killed": Fault("forecaster", "kill", "SIGKILL to the forecaster"),
    "responder-killed": Fault("responder", "kill", "SIGKILL to the responder"),
    "broker-killed": Fault("kafka", "kill", "SIGKILL to the broker"),
    "broker-stopped": Fault("kafka", "stop", "SIGSTOP of the broker, then SIGCONT"),
    "broker-slow": Fault("kafka", "slow", "latency between everybody and the broker"),
    "broker-cut": Fault("kafka", "cut", "every connection to the broker cut, new ones refused"),
    "redis-killed": Fault("redis", "kill", "SIGKILL to Redis; it comes back with its log"),
    "redis-emptied": Fault("redis", "empty", "SIGKILL to Redis and its log removed"),
    "redis-stopped": Fault("redis", "stop", "SIGSTOP beyond the store's time-out, then SIGCONT"),
    "redis-full": Fault("redis", "full", "no room to write: a full disk, or maxmemory reached"),
    "redis-slow": Fault("redis", "slow", "latency between everybody and Redis"),
    "redis-rubbish": Fault("redis", "rubbish", "a pane, a contribution and a cursor overwritten"),
    "redis-cut": Fault("redis", "cut", "every connection to Redis cut, new ones refused"),
    "scorer-killed": Fault("scorer", "kill", "SIGKILL to the scorer"),
    "scorer-stopped": Fault("scorer", "stop", "SIGSTOP beyond the scorer's time-out, SIGCONT"),
    "scorer-slow": Fault("scorer", "slow", "latency between workers and scorer"),
    "scorer-cut": Fault("scorer", "cut", "every connection to the scorer cut, new ones refused"),
    "scorer-drip": Fault("scorer", "drip", "answers come byte by byte, beyond the time-out"),
    "scorer-errors": Fault("scorer", "answers", "the scorer answers with errors"),
    "scorer-nan": Fault("scorer", "answers", "NaN in a third of the rows"),
    "scorer-inf": Fault("scorer", "answers", "infinity in a third of the rows"),
    "scorer-minus-inf": Fault("scorer", "answers", "minus infinity in a third of the rows"),
    "scorer-huge": Fault("scorer", "answers", "1e30 in a third of the rows"),
    "scorer-negative": Fault("scorer", "answers", "-3 in a third of the rows"),
    "scorer-sum": Fault("scorer", "answers", "an exclusive head of zeros in a third of the rows"),
    "scorer-row-more": Fault("scorer", "answers", "a row too many"),
    "scorer-row-less": Fault("scorer", "answers", "a row too few"),
    "scorer-label-more": Fault("scorer", "answers", "a label too many"),
    "scorer-label-less": Fault("scorer", "answers", "a label too few"),
    "scorer-type": Fault("scorer", "answers", "integers instead of probabilities"),
    "scorer-version": Fault("scorer", "answers", "another version than the configuration says"),
    "scorer-empty": Fault("scorer", "answers", "empty tensors"),
}
"""Name on the command line -> kind."""

STAND_IN_ONLY: Final = frozenset(name for name, fault in FAULTS.items() if fault.how == "answers")
"""A real Triton cannot be told to answer with errors, or nonsense."""


def kinds_for(scorer: str) -> tuple[str, ...]:
    """Return the kinds that can be injected with this scorer."""
    return tuple(name for name in FAULTS if scorer == "fake" or name not in STAND_IN_ONLY)


def parse_faults(text: str, scorer: str) -> dict[str, int]:
    """Return kind -> least number of times, from `kind,kind:times,...`; "" means each once.

    Raises:
        ConfigError: A kind is unknown, or one that this scorer cannot have, or there is no number.

    Example:
        >>> parse_faults("redis-killed:2,ingest-killed", "fake")
        {'redis-killed': 2, 'ingest-killed': 1}
    """
    possible = kinds_for(scorer)
    wanted: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, times = entry.partition(":")
        if name not in FAULTS:
            raise ConfigError(f"unknown fault {name!r}{did_you_mean(name, FAULTS)}")
        if name not in possible:
            raise ConfigError(f"fault {name!r} needs --scorer fake")
        if colon and not (times.isdecimal() and int(times)):
            raise ConfigError(f"fault {entry!r}: expected KIND or KIND:TIMES")
        wanted[name] = wanted.get(name, 0) + (int(times) if colon else 1)
    return wanted or dict.fromkeys(possible, 1)


def never_fired(wanted: Mapping[str, int], fired: Iterable[str]) -> list[str]:
    """Return the kinds that were asked for more often than they fired, `kind (fired of asked)`."""
    counts: dict[str, int] = {}
    for name in fired:
        counts[name] = counts.get(name, 0) + 1
    return [
        f"{name} ({counts.get(name, 0)} of {times})"
        for name, times in wanted.items()
        if counts.get(name, 0) < times
    ]
