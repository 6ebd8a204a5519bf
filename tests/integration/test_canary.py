"""A canary author and text go through every way in which an item can fail, and are looked for.

An author stands nowhere in plain: neither in a topic nor in Redis, a log, a metric, a sample or a
file of state. A text stands in `posts` and `post-events`, where texts live, and nowhere else.
"""

from __future__ import annotations

import ast
import logging
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from prometheus_client import generate_latest

from core.clock import SystemClock
from core.codec import dead_post_decoder, encode
from core.config import build
from core.logs import set_up
from core.schemas import DeadPost
from core.sealing import Sealer
from core.settings import LogSettings, Settings
from services.ingest.cursor_store import CursorStore
from services.ingest.launch import make_runner, make_source
from services.ingest.sources import SOURCES
from services.kafka_client import RecordProducer, TopicAdmin, read_topic
from services.local.ports import reserved_port
from stream.topics import DEAD_POSTS, POST_EVENTS, POSTS, TOPICS
from testkit.builders import make_event, make_post
from testkit.checks.canary import AUTHOR, NOBODY, RECORDED, TEXT, failing, forms, traces
from testkit.checks.live_sources import LIVE
from testkit.waiting import wait_until

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
KEY = "the author key of a test"
STRANGER = "canarystranger5d1c"
"""Who writes to `posts` past ingest hides nobody there; from there on it is ours to do."""
FORMS = (*LIVE, *RECORDED)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def by_strangers() -> dict[str, list[bytes]]:
    """Return records that somebody wrote to our topics, each unusable for another reason."""
    whole = encode(make_post(1, author=STRANGER, text=STRANGER))
    event = encode(make_event("edit", 1, author=STRANGER, text=STRANGER))
    names = STRANGER.encode()
    return {
        POSTS: [
            whole[:-5],
            b"\xff" + whole,
            b"[" + whole + b"]",
            b'{"x":' * 5_000 + whole + b"}" * 5_000,
            whole.replace(b'"v":1', b'"v":"' + names + b'"'),
            whole.replace(b'"lang":', b'"lang":7,"was":'),
            whole.replace(b'"author":', b'"author":null,"was":'),
            whole.replace(b'"ingested_at":"', b'"ingested_at":"' + names),
            whole.replace(b'"source":"', b'"source":"' + names * 3),
        ],
        POST_EVENTS: [
            event.replace(b'"kind":"edit"', b'"kind":"' + names + b'"'),
            event.replace(b'"text":', b'"was":'),
            event[:-5],
        ],
    }


class Search:
    """What was found where it must not be."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.searched: Counter[str] = Counter()

    def look(self, place: str, content: bytes, *words: str) -> None:
        """Search bytes for words."""
        self.searched[place.partition(" ")[0]] += len(content)
        for word in words:
            self.found |= {f"{word} in {place}, {form}" for form in traces(word, content)}


def bring(name: str, settings: Settings, directory: Path, search: Search) -> int:
    """Run ingest on a source until all its failures are in Kafka; return how many there were."""
    before = len(letters_of(settings, name))
    with failing(name, directory) as failures:
        ingest: Any = {"author_key": KEY, "cursor_dir": str(directory / "state")}
        ingest["source_secret"] = failures.secret
        own = build({"kafka": {"bootstrap_servers": settings.kafka.bootstrap_servers,
                               "max_message_bytes": 60_000}, "ingest": ingest})  # fmt: skip
        source = make_source(own, name.partition(":")[0], None, failures.options)
        producer, stop = RecordProducer(own.kafka), threading.Event()
        store = CursorStore(directory / "state", source.name)
        metrics = source.context.metrics
        runner = make_runner(own, source, producer, store, metrics, SystemClock(), stop)
        thread = threading.Thread(target=runner.run, name=f"ingest {name}")
        thread.start()
        try:
            wanted = failures.publish()
            wait_until(
                lambda: len(letters_of(settings, name)) - before >= wanted,
                f"the {wanted} failures of {name} are in dead-posts",
                can_still=lambda: thread.is_alive() or name in RECORDED,
            )
        finally:
            stop.set()
            thread.join(60)
            producer.close()
        search.look(f"metrics of ingest {name}", generate_latest(metrics.registry), AUTHOR, TEXT)
    return wanted


def letters_of(settings: Settings, name: str) -> list[DeadPost]:
    """Return the dead letters that ingest wrote of a source."""
    letters = [dead_post_decoder.decode(r.value) for r in read_topic(settings.kafka, DEAD_POSTS)]
    return [one for one in letters if one.detail.startswith(f"source {name.partition(':')[0]}:")]


def search_topics(settings: Settings, search: Search) -> None:
    """Search every record of every topic: its key, its value, its headers."""
    with TopicAdmin(settings.kafka) as admin:
        names = [state.name for state in admin.describe()]
    assert set(TOPICS) <= set(names)
    for topic in names:
        for record in read_topic(settings.kafka, topic):
            value = record.value or b""
            rest = repr((record.key, record.headers)).encode() + (record.key or b"")
            search.look(f"topic {topic}, keys and headers", rest, AUTHOR, TEXT, STRANGER)
            search.look(f"topic {topic}", value, AUTHOR)
            if topic not in (POSTS, POST_EVENTS):
                search.look(f"topic {topic}", value, TEXT, STRANGER)


def search_redis(url: str, search: Search) -> None:
    """Search every key and every value."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            parts: list[Any] = [key, client.dump(key)]
            match client.type(key):
                case b"hash":
                    parts += [part for pair in client.hgetall(key).items() for part in pair]
                case b"set":
                    parts += client.smembers(key)
                case b"zset":
                    parts += client.zrange(key, 0, -1)
                case b"string":
                    parts.append(client.get(key))
                case b"list":
                    parts += client.lrange(key, 0, -1)
            for part in parts:
                search.look("Redis", part, AUTHOR, TEXT, STRANGER)


