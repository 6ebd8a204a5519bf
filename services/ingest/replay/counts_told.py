"""What a preview says of the counts in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.ingest.replay.counts import OF_ANOTHER
from services.ingest.replay.pending import NO_TIME
from services.ingest.replay.survey import Survey
from services.ingest.sources.replay.options import COUNT_FIELDS, ReplayOptions

_SHOWN_FAULTS: Final = 3
_WITHHELD: Final = {
    OF_ANOTHER: "repeat another post, whose counts theirs are",
    NO_TIME: "have counts and no time, nor has the file before them",
}


def described_counts(survey: Survey, options: ReplayOptions) -> str:
    """Return of how many posts counts are sent, which, and when."""
    rows, timed = survey.counted[""], survey.counts_timed
    kinds = ", ".join(f"{n} of {survey.counted[n]:,}" for n in COUNT_FIELDS if survey.counted[n])
    kinds += " rows" if survey.further else ""
    after = f"{_span(options.counts_after_s)} after the post"
    if options.speed:
        after += f", {_span(options.counts_after_s / options.speed)} at this speed"
    at = "at the times that rows give them"
    when = after if not timed else at if timed == rows else f"{at}, else {after}"
    return f"of {rows - survey.further:,} posts ({kinds}), sent {when}"


def count_faults(survey: Survey) -> Iterator[str]:
    """Yield a sentence for each reason why counts are not sent."""
    for kind, number in survey.count_faults.most_common(_SHOWN_FAULTS):
        yield f"{number:,} counts will not be sent, but their posts: {survey.count_examples[kind]}"
    others = len(survey.count_faults) - _SHOWN_FAULTS
    if others > 0:
        yield f"{others:,} further reasons why counts will not be sent"
    for why, number in sorted(survey.counts_withheld.items()):
        yield f"counts of {number:,} posts will not be sent: they {_WITHHELD[why]}"


def _span(seconds: float) -> str:
    """Return a time as people say it, "24 h"."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and not seconds % unit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:,.4g} s"
