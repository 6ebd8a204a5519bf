"""A source is added by one folder of four files and one line elsewhere, and all of it works.

The source is written here as a newcomer would write it: a message board that is polled for JSON,
with edits and deletions, and a platform for it in the testkit. Nothing else of the tree is told.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testkit.checks.live_sources import LIVE_CHECKS
from testkit.growth import GrowingTree

MANIFEST = '''"""A message board: what it shows, polled."""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="board",
    title="Messages of a board, their edits and deletions.",
    needs=("The option server.",),
    limits=("A board shows its newest thousand messages: what is beyond is a counted gap.",),
    memory="board.held.sqlite",
)
'''

OPTIONS = '''"""What the board source can be asked for."""

from __future__ import annotations

from core.errors import ConfigError
from core.settings import Secret
from services.ingest.sources.options import PositiveInt, LiveOptions, PositiveFloat, check_address


class BoardOptions(LiveOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the source `board`.

    Attributes:
        server: The address of the board; required.
        every_s: Between two looks.
        timeout_s: For one answer.
        max_answer_bytes: A larger answer is not read.
    """

    server: str = ""
    every_s: PositiveFloat = 5.0
    timeout_s: PositiveFloat = 10.0
    max_answer_bytes: PositiveInt = 8_388_608

    def check(self, secret: Secret) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: The server is missing, or is none.
        """
        if not self.server:
            raise ConfigError("board: the option `server` is missing: expected http(s)://HOST")
        check_address("board: server", self.server, ("https", "http"))
'''

PARSE = '''"""Messages of a board as records. Pure; never raises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from core.clock import EPOCH
from core.schemas import Post
from core.text import plain_text
from services.ingest.sources.base import SourceItem, Unmappable
from services.ingest.sources.board import MANIFEST
from services.ingest.sources.records import (
    Found,
    Skipped,
    decode_json,
    fitted_post,
    recorded,
    text_of,
    time_of,
)


def read_page(
    body: bytes, author: Callable[[str], str], now: datetime
) -> list[Found] | Unmappable:
    """Return what a page comes to, oldest first, or why it is none."""
    tree = decode_json(body)
    if isinstance(tree, Unmappable):
        return tree
    if not isinstance(tree, list):
        return Unmappable(body[:65_536], "expected a list of messages")
    return [_found(one, author, now) for one in tree]


def _found(tree: Any, author: Callable[[str], str], now: datetime) -> Found:
    raw = msgspec.json.encode(tree)
    if not isinstance(tree, dict):
        return Found(Unmappable(raw, "expected a message"))
    post_id = text_of(tree.get("id"))
    if tree.get("gone") is True:
        return Found(Skipped("deleted"), post_id=post_id)
    name, text = text_of(tree.get("by")), tree.get("text")
    if not isinstance(text, str):
        return Found(Unmappable(raw, "expected a text"))
    post = Post(
        id=post_id,
        source=MANIFEST.name,
        author=author(name) if name else "",
        ingested_at=now,
        text=plain_text(text),
        claimed_at=time_of(tree.get("at")),
    )
    record = fitted_post(post, raw)
    version = text_of(tree.get("edited"))
    return Found(record, version, post_id if isinstance(record, Post) else "")


def parse(body: bytes) -> list[SourceItem]:
    """Return what a page comes to, with 1970 as the ingest time."""
    found = read_page(body, str, EPOCH)
    return recorded([found] if isinstance(found, Unmappable) else [one.record for one in found])
'''

SOURCE = '''"""The source `board`: looks at a board again and again, and delivers what is new."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import aiohttp

from services.ingest.sources.base import Unmappable
from services.ingest.sources.board import MANIFEST
from services.ingest.sources.board.options import BoardOptions
from services.ingest.sources.board.parse import read_page
from services.ingest.sources.live import SessionEnded
from services.ingest.sources.remembering import RememberingSource
from services.ingest.sources.web import asked_wait_s, ended_by, public_session, read_bounded


class BoardSource(RememberingSource[BoardOptions]):
    """Messages of a board, their edits and deletions.

    Cursor: `n`, the number of the last item; what was delivered is in the memory beside it.
    """

    manifest: ClassVar = MANIFEST
    name: ClassVar[str] = MANIFEST.name
    Options = BoardOptions
    watches_silence: ClassVar[bool] = False  # every request has a time-out

    async def session(self) -> None:
        """Look at the board until something goes wrong."""
        options = self.options
        async with public_session(allow_private=True, timeout_s=options.timeout_s) as http:
            while True:
                await self._look(http)
                await asyncio.sleep(options.every_s)

    async def _look(self, http: aiohttp.ClientSession) -> None:
        now = self.context.clock.now()
        async with http.get(f"{self.options.server}/messages") as answer:
            if answer.status != 200:
                raise ended_by(answer.status, asked_wait_s(answer.headers, now))
            body = await read_bounded(answer, self.options.max_answer_bytes)
        page = read_page(body, self.hide, now)
        if isinstance(page, Unmappable):
            await self.hand_on([page], len(body))
            raise SessionEnded("protocol", page.detail)
        self.connected()
        self.received(len(page))
        if self.number and page and not any(self.held.find(one.post_id) for one in page):
            await self.miss("board_moved_on", 0.0)
        for found in page:
            record = found.record
            if not isinstance(record, Unmappable) or not self.was_refused(record.raw):
                await self.take(found)
'''

PLATFORM = '''"""A board for tests: messages in memory, served as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from testkit.checks.source_reader import FAST_LIMITS
from testkit.platforms.site import ThreadedSite


