"""Overwrites stored state with what nobody can read, and repairs it as an operator would."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, cast

from core.errors import TransientError
from core.settings import Settings
from services.repair.run import Wanted, repair_now
from testkit.chaos.probes import NoAnswer, RedisLine

VALUES: Final = (
    "", "x", "\x03", "\x11", "[1, 2]", "{}", "1e3", "-", "NaN", "9" * 30, "\x00" * 40,
)  # fmt: skip
"""As text, so that the wire carries it as it is; none is a number, an array or a contribution."""
NOT_NUMBERS: Final = tuple(value for value in VALUES if not value.isdecimal())
TRIES: Final = 8


class Rubbish:
    """One injection: a pane, a contribution and a cursor, each of another partition.

    Args:
        port: Of Redis itself, past the proxy.
        settings: Of the stack; the repair goes through the proxy, as everybody does.
        seed: Decides what is hit and with what.
        say: Takes a line for people.
    """

    def __init__(
        self, port: int, settings: Settings, seed: int, say: Callable[[str], None]
    ) -> None:
        self._port = port
        self._settings = settings
        self._random = random.Random(seed)
        self._say = say
        self.unreadable: set[int] = set()

    def spread(self) -> None:
        """Overwrite; what is not there yet is left out."""
        line = RedisLine(self._port)
        try:
            partitions = list(range(self._settings.kafka.partitions))
            self._random.shuffle(partitions)
            self._spoil_pane(line, partitions[0])
            self._spoil_contribution(line, partitions[1 % len(partitions)])
            self._spoil_cursor(line, partitions[2 % len(partitions)])
        except NoAnswer:
            return  # Redis died meanwhile: another fault is on top
        finally:
            line.close()

    def _spoil_pane(self, line: RedisLine, partition: int) -> None:
        starts = cast("list[bytes]", line.ask("ZRANGE", f"{{{partition}}}:starts", 0, -1))
        if not starts:
            return
        key = f"{{{partition}}}:pane:{self._random.choice(starts).decode()}"
        if self._random.random() < 0.5:
            line.ask("DEL", key)
            line.ask("LPUSH", key, "x")
            self._say(f"    overwritten: {key} by a list")
        else:
            value = self._random.choice(VALUES)
            line.ask("HSET", key, "all", value)
            self._say(f"    overwritten: {key} all by {value!r}")

    def _spoil_contribution(self, line: RedisLine, partition: int) -> None:
        found = cast("list[bytes]", line.ask("KEYS", f"{{{partition}}}:kept:[0-9]*"))
        if found:
            key = self._random.choice(sorted(found)).decode()
            line.ask("DEL", key)
            line.ask("SET", key, self._random.choice(VALUES))
            self._say(f"    overwritten: {key} by a string")

    def _spoil_cursor(self, line: RedisLine, partition: int) -> None:
        key = f"{{{partition}}}:cursor"
        if line.ask("EXISTS", key):
            field = self._random.choice(("posts", "watermark", "counted"))
            value = self._random.choice(NOT_NUMBERS)
            line.ask("HSET", key, field, value)
            self.unreadable.add(partition)
            self._say(f"    overwritten: {key} {field} by {value!r}")

    def repair(self) -> None:
        """Run the command: over everything, then over each partition that must be counted again."""
        wanted = [Wanted(), *(Wanted(partition) for partition in sorted(self.unreadable))]
        for one in wanted:
            for _ in range(TRIES):
                try:
                    found = repair_now(self._settings, one)
                except TransientError as error:
                    self._say(f"    repair waits: {error}")
                    continue
                for sentence in found.done:
                    self._say(f"    repaired: {sentence}")
                break
