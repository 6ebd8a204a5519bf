"""The bytes of a feed as a document that can be parsed: its encoding, and what XML may not hold.

One bad byte or character reference costs one character, not the feed.
"""

from __future__ import annotations

import re
from typing import Final

from feedparser.encodings import convert_to_utf8

_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
_OUR_DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>'
# What may stand before the document type; bounded, so that noise is not searched for ever.
_BEFORE_TYPE: Final = re.compile(r"(?:\s+|<\?.{0,2000}?\?>|<!--.{0,20000}?-->){0,50}", re.DOTALL)
_PLAIN_TYPE: Final = re.compile(
    r"""<!DOCTYPE(?:[^\[<>"']{1,200}|"[^"<>]{0,500}"|'[^'<>]{0,500}'){0,20}>""", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NO_CHARACTER: Final = re.compile("[\ufffe\uffff\ud800-\udfff]")
_ROOT: Final = re.compile(r"<[A-Za-z_]")
_MAX_REFERENCE_DIGITS: Final = 8
_FEW_BYTES: Final = 3

DECLARES_ENTITIES: Final = "the document declares entities, which are not expanded"


def read_document(body: bytes, content_type: str) -> str:
    """Return the text of a feed, without its document type, in which XML allows every character.

    Args:
        body: of the answer, decompressed.
        content_type: header of the answer; its character set counts.

    Raises:
        ValueError: the document declares entities; such are never expanded.
    """
    text = _decoded(body, content_type).removeprefix("\ufeff")
    text = _DECLARATION.sub("", text, count=1)
    text = _without_type(text)
    text = _NO_CHARACTER.sub("\ufffd", _CONTROL.sub(" ", text))
    return _OUR_DECLARATION + _REFERENCE.sub(_allowed, text)


def _decoded(body: bytes, content_type: str) -> str:
    """Return the text: UTF-8 if it is that, whatever is declared, but for a few bytes."""
    is_ascii = body.isascii()
    if not is_ascii and b"\x00" not in body[:4096]:
        told = _damage(body)
        if told is not None:
            return told
    headers = {"content-type": content_type or "application/xml"}
    return convert_to_utf8(headers, body, {}).decode("utf-8", "replace")


def _damage(body: bytes) -> str | None:
    """Return a text in UTF-8 with U+FFFD for what is none; None if it is another encoding."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    text = body.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(not character.isascii() for character in text) - bad
    declared = re.search(rb"encoding=[\"']([A-Za-z0-9._-]+)", body[:200])
    is_declared = declared is None or declared.group(1).lower().replace(b"-", b"") == b"utf8"
    # A text that says it is UTF-8 and has hardly a valid letter of it is mostly Windows-1252.
    if good > bad or (is_declared and bad <= _FEW_BYTES):
        return text
    return None


def _without_type(text: str) -> str:
    """Return a document without a document type that declares nothing.

    Only where the root element follows can nothing have declared an entity. Where something else
    does, whatever looks like a declaration is taken for one, wherever it stands.
    """
    start = _end_of(_BEFORE_TYPE, text, 0)
    end = _end_of(_PLAIN_TYPE, text, start)
    if end > start:
        text = text[:start] + text[end:]
        start = _end_of(_BEFORE_TYPE, text, start)
    if _ROOT.match(text, start) is None and "<!ENTITY" in text:
        raise ValueError(DECLARES_ENTITIES)
    return text


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _allowed(reference: re.Match[str]) -> str:
    """Return a reference as it stands; instead of one to no character of XML what stands for it."""
    digits = reference.group(1) or reference.group(2)
    if len(digits) > _MAX_REFERENCE_DIGITS:
        return "\ufffd"
    point = int(digits, 16 if reference.group(1) else 10)
    if point > 0x10FFFF or _NO_CHARACTER.match(chr(point)):
        return "\ufffd"
    return " " if _CONTROL.match(chr(point)) else reference.group()
