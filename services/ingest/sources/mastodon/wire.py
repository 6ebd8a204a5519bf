"""Server-sent events from bytes, however they are cut. Pure; bounded; never raises."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

MAX_EVENT_BYTES: Final = 1_048_576
_LINE_END: Final = re.compile(rb"[\r\n]")


class ServerEvent(Struct, frozen=True):
    """One event.

    Attributes:
        name: The name as sent, `message` if none was.
        data: Its data lines, joined by line feeds.
        cut: It was longer than allowed; `data` is its beginning.
    """

    name: str
    data: bytes
    cut: bool = False


class EventDecoder:
    """Decodes one connection; an event that has not ended when it closes is not delivered.

    Args:
        max_event_bytes: The most data of an event; more is left out and the event marked as cut.

    Attributes:
        comments: The comment lines seen; servers send them to show that they are there.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_event_bytes
        self._line = bytearray()
        self._line_cut = False
        self._after_return = False
        self._name = ""
        self._lines: list[bytes] = []
        self._held = 0
        self._cut = False
        self._is_first_line = True
        self.comments = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that end in `chunk`."""
        found: list[ServerEvent] = []
        if self._after_return and chunk:
            self._after_return = False
            chunk = chunk.removeprefix(b"\n")
        start = 0
        while start < len(chunk):
            match = _LINE_END.search(chunk, start)
            if match is None:
                self._extend(chunk[start:])
                break
            end = match.start()
            self._extend(chunk[start:end])
            start = end + 1
            if chunk[end] == 13:  # CR, perhaps with its LF in the next chunk
                if start == len(chunk):
                    self._after_return = True
                elif chunk[start] == 10:
                    start += 1
            event = self._take_line()
            if event is not None:
                found.append(event)
        return found

    def _extend(self, piece: bytes) -> None:
        room = self._max_bytes + 64 - len(self._line)
        self._line += piece[: max(0, room)]
        self._line_cut = self._line_cut or len(piece) > room

    def _take_line(self) -> ServerEvent | None:
        line, cut = bytes(self._line), self._line_cut
        self._line.clear()
        self._line_cut = False
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not field:
            self.comments += 1
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":
            room = self._max_bytes - self._held
            self._cut = self._cut or cut or len(value) > room
            self._lines.append(value[: max(0, room)])
            self._held += len(value) + 1
        return None

    def _end_event(self) -> ServerEvent | None:
        name, lines, cut = self._name, self._lines, self._cut
        self._name, self._lines, self._held, self._cut = "", [], 0, False
        if not lines:
            return None
        return ServerEvent(name or "message", b"\n".join(lines), cut)
