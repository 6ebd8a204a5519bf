"""What counts as a word: folding of case and form, and the class of every code point.

Queries and posts go through the same two steps, so both sides agree on what a word is:

1. `fold`: NFKC and case folding, so that "Ｆｌｏｏｄ", "FLOOD" and "flood" are one word.
2. Each character is a *word* character (letters, digits, marks, ``_``), a *separator*, *dropped*
   as if it were not there (joiners, variation selectors, skin tones), or *unspaced*.

Unspaced characters belong to scripts written without spaces between words (Han, kana, Thai,
Lao, Khmer, Burmese ...) and to pictographs. Each is a word by itself, so a term of several of
them is a phrase of neighbours: in effect a substring search, which needs no dictionary.
"""

from __future__ import annotations

from functools import cache
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

SEPARATOR, WORD, UNSPACED, DROPPED = range(4)

# First and last code point of the scripts that put no space between words. Hangul is not among
# them (Korean has spaces), nor Tibetan (its syllable mark separates).
_UNSPACED_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
    (0xF900, 0xFAFF),  # Han
    (0x1AFF0, 0x1B16F),  # kana extensions
)
_HAN_PLANES = slice(0x20000, 0x40000)
_TAGS = slice(0xE0000, 0xE1000)
_CLASSIFIED_ONE_BY_ONE = 0x20000
_CODE_POINTS = 0x110000

# Marks that change how the character before them looks, never which word it is.
_DROPPED_POINTS = frozenset(
    [0x034F, *range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400)]
)


def fold(text: str) -> str:
    """Return `text` in the form in which words are compared: case folded, in NFKC.

    Example:
        >>> fold("Ｓtraße №5")
        'strasse no5'
    """
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text).casefold())


def _classify(point: int) -> int:
    if point in _DROPPED_POINTS:
        return DROPPED
    kind = category(chr(point))
    if kind in ("Cf", "Me"):
        return DROPPED
    # Unassigned: most likely a pictograph or script newer than this Python's tables.
    if kind in ("So", "Cn"):
        return UNSPACED
    if kind[0] in "LNM" or kind == "Pc":
        in_unspaced_script = any(low <= point <= high for low, high in _UNSPACED_SCRIPTS)
        return UNSPACED if in_unspaced_script else WORD
    return SEPARATOR


@cache
def character_classes() -> NDArray[np.uint8]:
    """Return the class of every code point, indexed by code point, shape (0x110000,).

    Built once in a process (some 30 ms); the caller must not write to it.
    """
    classes = np.full(_CODE_POINTS, SEPARATOR, dtype=np.uint8)
    classes[:_CLASSIFIED_ONE_BY_ONE] = [_classify(p) for p in range(_CLASSIFIED_ONE_BY_ONE)]
    classes[_HAN_PLANES] = UNSPACED
    classes[_TAGS] = DROPPED
    classes.flags.writeable = False
    return classes


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of `text`, folded, in order; empty when it holds none.

    Example:
        >>> split_words("U.S. don't, №5!")
        ('u', 's', 'don', 't', 'no5')
        >>> split_words("新iPhone発売")
        ('新', 'iphone', '発', '売')
    """
    classes = character_classes()
    words: list[str] = []
    run = ""
    for character in fold(text):
        kind = classes[ord(character)]
        if kind == WORD:
            run += character
        elif kind != DROPPED:
            if run:
                words.append(run)
                run = ""
            if kind == UNSPACED:
                words.append(character)
    if run:
        words.append(run)
    return tuple(words)


def is_unspaced(word: str) -> bool:
    """Return True when `word`, as made by `split_words`, is one unspaced character."""
    return len(word) == 1 and character_classes()[ord(word)] == UNSPACED
