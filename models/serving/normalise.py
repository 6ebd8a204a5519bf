"""The one text normaliser, shared by training, evaluation and serving.

A model is only as good as the match between the text it was trained on and the text it is
given, so nothing else in the project changes a text before it is tokenised.

The backbone's vocabulary knows no emoji: a word that contains one would become a single unknown
token and its sentiment would be lost, hence they are spelled out by their Unicode names.
"""

import html
import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_CHARACTERS: Final = 2_000
"""Longer texts are cut here first, so a text of megabytes costs no more than a long post.

128 tokens of English are about 600 characters.
"""

NORMALISER_VERSION: Final = 1
"""Rises with any change of behaviour: it is part of the model version."""

_LINK: Final = re.compile(r"(?:https?://|\bwww\.)\S+", re.IGNORECASE)
# Also the account names of federated networks: @name@host.example, @name.host.example.
_MENTION: Final = re.compile(r"(?<![\w@])@\w[\w-]*(?:[.@]\w[\w-]*)*")
_HASHTAG: Final = re.compile(r"#(\w+)")
_WORD_START: Final = re.compile(r"(?<=[a-z0-9]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_RUN: Final = re.compile(r"(\S)\1{3,}")
_EMOJI: Final = re.compile(r"([\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001faff])\1*")
# Joiners, variation selectors, skin tones and flag letters say nothing about sentiment.
_EMOJI_DECORATION: Final = re.compile(
    r"[\u200d\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff]"
)
_NAME_FILLER: Final = re.compile(r"\b(?:HEAVY|BLACK|WHITE|SIGN|SYMBOL|WITH)\b")
_QUOTES: Final = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2026": "..."}
)
_EVERYDAY_NAMES: Final = {
    "\u2764": "love heart",
    "\u2665": "love heart",
    "\U0001f495": "love hearts",
    "\U0001f602": "tears of joy",
    "\U0001f62d": "crying loudly",
    "\U0001f64f": "folded hands",
    "\U0001f525": "fire",
    "\U0001f4af": "hundred points",
}


@lru_cache(maxsize=4096)
def _emoji_name(character: str) -> str:
    everyday = _EVERYDAY_NAMES.get(character)
    if everyday is None:
        everyday = _NAME_FILLER.sub("", unicodedata.name(character, "")).lower()
    return f" {everyday} "


def _split_hashtag(match: re.Match[str]) -> str:
    return "#" + _WORD_START.sub(" ", match.group(1))


def normalise(text: str) -> str:
    """Return `text` as the model reads it; idempotent texts stay as they are.

    User names become `@user`, links `http`, HTML entities their characters, emoji their names,
    `#CamelCase` is split at its capitals, four or more repeats of a character become three,
    white space collapses. The result depends on `text` alone.

    >>> normalise("@jane &amp; @bob  see https://t.co/x #NotAgain")
    '@user & @user see http #Not Again'
    >>> normalise("soooooo good \U0001f602\U0001f602")
    'sooo good tears of joy'
    """
    text = text[:MAX_CHARACTERS]
    if "&" in text:
        text = html.unescape(text)
    text = _LINK.sub("http", text)
    if "@" in text:
        text = _MENTION.sub("@user", text)
    if not text.isascii():
        # A lone surrogate (a broken escape in JSON) cannot be encoded: it becomes "?".
        text = text.encode("utf-8", "replace").decode("utf-8").translate(_QUOTES)
        text = _EMOJI_DECORATION.sub("", text)
        text = _EMOJI.sub(lambda match: _emoji_name(match.group(1)), text)
    if "#" in text:
        text = _HASHTAG.sub(_split_hashtag, text)
    return " ".join(_RUN.sub(r"\1\1\1", text).split())
