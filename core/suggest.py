"""The nearest known name for a misspelt one, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known name, or "" when none is near.

    Example:
        >>> did_you_mean("pane_sec", ["pane_s", "idle_after_s"])
        " (did you mean 'pane_s'?)"
    """
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
