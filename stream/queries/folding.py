"""What counts as a word: folding of case and form, and the class of every code point.

Queries and posts go through the same steps, so both sides agree on what a word is:

1. `fold`: NFKC and case folding, so that "Ｆｌｏｏｄ", "FLOOD" and "flood" are one word; the two
   letters i of Turkish are one, whichever way a text was capitalised.
2. Each character is a *word* character (letters, digits, marks, ``_``), a *separator* (apostrophes
   of any kind too), *dropped* as if it were not there (joiners, variation selectors, skin tones,
   the line that stretches Arabic words, vowel points of Arabic, Hebrew and Syriac), or *unspaced*.
3. ``_`` at the edge of a word is emphasis, not part of it.

Unspaced characters belong to scripts written without spaces between words (Han, kana, Thai,
Lao, Khmer, Burmese ...) and to pictographs. Each is a word by itself, so a term of several of
them is a phrase of neighbours: in effect a substring search, which needs no dictionary. Only
characters that make up one picture together (flags, sequences with joiners) are one word.

All of it comes from the tables of Unicode that Python carries.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final
from unicodedata import category, name, normalize

import numpy as np
from numpy.typing import NDArray

SEPARATOR, WORD, UNSPACED, DROPPED = range(4)

# First and last code point of the scripts that put no space between words. Hangul is not among
# them (Korean has spaces), nor Tibetan (its syllable mark separates).
UNSPACED_SCRIPTS: Final = (
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
# The tags of a flag such as Scotland's, moved by `fold` to where nothing is dropped.
_KEPT_TAGS = slice(0xF0020, 0xF0080)
_TAG_SHIFT = 0x10000
_CLASSIFIED_ONE_BY_ONE = 0x20000
_CODE_POINTS = 0x110000

# Marks that change how the character before them looks, never which word it is; and the fillers
# of Hangul and Khmer, which look like nothing. Of accents only what NFKC leaves: the dot of the
# Turkish I, stress marks of Cyrillic, a spacing accent in place of an apostrophe, and lines
# through letters.
_DROPPED_POINTS = frozenset(
    [0x0300, 0x0301, 0x0307, 0x0313, *range(0x0335, 0x0339), 0x034F, 0x0640, 0x07FA, 0x115F, 0x1160,
     0x17B4, 0x17B5, *range(0x180B, 0x180E), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0,
     *range(0x1F3FB, 0x1F400)]
)  # fmt: skip
_POINTED_SCRIPTS = ("ARABIC ", "HEBREW ", "SYRIAC ")
# Letters by their category, apostrophes by their use; and the blank that is a braille pattern.
_SEPARATING_POINTS = frozenset(
    [0x02B9, 0x02BB, 0x02BC, 0x02BD, 0x02BE, 0x02BF, 0x02C8, 0x02CA, 0x02CB, 0x02EE,
     0x07F4, 0x07F5, 0x2800, 0xA78B, 0xA78C]
)  # fmt: skip
JOINER = "\u200d"
END_OF_TAGS = "\U000e007f"
_GENDER = re.compile("\u200d[\u2640\u2642]\ufe0f?")
_TAGGED_FLAG = re.compile("(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f")
_REGIONAL_A = np.uint32(0x1F1E6)
_REGIONAL_COUNT = np.uint32(26)
_NO_PLACES = np.zeros(0, dtype=np.intp)
_BLACK_FLAG = 0x1F3F4


def fold_form(text: str) -> str:
    """Return `text` in NFKC and case folded, as handles are compared (`core.authors` does too)."""
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text).casefold())


def fold(text: str) -> str:
    """Return `text` in the form in which words are compared.

    Beyond `fold_form` the two letters i of Turkish are one, the gender of a pictograph goes as its
    skin tone does, and the tags of a flag are kept.

    Example:
        >>> fold("Ｓtraße №5 IŞIK ışık")
        'strasse no5 işik işik'
    """
    if text.isascii():
        return text.lower()
    return refine(fold_form(text)).replace("\u0131", "i")


def refine(folded: str) -> str:
    """Return what `fold_form` has made of a text as pictographs are compared."""
    if JOINER in folded:
        folded = _GENDER.sub("", folded)
    if END_OF_TAGS in folded:
        folded = _TAGGED_FLAG.sub(_keep_tags, folded)
    return folded


def _keep_tags(tags: re.Match[str]) -> str:
    return "".join(chr(ord(tag) + _TAG_SHIFT) for tag in tags.group()[:-1])


def _classify(point: int) -> int:
    if point in _DROPPED_POINTS:
        return DROPPED
    if point in _SEPARATING_POINTS:
        return SEPARATOR
    character = chr(point)
    kind = category(character)
    if kind in ("Cf", "Me"):
        return DROPPED
    if kind == "Mn" and name(character, "").startswith(_POINTED_SCRIPTS):
        return DROPPED
    # Unassigned: most likely a pictograph or script newer than this Python's tables.
    if kind in ("So", "Cn"):
        return UNSPACED
    if kind[0] in "LNM" or kind == "Pc":
        in_unspaced_script = any(low <= point <= high for low, high in UNSPACED_SCRIPTS)
        return UNSPACED if in_unspaced_script else WORD
    return SEPARATOR


@cache
def character_classes() -> NDArray[np.uint8]:
    """Return the class of every code point, indexed by code point, shape (0x110000,).

    Built once in a process (some 40 ms); the caller must not write to it.
    """
    classes = np.full(_CODE_POINTS, SEPARATOR, dtype=np.uint8)
    classes[:_CLASSIFIED_ONE_BY_ONE] = [_classify(p) for p in range(_CLASSIFIED_ONE_BY_ONE)]
    classes[_HAN_PLANES] = UNSPACED
    classes[_TAGS] = DROPPED
    classes[_KEPT_TAGS] = UNSPACED
    classes.flags.writeable = False
    return classes


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of `text`.

    A lone surrogate is no valid text, but no reason to stop the stream either.
    """
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def pictures_going_on(text: str, points: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return the places of characters that belong to the picture that begins before them.

    Regional indicators are flags in pairs, counted from the start of their run; pictographs with a
    joiner between are one picture; tags belong to their flag. The cost is that of one look at each
    code point.

    Args:
        text: folded.
        points: its code points.
    """
    found = [_NO_PLACES]
    highest = int(points.max(initial=0))
    if highest >= _REGIONAL_A:
        flags = np.flatnonzero((points - _REGIONAL_A) < _REGIONAL_COUNT)
        is_start = np.diff(flags, prepend=-2) != 1
        starts = np.maximum.accumulate(np.where(is_start, flags, 0))
        found.append(flags[(flags - starts) % 2 == 1])
    if highest >= _KEPT_TAGS.start:
        is_tag = (points >= _KEPT_TAGS.start) & (points < _KEPT_TAGS.stop)
        is_tagged = is_tag | (points == _BLACK_FLAG)
        found.append(np.flatnonzero(is_tag[1:] & is_tagged[:-1]) + 1)
    if JOINER in text:
        found.append(_behind_joiners(points))
    return np.concatenate(found)


def _behind_joiners(points: NDArray[np.uint32]) -> NDArray[np.intp]:
    joiners = np.flatnonzero(points[:-1] == ord(JOINER))
    before = np.maximum(joiners - 1, 0)
    # A picture may have a skin tone and a variation selector.
    for _ in range(2):
        is_dropped = character_classes()[points[before]] == DROPPED
        before = np.maximum(before - is_dropped, 0)
    after = joiners + 1
    return after[_are_pictures(points[before]) & _are_pictures(points[after])]


def _are_pictures(points: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Tell which code points are pictographs; skin tones and the like are none by themselves."""
    in_blocks = ((points >= 0x2190) & (points < 0x2C00)) | (
        (points >= 0x1F000) & (points < 0x20000)
    )
    return in_blocks & (character_classes()[points] == UNSPACED)


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of `text`, folded, in order; empty when it holds none.

    Example:
        >>> split_words("U.S. don't, №5! _so_")
        ('u', 's', 'don', 't', 'no5', 'so')
        >>> split_words("新iPhone発売")
        ('新', 'iphone', '発', '売')
    """
    folded = fold(text)
    points = code_points(folded)
    kinds = character_classes()[points].tolist()
    going_on = set(pictures_going_on(folded, points).tolist())
    words: list[str] = []
    last = SEPARATOR
    for place, (character, kind) in enumerate(zip(folded, kinds, strict=True)):
        if kind == DROPPED:
            continue
        if place in going_on or (kind == WORD and last == WORD):
            words[-1] += character
        elif kind != SEPARATOR:
            words.append(character)
        last = kind
    return tuple(filter(None, (word.strip("_") for word in words)))


def is_unspaced(word: str) -> bool:
    """Return True when `word`, as made by `split_words`, is one unspaced character."""
    return len(word) == 1 and character_classes()[ord(word)] == UNSPACED
