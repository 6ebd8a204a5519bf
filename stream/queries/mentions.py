"""Whom a text mentions.

The automaton of a matcher finds the words of a handle wherever they stand; here is told whether
they are a mention, for the few texts in which they were found.
"""

from __future__ import annotations

import re
from typing import Final

from stream.queries.folding import UNSPACED_SCRIPTS

_MAX_HANDLE_CHARACTERS: Final = 256
# Words of scripts without spaces, and Korean particles, follow a handle directly: "@annさん".
_OTHER: Final = "".join(
    f"{chr(low)}-{chr(high)}" for low, high in (*UNSPACED_SCRIPTS, (0xAC00, 0xD7A3))
)
# Of any platform, as `stream.queries.lexer` reads them. Not inside a word: "bob@united.example".
_MENTION: Final = re.compile(rf"@(?<![^\W_]@)([^\W{_OTHER}]+(?:(?:[.:@]+|-)[^\W{_OTHER}]+)*|\w+)")
# An underscore on both sides is emphasis: "_@ann_".
_EMPHASISED: Final = re.compile(rf"(?<![^\s(*\"'“‘])_+(@[^\W{_OTHER}]+?)_+(?![.:@-]*[^\W{_OTHER}])")
_SIGN: Final = re.compile(r"[.:@]")


def mentioned(text: str) -> frozenset[str]:
    """Return the handles that a text mentions, in lower case and without ``@``.

    "@ann@social.example" is a mention of "ann" and "ann@social", too, and "@ann-lee" none of "ann".

    Args:
        text: folded, or plain ASCII, and without addresses.

    Example:
        >>> sorted(mentioned("hi @ann.example, bob@united.example"))
        ['ann', 'ann.example']
    """
    if "@" not in text:
        return frozenset()
    if "_@" in text:
        text = _EMPHASISED.sub(r" \1 ", text)
    found: set[str] = set()
    for handle in _MENTION.findall(text):
        handle = handle[:_MAX_HANDLE_CHARACTERS].lower()
        found.add(handle)
        if not handle.isalnum():
            found.update(handle[: sign.start()] for sign in _SIGN.finditer(handle))
    return frozenset(found)
