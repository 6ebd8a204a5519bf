"""Looks for somebody's name and words wherever they must not be.

A canary is a word that stands nowhere by itself. It is sent through every way in which an item can
fail; then whatever was written is searched for it, in the forms in which bytes travel.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from testkit.checks.live_sources import LIVE, platform_of

AUTHOR: Final = "canaryauthor7f3a"
TEXT: Final = "canarytext9b2e"


class Failing(Struct, frozen=True):
    """A source and what makes its items fail.

    Attributes:
        options: Of the source.
        secret: Of the source; "" for none.
        publish: Lets the items appear, and returns how many of them are to be in `dead-posts`.
    """

    options: Mapping[str, Any]
    secret: str
    publish: Callable[[], int]


def forms(word: str) -> Mapping[str, bytes]:
    """Return the bytes by which a word is found, by name of the form; in lower case but base64."""
    raw = word.encode()
    found = {
        "plain": raw,
        "UTF-16 LE": word.encode("utf-16-le"),
        "UTF-16 BE": word.encode("utf-16-be"),
        "hexadecimal": raw.hex().encode(),
        "percent-encoded": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "JSON-escaped": "".join(f"\\u{ord(letter):04x}" for letter in word).encode(),
    }
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, raw, usedforsecurity=False).hexdigest()
        found[f"{name} without a key"] = digest.encode()
    for shift in range(3):
        # Only the letters that depend on nothing beside the word.
        encoded = base64.b64encode(bytes(shift) + raw)
        found[f"base64, shifted by {shift}"] = encoded[(shift * 8 + 5) // 6 : -4]
    return found


def traces(word: str, content: bytes) -> list[str]:
    """Return the forms in which a word stands in bytes."""
    lower = content.lower()
    return [
        name
        for name, form in forms(word).items()
        if form in (content if name.startswith("base64") else lower)
    ]


@contextmanager
def failing(name: str, directory: Path) -> Iterator[Failing]:
    """Give the failures of a registered source.

    Raises:
        AssertionError: The source has none: nobody knows what its failures give away.
    """
    if name in RECORDED:
        yield RECORDED[name](directory)
        return
    if name not in LIVE:
        raise AssertionError(f"source {name!r} has no failures in testkit.checks.canary")
    with platform_of(name, directory) as platform:
        secret = getattr(platform, "secret", "")
        yield Failing(platform.options(), secret, lambda: platform.publish_failures(AUTHOR, TEXT))


def _csv(directory: Path) -> Failing:
    path = directory / "canary.csv"
    link = f"https://x.test/@{AUTHOR}"
    good = f"2026-03-01T12:00:00Z,p1,{AUTHOR},{TEXT},{link}\n"
    bad = [
        f"{AUTHOR} {TEXT},p2,{AUTHOR},{TEXT},{link}",
        f"{AUTHOR},{TEXT}",
        f"2026-03-01T12:00:00Z,{'x' * 600},{AUTHOR},{TEXT},{link}",
        f"2026-03-01T12:00:00Z,p3\udcff,{AUTHOR},{TEXT},{link}",
        f"2026-03-01T12:00:00Z,p4,{AUTHOR},{TEXT * 20_000},{link}",
    ]
    content = "created_at,id,author,text,url\n" + good + "\n".join(bad) + "\n"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    return Failing({"path": str(path)}, "", lambda: len(bad))


def _jsonl(directory: Path) -> Failing:
    path = directory / "canary.jsonl"
    at = "2026-03-01T12:00:00Z"
    good = {"id": "p1", "author": AUTHOR, "text": TEXT, "created_at": at, "lang": "en"}
    whole = msgspec.json.encode(good)
    bad = [
        whole[:-4],
        msgspec.json.encode(good | {"id": "p2", "text": {"said": f"{AUTHOR} {TEXT}"}}),
        b'{"x":' * 5_000 + whole + b"}" * 5_000,
        whole + b"\xff",
        msgspec.json.encode(good | {"created_at": f"{AUTHOR} {TEXT}"}),
        msgspec.json.encode({"errors": [{"message": f"{AUTHOR} {TEXT}"}]}),
    ]
    path.write_bytes(b"\n".join([whole, *bad]) + b"\n")
    return Failing({"path": str(path), "format": "jsonl"}, "", lambda: len(bad))


RECORDED: Final[Mapping[str, Callable[[Path], Failing]]] = {"replay": _csv, "replay:jsonl": _jsonl}
"""Failures of sources that are not live; a second form of one stands behind a colon."""
NOBODY: Final = ("synthetic",)
"""Sources whose authors and texts are made up."""
