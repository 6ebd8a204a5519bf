"""Reading panes: summed over partitions, without the windows of which something cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stream.store import keys
from stream.store.client import answers, ask_fields, by_field, is_wrong_value
from stream.store.quarantine import (
    EVERY,
    Missing,
    SetAside,
    counters_of,
    missing_of,
    read_entry,
    strata_of,
)
from stream.windows.layout import add_into
from stream.windows.records import HEARTBEAT_QUERY, PaneSum

_AT_ONCE: Final = 1_000
"""Shares of panes between two turns of others on the event loop."""
_MOST_AUTHORS: Final = 2**32
"""Of one pane: the count is kept beside the registers, and may be anything."""
_HEARTBEAT: Final = HEARTBEAT_QUERY.encode()
_WRONGTYPE: Final = "a key of another type (WRONGTYPE), expected a hash"


@dataclass(slots=True)
class PanesRead:
    """What a look at panes gives.

    Attributes:
        panes: Start (s) -> query -> the sum over the partitions.
        missing: The windows that are left out, since a share of them is not known.
    """

    panes: dict[int, dict[str, PaneSum]]
    missing: list[Missing] = field(default_factory=list[Missing])

    def leave_out(self) -> None:
        """Take the windows that are missing out of the panes."""
        for one in self.missing:
            for start_s in self.panes if one.start_s is None else (one.start_s,):
                if one.query == EVERY:
                    self.panes[start_s] = {}
                else:
                    self.panes.get(start_s, {}).pop(one.query, None)


async def read_quarantine(client: Any, partitions: Sequence[int]) -> list[SetAside]:
    """Return what is set aside of the partitions; a register of another type is an entry itself.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    pipe = client.pipeline(transaction=False)
    for partition in partitions:
        pipe.hgetall(keys.quarantine(partition))
    found: list[SetAside] = []
    for partition, stored in zip(partitions, await answers(pipe), strict=True):
        entries = {b"": b""} if is_wrong_value(stored) else stored
        found.extend(read_entry(partition, name, value) for name, value in sorted(entries.items()))
    return found


async def read_panes(
    client: Any,
    partitions: Sequence[int],
    starts: Sequence[int],
    queries: Sequence[str] | None = None,
) -> PanesRead:
    """Return panes, in four round trips; more where the authors of thousands are counted.

    Every reader of panes reads here, so heartbeats are left out here: nobody is shown them.

    Args:
        client: The connection to Redis.
        partitions: The partitions to sum.
        starts: The starts of the panes, seconds since 1970.
        queries: Only these are fetched and decoded; None means every query.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    before = await read_quarantine(client, partitions)
    read = PanesRead({start_s: {} for start_s in starts})
    owners = await _add_shares(client, read, partitions, queries)
    await _add_authors(client, read, owners)
    # Again: what was set aside meanwhile is missing, and what was repaired meanwhile was so before.
    after = await read_quarantine(client, partitions)
    asides = missing_of([*before, *(one for one in after if one not in before)])
    wanted = read.panes.keys()
    read.missing += [one for one in asides if one.start_s is None or one.start_s in wanted]
    read.leave_out()
    return read


async def _add_shares(
    client: Any, read: PanesRead, partitions: Sequence[int], queries: Sequence[str] | None
) -> list[tuple[int, int, str]]:
    """Add the shares of all partitions; return partition, start (s) and query of each."""
    asked = [(start_s, partition) for start_s in read.panes for partition in partitions]
    pipe = client.pipeline(transaction=False)
    for start_s, partition in asked:
        ask_fields(pipe, keys.pane(partition, start_s), queries)
        ask_fields(pipe, keys.strata(partition, start_s), queries)
    found = [by_field(one, queries) for one in await answers(pipe)]
    owners: list[tuple[int, int, str]] = []
    decoded = 0
    for place, counters, strata in zip(asked, found[::2], found[1::2], strict=True):
        if is_wrong_value(counters) or is_wrong_value(strata):
            raw = (EVERY.encode(), b"", b"")
            read.missing.append(Missing(place[1], place[0], EVERY, _WRONGTYPE, raw))
            continue
        for raw_query in sorted({*counters, *strata} - {_HEARTBEAT}):
            raw = (raw_query, counters.get(raw_query, b""), strata.get(raw_query, b""))
            query = raw_query.decode(errors="backslashreplace")
            if _add_share(read, place, query, raw):
                owners.append((place[1], place[0], query))
            decoded += 1
            if decoded % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others' turn: of thousands of queries this takes a while
    return owners


def _add_share(
    read: PanesRead, place: tuple[int, int], query: str, raw: tuple[bytes, bytes, bytes]
) -> bool:
    """Add the share of a partition; False if it cannot be read, and is noted as missing."""
    start_s, partition = place
    try:
        _, packed, of_strata = raw
        if not packed:
            raise ValueError("strata without counters")
        counters, strata = counters_of(packed), strata_of(of_strata) if of_strata else {}
    except ValueError as error:
        why = f"{error}, expected integers within 2^53"
        read.missing.append(Missing(partition, start_s, query, why, raw))
        return False
    into = read.panes[start_s].setdefault(query, PaneSum())
    add_into(into.counters, counters)
    for name, values in strata.items():
        add_into(into.strata.setdefault(name, []), values)
    return True


async def _add_authors(
    client: Any, read: PanesRead, listed: Sequence[tuple[int, int, str]]
) -> None:
    for at in range(0, len(listed), _AT_ONCE):
        some = listed[at : at + _AT_ONCE]
        pipe = client.pipeline(transaction=False)
        for partition, start_s, query in some:
            # In words: a cluster's pipeline has no method for it, as it may be of many slots.
            pipe.execute_command("PFCOUNT", keys.authors(partition, start_s, query))
        for (partition, start_s, query), count in zip(some, await answers(pipe), strict=True):
            if is_wrong_value(count) or int(count) > _MOST_AUTHORS:
                why = "no HyperLogLog of authors (WRONGTYPE or a count beyond 2^32)"
                raw = (query.encode(), b"", b"")
                read.missing.append(Missing(partition, start_s, query, why, raw))
            else:
                read.panes[start_s][query].authors += int(count)