def search_files(directory: Path, search: Search) -> None:
    """Search what processes wrote beside Kafka and Redis: samples, cursors, memories, logs."""
    for path in directory.rglob("*"):
        if path.is_file():
            place = f"file {path.relative_to(directory)}"
            search.look(place, path.read_bytes(), AUTHOR, TEXT, STRANGER)
            search.look("name of a file", str(path).encode(), AUTHOR, TEXT, STRANGER)


def test_no_failing_item_gives_its_author_away(
    make_stream: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = make_stream(ingest={"author_key": KEY}, kafka={"max_message_bytes": 60_000})
    search, wanted = Search(), Counter[str]()
    set_up(LogSettings(level="debug", format="json"), "ingest")
    with reserved_port() as port:
        stream.start_worker("w1", metrics__port=port, log__level="debug")
        strangers = by_strangers()
        for topic, values in strangers.items():
            stream.produce(topic, [(b"key", value) for value in values])
        for name in FORMS:
            home = tmp_path / "ingest" / name.replace(":", "-")
            (home / "state").mkdir(parents=True)
            wanted[name.partition(":")[0]] += bring(name, stream.settings, home, search)
        posts = len(list(read_topic(stream.settings.kafka, POSTS)))
        stream.wait_until(lambda: stream.accounted() >= posts, "counting all posts")
        lost = len(strangers[POST_EVENTS])
        stream.wait_until(
            lambda: sum(one.topic == POST_EVENTS for one in stream.dead()) >= lost, "letters"
        )
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
        search.look("metrics of the worker", page, AUTHOR, TEXT, STRANGER)
    stream.stop_workers()

    search_topics(stream.settings, search)
    search_redis(stream.redis.url, search)
    for path in (tmp_path / "ingest").iterdir():
        search_files(path / "state", search)
    search_files(stream.directory, search)
    shown = capsys.readouterr()
    search.look("log of ingest", (shown.out + shown.err).encode(), AUTHOR, TEXT, STRANGER)

    assert search.found == set()
    assert {"topic", "Redis", "file", "log", "metrics"} <= set(search.searched)
    assert "source opened" in shown.err
    assert shown.err.count("source stopped") + shown.err.count("source ended") == len(FORMS)
    check_letters(stream.settings, wanted, sum(map(len, strangers.values())))
    samples = list((tmp_path / "ingest").rglob("*.samples/*.json"))
    assert {path.parent.name.partition(".")[0] for path in samples} == set(wanted)


def check_letters(settings: Settings, wanted: Mapping[str, int], by_strangers: int) -> None:
    """Check that all that failed is there, holds the canaries, and opens for who has the key."""
    sealer = Sealer(build({"ingest": {"author_key": KEY}}).ingest.author_key)
    for name, count in wanted.items():
        letters = letters_of(settings, name)
        opened = [sealer.open(one.payload, one.sealed_by) for one in letters]
        assert len(letters) == count, name
        assert all(one.sealed_by == sealer.key_id for one in letters)
        words = [AUTHOR.encode(), TEXT.encode()]
        # What Unicode cannot carry and an empty entry are kept as their kind only.
        short = sum(len(one) < 40 for one in opened)
        named = sum(any(word in one for word in words) for one in opened)
        assert named >= count - min(short, 2), name
    letters = [dead_post_decoder.decode(r.value) for r in read_topic(settings.kafka, DEAD_POSTS)]
    opened = [sealer.open(one.payload, one.sealed_by) for one in letters if one.offset >= 0]
    assert sum(STRANGER.encode() in one for one in opened) == by_strangers


def test_every_source_has_its_failures_or_a_reason_to_have_none() -> None:
    assert {name.partition(":")[0] for name in FORMS} | set(NOBODY) == set(SOURCES.names())


@pytest.mark.parametrize("form", forms(AUTHOR))
def test_a_canary_is_found_in_each_form(form: str) -> None:
    import base64

    encoded = forms(AUTHOR)[form]
    assert form in traces(AUTHOR, b"before " + encoded + b" behind")
    assert traces(AUTHOR, b"nothing of the kind") == []
    for shift in range(7):
        packed = base64.b64encode(b"x" * shift + AUTHOR.encode() + b"and more")
        assert any(name.startswith("base64") for name in traces(AUTHOR, packed))


def test_the_words_beside_a_dead_letter_are_written_by_us() -> None:
    """Details are literals, or literals with numbers and names of types and fields in them."""
    places = [
        *(REPOSITORY / "services/ingest/sources").rglob("*.py"),
        *(REPOSITORY / "services/ingest/replay").rglob("*.py"),
    ]
    filled = Counter[str]()
    for path in places:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Unmappable", "Malformed", "BadRow", "_unmappable")
            ):
                filled |= Counter(
                    ast.unparse(part.value)
                    for argument in node.args[1:]
                    for part in ast.walk(argument)
                    if isinstance(part, ast.FormattedValue)
                )
    assert set(filled) <= ALLOWED_IN_DETAILS


ALLOWED_IN_DETAILS = {
    "detail",
    "encoding",
    "error",
    "error.reason",
    "fault",
    "fields.detail",
    "len(event.data)",
    "len(row)",
    "line.detail",
    "place",
    "refused",  # replay shows the value to who looks at the file, and takes it out of letters
    "row",
    "type(error).__name__",
    "type(tree).__name__",
    "why",
    "width",
    "without_values(str(error))",
}
"""`error` is of the module csv, which quotes nothing; `detail` and `place` are literals."""
