"""What can go wrong on the fake Mastodon server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    """What goes wrong; every fault counts how often it was used in `FakeMastodon.used`.

    Attributes:
        refuse_streaming: (HTTP status, headers) of the next streaming requests.
        refuse_rest: the same of timelines.
        refusals: how many requests are refused; -1 means all.
        stall: streams stay open and say nothing, not even a heartbeat.
        half_event: streams end in the middle of the next event.
        wrong_json: the next event carries broken JSON.
        slow_bytes: streams send a few bytes at a time.
        drip: streams send the next event byte by byte and never come to its end.
        bomb: the next timeline unfolds to sixty megabytes.
    """

    refuse_streaming: tuple[int, dict[str, str]] | None = None
    refuse_rest: tuple[int, dict[str, str]] | None = None
    refusals: int = 1
    stall: bool = False
    half_event: bool = False
    wrong_json: bool = False
    slow_bytes: bool = False
    drip: bool = False
    bomb: bool = False