class BoardPlatform:
    """One board that forgets nothing."""

    can_replay = True

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._numbers = itertools.count()
        self.site = ThreadedSite(self._application)

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/messages", self._page)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        return web.json_response(self.messages)

    def options(self) -> Mapping[str, Any]:
        """Return options that look at this board often."""
        return {"server": self.site.url, "every_s": 0.02, "limits": FAST_LIMITS}

    def publish(self, count: int) -> Sequence[str]:
        """Let messages appear."""
        at = "2026-03-01T00:00:00+01:00"
        ids = [f"m{next(self._numbers)}" for _ in range(count)]
        new = [{"id": one, "by": "ana", "text": f"message {one}", "at": at} for one in ids]
        self.site.do(lambda: self.messages.extend(new))
        return ids

    def publish_bad(self) -> int:
        """Let things appear that are no messages."""
        bad = [7, {"id": "x"}, {"by": "ana", "text": "no id"}]
        self.site.do(lambda: self.messages.extend(bad))
        return len(bad)

    def publish_failures(self, author: str, text: str) -> int:
        """See `Platform`: messages of one account."""
        good = {"id": "1", "by": author, "text": text}
        large = good | {"id": "2", "text": text * 20_000}
        bad = [good | {"id": None}, good | {"text": [text]}, f"{author} {text}"]
        self.site.do(lambda: self.messages.extend([good, large, *bad]))
        return len(bad) + 1

    def disconnect(self) -> None:
        """End the connections without a word."""
        self.site.pause()
        self.site.start()


@contextmanager
def running(_directory: Path) -> Iterator[BoardPlatform]:
    """Give a running platform."""
    platform = BoardPlatform()
    with platform.site:
        yield platform
'''

OWN_TEST = '''"""Edits and deletions of a board arrive, and a restart brings nothing twice."""

from pathlib import Path

from testkit.checks.live_sources import platform_of
from testkit.checks.source_reader import SourceReader


def test_edits_and_deletions_arrive_once(tmp_path: Path) -> None:
    with platform_of("board", tmp_path) as board:
        ids = board.publish(5)
        with SourceReader("board", dict(board.options()), tmp_path) as reader:
            reader.open().until_posts(5)
        with SourceReader("board", dict(board.options()), tmp_path) as again:
            again.open(reader.cursor)
            edited, gone = board.messages[1], board.messages[3]
            board.site.do(lambda: edited.update(text="another", edited="2026-03-02"))
            board.site.do(lambda: gone.update(gone=True))
            again.until(lambda: len(again.events) == 2)
            board.publish(1)
            again.until_posts(1)
        events = {event.post_id: (event.kind, event.author) for event in again.events}
        assert events == {ids[1]: ("edit", "ana"), ids[3]: ("delete", "ana")}
        assert (len(again.posts), len(again.events), again.gaps) == (1, 2, [])
'''

FOLDER = "services/ingest/sources/board"
REGISTRY = "services/ingest/sources/__init__.py"
TESTS = "tests/services/ingest"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> GrowingTree:
    tree = GrowingTree.copy_to(tmp_path_factory.mktemp("tree"))
    for name, text in (
        ("__init__", MANIFEST), ("options", OPTIONS), ("parse", PARSE), ("source", SOURCE),
    ):  # fmt: skip
        tree.add_file(f"{FOLDER}/{name}.py", text)
    tree.add_line(
        REGISTRY,
        'SOURCES.add("board", "services.ingest.sources.board.source:BoardSource")',
        after='SOURCES.add("reddit"',
    )
    return tree


@pytest.fixture(scope="module")
def whole(grown: GrowingTree) -> GrowingTree:
    """Return the tree with what the newcomer's tests need, too."""
    assert len(grown.written) <= 4
    assert sum(grown.written.values()) <= 350
    assert grown.lines == {REGISTRY: 1}
    grown.add_file("testkit/platforms/board/__init__.py", '"""A board for tests."""\n')
    grown.add_file("testkit/platforms/board/platform.py", PLATFORM)
    grown.add_file(f"{TESTS}/sources/board/test_source.py", OWN_TEST)
    return grown


def passes(tree: GrowingTree, *arguments: str) -> str:
    ran = tree.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.slow
def test_a_new_source_passes_the_shared_checks_of_live_sources(whole: GrowingTree) -> None:
    said = passes(
        whole, "-k", "board", f"{TESTS}/test_live_contracts.py", f"{TESTS}/sources/test_folders.py",
        f"{TESTS}/sources/board",
    )  # fmt: skip
    # Each shared check, four of the folder, and its own test.
    assert f"{len(LIVE_CHECKS) + 5} passed" in said


ASKED = """
import sys
from pathlib import Path
from services.cli.main import run
from testkit.checks.live_sources import platform_of

assert run(["sources", "list"]) == run(["sources", "show", "board"]) == 0
for words in (["sources", "check", "board"], ["up", "--source", "board"]):
    assert run(words) == 2, words
with platform_of("board", Path(sys.argv[1])) as board:
    board.publish(3)
    words = ["--items", "3", "--deadline-s", "60", "--set", f"server={board.site.url}"]
    assert run(["sources", "check", "board", *words]) == 0
"""


@pytest.mark.slow
def test_a_new_source_is_known_to_the_commands(whole: GrowingTree, tmp_path: Path) -> None:
    ran = whole.run("-c", ASKED, str(tmp_path))
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "board: Messages of a board, their edits and deletions. (live, can wait)" in ran.stdout
    assert "every_s = 5.0: Between two looks." in ran.stdout
    assert ran.stderr.count("the option `server` is missing") == 2
    assert "posts: 3" in ran.stdout


@pytest.mark.slow
def test_the_documentation_of_a_tree_with_a_new_source_is_whole(whole: GrowingTree) -> None:
    passes(whole, "tests/docs", "tests/core/test_schemas.py", f"{TESTS}/sources/test_configs.py")
