"""What an engine leaves on the machine when it has ended: rules of the firewall, bridges."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from core.errors import GroundswellError

_TIMEOUT_S: Final = 20.0


class TracesLeft(GroundswellError):
    """The machine's network could not be read or put back; the message says what."""


def tell(argv: Sequence[str]) -> str:
    """Run a command of the machine's network and return what it says.

    Raises:
        TracesLeft: It failed.
    """
    done = subprocess.run(  # noqa: S603 -- fixed programs
        list(argv), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise TracesLeft(f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")
    return done.stdout


@dataclass(frozen=True)
class Traces:
    """The machine's firewall and bridges at one moment.

    Attributes:
        rules: (table, line of `iptables-save`) in order; a chain is `:NAME POLICY`.
        bridges: Names of its bridges.
    """

    rules: tuple[tuple[str, str], ...]
    bridges: frozenset[str]

    @classmethod
    def of(cls, saved: str, links: str) -> Self:
        """Read the answers of `iptables-save` and `ip -o link show type bridge`."""
        rules, table = [], ""
        for line in saved.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                rules.append((table, " ".join(line.split()[:2])))
            elif line.startswith("-A "):
                rules.append((table, line))
        names = (line.split(": ")[1].partition("@")[0] for line in links.splitlines())
        return cls(tuple(rules), frozenset(names))

    @classmethod
    def now(cls, run: Callable[[Sequence[str]], str] = tell) -> Self:
        """Read what there is now."""
        bridges = run(("ip", "-o", "link", "show", "type", "bridge"))
        return cls.of(run(("iptables-save",)), bridges)

    def commands_back_from(self, later: Self) -> list[tuple[str, ...]]:
        """Return the commands that take away what came after this moment, and nothing else."""
        before = set(self.rules)
        came = [rule for rule in later.rules if rule not in before]
        chains = [(table, line[1:].split()) for table, line in came if line.startswith(":")]
        new = [(table, name) for table, (name, policy) in chains if policy == "-"]
        words = [("iptables", "-t", table, "-D", *shlex.split(line)[1:])
                 for table, line in came if line.startswith("-A ")]  # fmt: skip
        words += [("iptables", "-t", table, "-F", name) for table, name in new]
        words += [("iptables", "-t", table, "-X", name) for table, name in new]
        words += [("iptables", "-t", table, "-P", *line[1:].split())
                  for table, line in self.rules
                  if line.startswith(":") and not line.endswith(" -")
                  and (table, line) not in set(later.rules)]  # fmt: skip
        words += [("ip", "link", "delete", name) for name in sorted(later.bridges - self.bridges)]
        return words

    def put_back(self, run: Callable[[Sequence[str]], str] = tell) -> None:
        """Take away from the machine what came after this moment.

        Raises:
            TracesLeft: Something could not be taken away; all else was.
        """
        faults = []
        for words in self.commands_back_from(type(self).now(run)):
            try:
                run(words)
            except TracesLeft as error:
                faults.append(str(error))
        if faults:
            raise TracesLeft("; ".join(faults))
