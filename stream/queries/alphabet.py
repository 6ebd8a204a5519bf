"""Turns a batch of texts into one byte string in which whole words can be found by substring.

Letters, B is the number of texts:

- The *codes* of a batch: one small integer per character. Only characters that occur in a
  pattern have a code of their own; every other word character shares one code, every separator
  another. One table lookup over the batch so does case folding of ASCII, the word boundaries
  and the shrinking of 1.1 million code points to a byte.
- Every word stands between single separators, so the pattern " flood " is the whole word and
  " flood relief " the phrase, whatever punctuation was between them. `TEXT` divides the texts,
  so no phrase reaches from one text into the next.
- Patterns of more than 250 distinct characters (queries in Chinese or Japanese) take two bytes
  a character; a hit at an odd byte is then no hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.queries.folding import (
    DROPPED,
    SEPARATOR,
    UNSPACED,
    WORD,
    character_classes,
    code_points,
    is_unspaced,
    pictures_going_on,
)
from stream.queries.parts import PLACEHOLDER

Codes: TypeAlias = NDArray[np.unsignedinteger[Any]]
Places: TypeAlias = NDArray[np.int64]

# The order is used: codes from FIRST_WORD on belong to words, and HASH - GAP is the sigil number
# of `EncodedTexts.sigils`.
TEXT, GAP, HASH, DROP, UNDERSCORE, APART = range(6)
FIRST_WORD = UNDERSCORE
_DIVIDER = " \x00 "
_ASCII_TABLE_SIZE = 256


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """A batch in the alphabet of a matcher.

    Attributes:
        haystack: the codes of all texts, `width` bytes each, words between single gaps.
        sigils: per code, for the gap before a word: 0 nothing, 1 ``#``; anything elsewhere.
        marks: (B + 1,) positions of the `TEXT` codes, ascending; text i lies between
            marks[i] and marks[i + 1].
    """

    haystack: bytes
    sigils: NDArray[Any]
    marks: NDArray[np.intp]


class Alphabet:
    """The codes of the characters that occur in a set of patterns."""

    def __init__(self, words: Iterable[str]) -> None:
        """Give every character of `words` (as made by `split_words`) a code."""
        characters = {character for word in words for character in word}
        unspaced = sorted(filter(is_unspaced, characters))
        spaced = sorted(characters.difference(unspaced, "_"))
        other_spaced = APART + 1
        self._first_unspaced = other_spaced + 1 + len(spaced)
        size = self._first_unspaced + 1 + len(unspaced)
        self.width = 1 if size <= _ASCII_TABLE_SIZE else 2
        self._dtype = np.dtype(np.uint8 if self.width == 1 else "<u2")
        self._code_of = {"_": UNDERSCORE}
        self._code_of |= {c: other_spaced + 1 + i for i, c in enumerate(spaced)}
        self._code_of |= {c: self._first_unspaced + 1 + i for i, c in enumerate(unspaced)}
        self._table = self._build_table(other_spaced)
        self._ascii_table = self._table[:_ASCII_TABLE_SIZE].tobytes() if self.width == 1 else None

    def _build_table(self, other_spaced: int) -> Codes:
        code_of_class = np.zeros(4, dtype=self._dtype)
        code_of_class[[SEPARATOR, WORD, UNSPACED, DROPPED]] = (
            GAP,
            other_spaced,
            self._first_unspaced,
            DROP,
        )
        table = code_of_class[character_classes()]
        for character, code in self._code_of.items():
            table[ord(character)] = code
        # Texts in plain ASCII need not be folded: the table folds their capitals. The two letters
        # i of Turkish are one, as in `fold`.
        table[ord("\u0131")] = table[ord("i")]
        table[ord("A") : ord("Z") + 1] = table[ord("a") : ord("z") + 1]
        table[0], table[ord("#")], table[ord(PLACEHOLDER)] = TEXT, HASH, APART
        return table

    def encode_words(self, words: Sequence[str], is_prefix: bool) -> bytes:
        """Return the pattern of `words` next to each other; their characters must be known."""
        codes = [GAP]
        for word in words:
            codes.extend(self._code_of[character] for character in word)
            codes.append(GAP)
        if is_prefix:
            codes.pop()
        return np.array(codes, dtype=self._dtype).tobytes()

    def encode_texts(self, texts: Sequence[str]) -> EncodedTexts:
        """Return `texts` as one haystack; linear in their length, no Python per character.

        Args:
            texts: folded, but for those in plain ASCII.
        """
        codes, is_word = self._separate(*self._look_up(texts))
        is_mark = codes == TEXT
        # Keep words, marks, and of each run of separators the last: the one before a word (it
        # carries the sigil) or before a mark.
        keep = is_word | is_mark
        keep[:-1] |= keep[1:]
        kept = codes[keep]
        sigils = kept - GAP
        clean = np.where(kept == HASH, GAP, kept).astype(self._dtype, copy=False)
        return EncodedTexts(clean.tobytes(), sigils, np.flatnonzero(kept == TEXT))

    def places(self, encoded: EncodedTexts, starts: NDArray[np.int64], apart: int) -> Places:
        """Return the numbers of the words that stand behind some gaps, counted from 0 on.

        Neighbours differ by 1, and words of different texts, or with an address between them, by
        more than `apart`; linear in the length of the texts.

        Args:
            encoded: the texts.
            starts: the codes at which the gaps are.
            apart: at least 0.
        """
        codes = np.frombuffer(encoded.haystack, self._dtype)
        words = np.searchsorted(np.flatnonzero(codes == GAP), starts)
        borders = np.searchsorted(np.flatnonzero((codes == TEXT) | (codes == APART)), starts)
        return words + borders * (apart + 1)

    def _look_up(self, texts: Sequence[str]) -> tuple[Codes, NDArray[np.bool_] | None]:
        """Return the codes, and which belong to the picture before them (None: none does)."""
        joined = _DIVIDER.join(("", *texts, ""))
        if joined.count("\x00") != len(texts) + 1:
            joined = _DIVIDER.join(("", *(text.replace("\x00", " ") for text in texts), ""))
        goes_on: NDArray[np.bool_] | None = None
        if not joined.isascii():
            points = code_points(joined)
            codes = self._table.take(points)
            is_kept = codes != DROP
            places = pictures_going_on(joined, points)
            if len(places):
                goes_on = np.zeros(len(points), dtype=np.bool_)
                goes_on[places] = True
                goes_on = goes_on[is_kept]
            codes = codes[is_kept]
        elif self._ascii_table is not None:
            translated = bytearray(joined.encode("ascii").translate(self._ascii_table))
            codes = np.frombuffer(translated, dtype=np.uint8)
        else:
            codes = self._table.take(np.frombuffer(joined.encode("ascii"), dtype=np.uint8))
        if "_" in joined:
            codes, goes_on = self._trim(codes, goes_on)
        return codes, goes_on

    def _trim(
        self, codes: Codes, goes_on: NDArray[np.bool_] | None
    ) -> tuple[Codes, NDArray[np.bool_] | None]:
        """Turn the underscores at the edges of words into gaps; after ``#`` they go."""
        lines = np.flatnonzero(codes == UNDERSCORE)
        # The first and the last code are marks, so both neighbours of a run are inside.
        is_first = np.diff(lines, prepend=-2) != 1
        starts = lines[is_first]
        ends = lines[np.append(is_first[1:], True)] + 1
        before = codes[starts - 1]
        is_edge = ~(self._is_spaced(before) & self._is_spaced(codes[ends]))
        if not is_edge.any():
            return codes, goes_on
        instead = np.where(is_edge, np.where(before == HASH, DROP, GAP), UNDERSCORE)
        codes = codes.copy()
        codes[lines] = np.repeat(instead, ends - starts)
        if not (instead == DROP).any():
            return codes, goes_on
        is_kept = codes != DROP
        return codes[is_kept], None if goes_on is None else goes_on[is_kept]

    def _is_spaced(self, codes: Codes) -> NDArray[np.bool_]:
        return (codes >= FIRST_WORD) & (codes < self._first_unspaced)

    def _separate(
        self, codes: Codes, goes_on: NDArray[np.bool_] | None
    ) -> tuple[Codes, NDArray[np.bool_]]:
        """Set unspaced characters apart and take the sigil from those inside a word."""
        is_word = codes >= FIRST_WORD
        is_unspaced_code = codes >= self._first_unspaced
        if is_unspaced_code.any():
            apart = is_unspaced_code[1:] | is_unspaced_code[:-1]
            apart &= is_word[1:] & is_word[:-1]
            if goes_on is not None:
                apart &= ~goes_on[1:]
            codes = np.insert(codes, np.flatnonzero(apart) + 1, GAP)
            is_word = codes >= FIRST_WORD
        # "a#b": a sigil right after a word starts nothing. The first code is always a mark, so
        # `- 1` stays inside.
        signs = np.flatnonzero(codes == HASH)
        codes[signs[is_word[signs - 1]]] = GAP
        return codes, is_word
