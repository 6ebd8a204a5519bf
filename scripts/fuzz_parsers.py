"""Coverage-guided fuzzing of the parsers of what platforms send: they must never raise.

`make fuzz` runs every target for five minutes; `python scripts/fuzz_parsers.py bluesky_v1 --seconds
60` one of them. Needs the extra `fuzz` (atheris). A crash leaves its input in the working directory
and ends with a status other than 0.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

NOW: Final = datetime(2026, 7, 1, tzinfo=UTC)
Target = tuple[Callable[[bytes], object], Sequence[bytes]]


def _bluesky(version: Any) -> Target:
    from core.codec import encode
    from core.settings import Secret
    from services.ingest.sources.bluesky.parse import EventMapper
    from services.ingest.sources.bluesky.wire import PARSERS, Event
    from testkit.platforms.bluesky import journal as fake_journal

    mapper = EventMapper(Secret("k"), lambda author: ("at://a/app.bsky.feed.post/k",))
    parse = PARSERS[version]

    def run(raw: bytes) -> None:
        frame = parse(raw)
        if isinstance(frame, Event):
            for record in mapper.records(frame, raw, NOW):
                encode(record)

    entries = list(fake_journal.Conversation(NOW, posts_share=0.5).events(60))
    entries.append(fake_journal.account(1, 1, "did:plc:a", active=False, status="deleted"))
    return run, [entry.v1 if version == "v1" else entry.v2 for entry in entries]


def _bluesky_zstd() -> Target:
    import zstandard

    from services.ingest.sources.bluesky.client import Unpacker
    from testkit.platforms.bluesky.journal import Conversation

    frames: list[Any] = [entry.v2 for entry in Conversation(NOW).events(300)]
    dictionary = zstandard.train_dictionary(4_096, frames)
    packed = zstandard.ZstdCompressor(dict_data=dictionary)
    return (
        Unpacker(dictionary.as_bytes(), 100_000).unpack,
        [packed.compress(frame) for frame in frames[:50]],
    )


def _body(module: str, seeds: Sequence[bytes]) -> Target:
    """A source whose `parse` takes a whole body and returns items."""
    found = import_module(f"services.ingest.sources.{module}.parse")
    return found.parse, seeds


def _webhook() -> Target:
    from services.ingest.sources.webhook.parse import parse_body

    return lambda raw: parse_body(raw, 100), _WEBHOOK_SEEDS


_STATUS: Final = (
    b'{"id":"1","created_at":"2026-07-01T00:00:00Z","language":"en","visibility":"public",'
    b'"content":"<p>hello <a href=\'x\'>you</a></p>","account":{"acct":"a","noindex":false},'
    b'"uri":"https://x/1","in_reply_to_id":null,"reblog":null}'
)
_MASTODON_SEEDS: Final = (
    b":)\n\nevent: update\ndata: " + _STATUS + b"\n\n",
    b"event: delete\ndata: 1\n\nevent: status.update\ndata: " + _STATUS + b"\n\n",
)
_RSS_SEEDS: Final = (
    b'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><item><guid>1</guid>'
    b"<title>x</title><description>&lt;p&gt;y&lt;/p&gt;</description>"
    b"<pubDate>Wed, 01 Jul 2026 10:00:00 GMT</pubDate></item></channel></rss>",
    b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><title>x</title>'
    b"<updated>2026-07-01T10:00:00Z</updated><author><name>a</name></author></entry></feed>",
)
_REDDIT_SEEDS: Final = (
    b'{"kind":"Listing","data":{"children":[{"kind":"t3","data":{"id":"a","name":"t3_a",'
    b'"author":"b","title":"c","selftext":"d","created_utc":1783175888.0,"permalink":"/r/x"}}]}}',
)
_WEBHOOK_SEEDS: Final = (
    b'{"posts":[{"id":"1","author":"a","text":"t","claimed_at":"2026-07-01T00:00:00Z"}]}',
    b'{"events":[{"kind":"delete","post_id":"1","author":"a"}]}',
)

TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "bluesky_v1": lambda: _bluesky("v1"),
    "bluesky_v2": lambda: _bluesky("v2"),
    "bluesky_zstd": _bluesky_zstd,
    "mastodon": lambda: _body("mastodon", _MASTODON_SEEDS),
    "rss": lambda: _body("rss", _RSS_SEEDS),
    "reddit": lambda: _body("reddit", _REDDIT_SEEDS),
    "webhook": _webhook,
}
"""Name -> makes the function under test and good inputs to start from."""


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["services.ingest.sources", "core.codec"]):
        run, seeds = TARGETS[name]()

    def one_input(raw: bytes) -> None:
        run(raw)

    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(seeds):
        (corpus / f"{number:03d}").write_bytes(seed)
    words = [sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=4096"]
    atheris.Setup([*words, "-print_final_stats=1", "-verbosity=0"], one_input)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets named, all by default, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=300, help="for each target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    unknown = set(asked.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected some of {list(TARGETS)}")
    if asked.here:
        fuzz(asked.targets[0], asked.seconds)
    failed: list[str] = []
    for name in asked.targets or TARGETS:
        began = time.monotonic()
        argv = [sys.executable, __file__, name, "--here", "--seconds", str(asked.seconds)]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False)
        told = ended.stderr + ended.stdout
        runs = next((w.split()[-1] for w in told.splitlines() if "number_of_executed" in w), "?")
        sys.stdout.write(f"{name}: {runs} inputs in {time.monotonic() - began:.0f} s, ")
        sys.stdout.write("no crash\n" if ended.returncode == 0 else f"CRASH\n{told[-4000:]}\n")
        sys.stdout.flush()
        if ended.returncode:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
