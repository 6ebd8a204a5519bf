"""What a row says, as a reader sees it: a thin seam to the text and the language of all sources."""

from __future__ import annotations

import html
import re
from typing import Final

from services.ingest.sources.html_text import html_text
from services.ingest.sources.records import language_of

_MARKUP: Final = re.compile(
    r"</?(?:p|br|a|div|span|b|i|u|s|em|strong|del|ul|ol|li|blockquote|pre|code|img|h[1-6])"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NAMES: Final = {
    "english": "en", "spanish": "es", "german": "de", "french": "fr", "portuguese": "pt",
    "italian": "it", "dutch": "nl", "russian": "ru", "ukrainian": "uk", "polish": "pl",
    "turkish": "tr", "arabic": "ar", "hebrew": "he", "hindi": "hi", "japanese": "ja",
    "korean": "ko", "chinese": "zh", "indonesian": "id", "swedish": "sv", "eng": "en",
    "spa": "es", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "por": "pt",
}  # fmt: skip


def readable_text(text: str) -> str:
    """Return what a reader sees of a text that may be HTML or not; entities are undone once."""
    if "<" in text and _MARKUP.search(text):
        return html_text(text)
    return _ENTITY.sub(lambda found: html.unescape(found.group()), text) if "&" in text else text


def language_tag(value: str) -> str:
    """Return the BCP-47 tag of a tag, code or name of a language; "" if it is none."""
    return _NAMES.get(value.strip().lower()) or language_of(value.strip())
