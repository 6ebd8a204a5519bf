"""A scorer process that can be killed, stopped, cut off, slowed and made to answer nonsense.

It speaks Triton's own protocol with the fake scorer's numbers (`testkit.scorers.fake_triton`), so
the workers ask it as they ask Triton, by the same code. What it answers is in the file `manners` of
its folder, one word; it looks there when it gets SIGUSR1, and answers rightly after every start.

Rows that it answers wrongly it first writes down in `wrong.jsonl`, for the oracle: kind and SHA-256
of the text. Where it listens it writes to `port`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from testkit.scorers.fake_triton import FakeTriton, Manners

LOOK: Final = signal.SIGUSR1
MANNERS_FILE: Final = "manners"
PORT_FILE: Final = "port"
WRONG_FILE: Final = "wrong.jsonl"


async def serve(folder: Path, port: int, delay_s: float) -> None:
    """Answer batches until the process ends."""
    manners = Manners(delay_s)
    # Unbuffered: what was answered is written even when the process is killed the moment after.
    with (folder / WRONG_FILE).open("ab", buffering=0) as wrong:

        def note(kind: str, texts: Sequence[bytes]) -> None:
            lines = (json.dumps([kind, sha256(text).hexdigest()]) + "\n" for text in texts)
            wrong.write("".join(lines).encode())

        def look() -> None:
            manners.kind = (folder / MANNERS_FILE).read_text()

        asyncio.get_running_loop().add_signal_handler(LOOK, look)
        server = FakeTriton(manners, note)
        await server.start(port)
        (folder / PORT_FILE).write_text(str(server.port))
        await asyncio.Event().wait()


def main() -> None:
    """Run the stand-in: `python -m testkit.chaos.stand_in FOLDER PORT DELAY_MS`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int, help="0 is a free one")
    parser.add_argument("delay_ms", type=float)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.folder, arguments.port, arguments.delay_ms / 1000))


if __name__ == "__main__":
    main()
