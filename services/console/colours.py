"""The colours of classes as rules of style, so that pages and reports share the one table."""

from __future__ import annotations

from core.colours import CLASSES
from core.heads import SPECS, HeadKind


def class_colours() -> str:
    """Return rules for what is drawn of a class: `.part.HEAD-CLASS`, and `var(--HEAD-CLASS)`."""
    named = {
        f"{head}-{name}": colour
        for head, classes in CLASSES.items()
        # A ramp of levels ends too bright for paper; there all levels have one colour.
        if SPECS[head].kind is not HeadKind.ORDERED
        for name, colour in classes.items()
    }
    values = " ".join(f"--{name}: {colour};" for name, colour in named.items())
    rules = "\n".join(f".part.{name} {{ fill: var(--{name}); }}" for name in named)
    return f":root {{ {values} }}\n{rules}\n"
