"""What a reply looks like, whatever it says: its shape and its letters, for numpy alone.

The same code runs in training and in serving. Both languages have the same columns, as people of
both write links, laughter and emoji.

Shapes: `B` texts, `F` features of shape, `L` buckets of letters.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from math import log1p
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.popalm.pairs import normalised

BUCKETS: Final = 1 << 14
LONGEST: Final = 2
"""Runs of one to so many characters count as letters."""
_COUNTED: Final = {
    "exclamations": "!！", "questions": "?？", "stops": ".。", "commas": ",，、", "brackets": "[【",
    "hashtags": "#", "mentions": "@", "quotes": "“”\"「", "colons": ":：", "tildes": "~～",
    "lines": "\n", "spaces": " ", "ellipses": "…", "laughs": "哈", "hearts": "❤♥",
    "first_person": "我俺咱", "second_person": "你您", "third_person": "他她它",
    "negations": "不没别", "particles": "吧吗呢啊呀", "aspects": "了的", "likes": "爱喜",
}  # fmt: skip
_PATTERNS: Final = {
    "links": re.compile(r"https?://"),
    "i": re.compile(r"\b(?:i|my|me|we|our)\b", re.IGNORECASE),
    "you": re.compile(r"\b(?:you|your)\b", re.IGNORECASE),
    "no": re.compile(r"\b(?:no|not|never)\b|n't\b", re.IGNORECASE),
    "laughter": re.compile(r"\b(?:lol|lmao|haha)", re.IGNORECASE),
    "stretched": re.compile(r"(.)\1\1"),
    "capitals": re.compile(r"\b[A-Z]{3,}\b"),
}
_FIRST_EMOJI: Final = 0x1F000
COLUMNS: Final = (
    "length", "length_squared", "very_short", "short", "digits", "latin", "distinct", "emoji",
    "reply_mark", "ends_stopped", "ends_asking", "ends_shouting", *_COUNTED, *_PATTERNS,
)  # fmt: skip


def shapes_of(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the (B, F) features of shape, in the order of `COLUMNS`, none of them scaled."""
    rows = [_shape(text) for text in texts]
    return np.array(rows, np.float32).reshape(len(rows), len(COLUMNS))


def _shape(text: str) -> list[float]:
    text = text.strip()
    size = max(len(text), 1)
    long = log1p(size)
    latin = sum("a" <= letter <= "z" for letter in text.lower()) / size
    return [
        long, long * long / 4, float(size <= 5), float(size <= 10),
        sum(map(str.isdigit, text)) / size, latin, len(set(text)) / size,
        log1p(sum(ord(letter) >= _FIRST_EMOJI for letter in text)),
        float(text.startswith(("回复", "@"))), float(text.endswith((".", "。"))),
        float(text.endswith(("?", "？"))), float(text.endswith(("!", "！"))),
        *(log1p(sum(map(text.count, signs))) for signs in _COUNTED.values()),
        *(log1p(len(pattern.findall(text))) for pattern in _PATTERNS.values()),
    ]  # fmt: skip


def buckets_of(text: str, buckets: int = BUCKETS, longest: int = LONGEST) -> list[int]:
    """Return the buckets of the runs of characters that a text has, each once, in order."""
    marked = f"\x02{normalised(text)}\x03"
    runs = {
        marked[start : start + size]
        for size in range(1, longest + 1)
        for start in range(len(marked) - size + 1)
    }
    return sorted({zlib.crc32(run.encode()) % buckets for run in runs})


def letters_score(texts: Sequence[str], weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (B,) sums of the weights (L,) of each text's letters, by the root of their number."""
    found = [buckets_of(text, len(weights)) for text in texts]
    sums = [float(weights[own].sum(dtype=np.float64)) / len(own) ** 0.5 for own in found]
    return np.array(sums, np.float32)
