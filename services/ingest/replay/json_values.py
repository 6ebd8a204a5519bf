"""JSON values out of a stream of text, one at a time: lines, arrays, and pages around an array."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TextIO

import msgspec

from core import reasons

_CHUNK_CHARS: Final = 1 << 18
_MAX_VALUE_CHARS: Final = 64 << 20
_SPACE_AND_COMMAS: Final = re.compile(r"[\s,;]*")
_SPACE: Final = re.compile(r"\s*")
ASSIGNMENT: Final = re.compile(
    r"\s*(?:export\s+default\s+|(?:(?:var|let|const)\s+)?[\w$.]+\s*=\s*)(?=[\[{])"
)
"""What stands before the array in the .js files of an archive: `window.YTD.tweets.part0 = [`."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_fast: Final = msgspec.json.Decoder()
_lenient: Final = json.JSONDecoder(strict=False)


class JsonFault(ValueError):
    """Text that is no JSON; the message says why and where, without the text itself."""


def decode_line(line: bytes, repairs: Counter[str]) -> Any:
    """Return the value of a line; NaN becomes null and half a surrogate pair U+FFFD, counted.

    Raises:
        JsonFault: It is none.
    """
    try:
        return _fast.decode(line)
    except RecursionError as error:
        raise JsonFault("nested deeper than the decoder follows") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        try:
            value, end = _lenient.raw_decode(line.decode("utf-8").strip())
        except UnicodeDecodeError:
            raise JsonFault("the bytes are not UTF-8") from error
        except RecursionError:
            raise JsonFault("nested deeper than the decoder follows") from error
        except ValueError:
            raise JsonFault(_without_values(str(error))) from error
        if line.decode("utf-8").strip()[end:].strip():
            raise JsonFault("more than one JSON value on the line") from error
        return repaired(value, repairs)


def _without_values(message: str) -> str:
    return message[:120]


def repaired(value: Any, repairs: Counter[str]) -> Any:
    """Return a value that UTF-8 and JSON can carry, and count what was put right."""
    if isinstance(value, str):
        if value.isascii() or not _SURROGATE.search(value):
            return value
        repairs[reasons.HALF_CHARACTER] += 1
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        repairs[reasons.NOT_A_NUMBER] += 1
        return None
    if isinstance(value, list):
        return [repaired(part, repairs) for part in value]
    if isinstance(value, dict):
        return {repaired(key, repairs): repaired(part, repairs) for key, part in value.items()}
    return value


class JsonScanner:
    """Takes JSON values off a stream, holding little more than the one at hand.

    Args:
        stream: The text.
        repairs: Counts what was put right, by code.
    """

    def __init__(self, stream: TextIO, repairs: Counter[str]) -> None:
        self._stream = stream
        self._repairs = repairs
        self._text = ""
        self._at = 0
        self._before = 0
        self._ended = False
        self._more()
        prefix = ASSIGNMENT.match(self._text)
        if prefix:
            self._at = prefix.end()

    def documents(self, is_list_of_posts: Any) -> Iterator[Any]:
        """Yield the values at the top; of arrays and of lists inside a page their elements.

        Args:
            is_list_of_posts: Tells of a key of an object at the top whether its list is to be
                yielded element by element instead of being held.

        Raises:
            JsonFault: From here on it is not JSON.
        """
        while True:
            self._skip(_SPACE_AND_COMMAS)
            sign = self._sign()
            if not sign:
                return
            if sign == "[":
                self._at += 1
                yield from self._elements()
            elif sign == "{":
                yield from self._page(is_list_of_posts)
            else:
                yield self._value()

    def _elements(self) -> Iterator[Any]:
        while True:
            self._skip(_SPACE_AND_COMMAS)
            sign = self._sign()
            if sign == "]":
                self._at += 1
                return
            if not sign:
                raise self._fault("the array does not end")
            yield self._value()

    def _page(self, is_list_of_posts: Any) -> Iterator[Any]:
        """Yield the elements of an object's lists of posts, then the object without them."""
        rest: dict[str, Any] = {}
        streamed = False
        self._at += 1
        while True:
            self._skip(_SPACE_AND_COMMAS)
            sign = self._sign()
            if sign == "}":
                self._at += 1
                break
            if sign != '"':
                raise self._fault("expected a key")
            key = self._value()
            self._skip(_SPACE)
            if self._sign() != ":":
                raise self._fault("expected a colon")
            self._at += 1
            self._skip(_SPACE)
            if self._sign() == "[" and is_list_of_posts(key, rest):
                streamed = True
                self._at += 1
                yield from self._elements()
            else:
                rest[key] = self._value()
        if not streamed or "includes" in rest:
            yield rest

    def _sign(self) -> str:
        if self._at >= len(self._text):
            self._more()
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        while True:
            match = pattern.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return
            self._more()

    def _value(self) -> Any:
        """Decode the value that begins here, reading on while it is not whole."""
        while True:
            try:
                value, end = _lenient.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise self._fault("nested deeper than the decoder follows") from error
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._text) - 12 or error.msg.startswith("Unterminated")
                if not is_cut or self._ended or len(self._text) - self._at > _MAX_VALUE_CHARS:
                    raise self._fault(error.msg, error.pos - self._at) from error
                self._more()
                continue
            self._at = end
            return repaired(value, self._repairs)

    def _more(self) -> None:
        held = self._text[self._at :]
        # As much again as is held: a long value is not decoded more than twice its length.
        read = self._stream.read(max(_CHUNK_CHARS, len(held)))
        self._ended = not read
        self._before += self._at
        self._text, self._at = held + read, 0

    def _fault(self, message: str, ahead: int = 0) -> JsonFault:
        place = self._before + self._at + max(ahead, 0)
        return JsonFault(f"not JSON from character {place + 1:,} on: {message}")
