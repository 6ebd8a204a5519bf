"""A scorer process that can be killed, stopped, cut off, slowed and made to answer with errors.

The worker asks it over TCP for every batch and waits for its answer, as it waits for Triton's; the
numbers are those of `models.scorers.fake`, computed where they are needed, so that a text has the
same scores whoever is asked. Only chaos starts it (`services.chaos.worker` registers it).

On the wire: length (4 bytes, big-endian) and the batch as JSON; one byte back, `+` or `-`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
from collections.abc import Sequence
from typing import Final

from core.errors import ScorerUnavailable
from core.ports import ScoreBatch
from core.settings import ScorerSettings
from models.scorers.fake import FakeScorer
from services.local.ports import LOOPBACK

ERRORS_ON: Final = signal.SIGUSR1
ERRORS_OFF: Final = signal.SIGUSR2


class SocketScorer:
    """Satisfies `core.ports.Scorer`: the fake's scores, once the stand-in has said yes."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._host, _, port = url.rpartition(":")
        self._port = int(port)
        self._timeout_s = timeout_s
        self._fake = FakeScorer()

    async def score_batch(self, texts: Sequence[str], langs: Sequence[str]) -> ScoreBatch:
        """See `Scorer.score_batch`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._ask(texts, langs)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise ScorerUnavailable(f"the stand-in does not answer: {error!r}") from error
        if answer != b"+":
            raise ScorerUnavailable("the stand-in answers with an error")
        return await self._fake.score_batch(texts, langs)

    async def _ask(self, texts: Sequence[str], langs: Sequence[str]) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            body = json.dumps([list(texts), list(langs)]).encode()
            writer.write(struct.pack(">I", len(body)) + body)
            await writer.drain()
            return await reader.readexactly(1)
        finally:
            writer.transport.abort()

    async def is_ready(self) -> bool:
        """Whether it answers an empty batch."""
        try:
            await self.score_batch([], [])
        except ScorerUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Nothing is kept open."""


def from_settings(settings: ScorerSettings) -> SocketScorer:
    """The registry's entry; `scorer.url` is where the stand-in listens."""
    return SocketScorer(settings.url, settings.timeout_s)


async def serve(port: int, delay_s: float) -> None:
    """Answer batches until the process ends; SIGUSR1 and SIGUSR2 switch errors on and off."""
    answers = [b"+"]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(ERRORS_ON, lambda: answers.__setitem__(0, b"-"))
    loop.add_signal_handler(ERRORS_OFF, lambda: answers.__setitem__(0, b"+"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack(">I", await reader.readexactly(4))
            texts, _langs = json.loads(await reader.readexactly(size))
            await asyncio.sleep(delay_s if texts else 0.0)
            writer.write(answers[0])
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the worker was killed, or the connection cut
        finally:
            writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, port, limit=1 << 26)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run the stand-in: `python -m services.chaos.stand_in PORT DELAY_MS`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("delay_ms", type=float)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.delay_ms / 1000))


if __name__ == "__main__":
    main()
