"""How many real threads would be said to have turned, by the evidence from which that is said.

    python -m evaluation.crowds.live_turns --threads threads.json

The threads that `live_threads` wrote are taken in the order of their times, as the responder does.
Nobody has said which of them turned, so this is how often it speaks, not how often it is right.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from core.responder_settings import ResponderSettings
from evaluation.crowds.live_threads import LiveThread, in_order, read_threads
from evaluation.encoder.__main__ import refusing
from models.socialalign.live import LiveCrowd, SourceCrowds
from models.socialalign.turns import CrowdPath

LEAST: Final = (6.6, ResponderSettings().turn_evidence)
"""For events that are followed for a day, and as it is shipped; see docs/crowds.md."""
_CLASSES: Final = 3


def most_evidence(threads: Sequence[LiveThread]) -> dict[str, float]:
    """Return thread -> the most evidence of a turn after any of its answers.

    Args:
        threads: The threads; one without rated answers is left out.
    """
    source, crowds, found = SourceCrowds(_CLASSES), dict[str, LiveCrowd](), dict[str, float]()
    for is_begin, thread in in_order(threads):
        if not is_begin:
            source.learn(crowds[thread.name])
            continue
        crowd = crowds[thread.name] = LiveCrowd(source.start(thread.topic))
        for answer in thread.taken():
            if answer.label is not None:
                crowd.add(answer.name, answer.at_s, answer.label)
        path = CrowdPath(crowd)
        if len(path.evidence):
            found[thread.name] = float(path.evidence.max())
    return found


def main(
    threads: Annotated[Path, typer.Option(help="What live_threads wrote.")],
) -> None:
    """Count the threads that would be said to have turned."""
    with refusing():
        found = most_evidence(read_threads(threads))
    figures = {"threads": float(len(found))} | {
        f"turned_at_{least:g}": float(sum(most >= least for most in found.values()))
        for least in LEAST
    }
    sys.stdout.writelines(f"{name}: {value:g}\n" for name, value in figures.items())


if __name__ == "__main__":
    typer.run(main)
