from typing import Any, ClassVar

import pytest
from msgspec import Struct

from core.errors import ConfigError
from core.metrics import Metrics
from core.schemas import Post, PostEvent
from core.settings import IngestSettings, Secret, Settings
from services.ingest.edge import Edge
from services.ingest.launch import make_source
from services.ingest.sources import SOURCES
from services.ingest.sources.base import RawRecord, Source, SourceContext, SourceItem, Unmappable
from services.ingest.sources.synthetic.options import SyntheticOptions
from services.ingest.sources.synthetic.source import SyntheticSource
from testkit.builders import make_post

ENGLISH = "The council has decided today that every train to the harbour will be replaced by buses"
SPANISH = "El consejo ha decidido hoy que todos los trenes al puerto sean sustituidos por autobuses"


class Options(Struct, frozen=True):
    authors: str = "hashed"


class LiveStub(Source[Options]):
    """Delivers nothing; only its class is looked at."""

    name: ClassVar[str] = "livestub"
    Options = Options

    def open(self, cursor: object) -> None:
        return

    def poll(self, max_items: int, timeout_s: float) -> list[SourceItem]:
        return []

    @property
    def exhausted(self) -> bool:
        return False


def make_edge(metrics: Metrics | None = None, **settings: Any) -> Edge:
    source = LiveStub(Options(), SourceContext(state_dir=None))  # type: ignore[arg-type]
    ingest = IngestSettings(**{"copies_remembered": 1_000, **settings})  # type: ignore[arg-type]
    return Edge(source, ingest, metrics or Metrics())


def posts_of(items: list[SourceItem]) -> list[Post]:
    return [item.record for item in items if isinstance(item.record, Post)]


def items_of(*records: object) -> list[SourceItem]:
    return [SourceItem(record, at) for at, record in enumerate(records)]  # type: ignore[arg-type]


def test_a_language_that_nobody_told_is_detected_and_one_that_was_told_is_believed():
    metrics = Metrics()
    found = make_edge(metrics)(
        items_of(
            make_post(1, text=ENGLISH, lang=""),
            make_post(2, text=SPANISH, lang=""),
            make_post(3, text=SPANISH, lang="en"),
            make_post(4, text="ok then 12", lang=""),
        )
    )
    assert [post.lang for post in posts_of(list(found))] == ["en", "es", "en", ""]
    for outcome, count in {"detected": 2, "told": 1, "unsure": 1}.items():
        labels = {"source": "livestub", "found": outcome}
        value = metrics.registry.get_sample_value("groundswell_source_languages_total", labels)
        assert value == count, outcome


def test_an_edit_gets_the_language_of_its_new_text():
    at = make_post(1).ingested_at
    event = PostEvent(
        kind="edit", post_id="1", source="livestub", author="a", ingested_at=at, text=SPANISH
    )
    (item,) = make_edge()(items_of(event))
    assert isinstance(item.record, PostEvent)
    assert item.record.lang == "es"


def test_copies_of_other_authors_and_reposts_are_marked_and_first_posts_are_not():
    metrics = Metrics()
    found = make_edge(metrics)(
        items_of(
            make_post(1, author="a", text=ENGLISH),
            make_post(2, author="b", text=f"{ENGLISH}!! https://x.example"),
            make_post(3, author="c", text="short", repost_of="1"),
            make_post(4, author="d", text=SPANISH),
        )
    )
    assert [post.near_duplicate for post in posts_of(list(found))] == [False, True, True, False]
    labels = {"source": "livestub"}
    assert (
        metrics.registry.get_sample_value("groundswell_source_near_duplicates_total", labels) == 2
    )


def test_what_a_source_delivers_again_is_not_a_copy_of_itself():
    post = make_post(1, text=ENGLISH)
    items = [SourceItem(post, 1), SourceItem(post, 2, duplicate=True)]
    assert [p.near_duplicate for p in posts_of(list(make_edge()(items)))] == [False, False]


def test_items_keep_their_order_their_cursors_and_whatever_is_no_post():
    raw, odd = RawRecord(b"{}", "a"), Unmappable(b"x", "why")
    items = items_of(make_post(1, text=ENGLISH), raw, make_post(2, text=ENGLISH), odd)
    found = make_edge()(items)
    assert [item.cursor for item in found] == [0, 1, 2, 3]
    assert found[1] is items[1]
    assert found[3] is items[3]


@pytest.mark.parametrize("switch", [{"mark_copies": "none"}, {"copies_remembered": 0}])
def test_what_is_switched_off_is_not_done(switch: dict[str, Any]):
    edge = make_edge(detect_language="none", **switch)
    items = items_of(make_post(1, text=ENGLISH, lang=""), make_post(2, text=ENGLISH, lang=""))
    assert edge(items) == items


def test_recordings_stay_as_they_are_unless_asked_for():
    context = SourceContext(state_dir=None)  # type: ignore[arg-type]
    source = SyntheticSource(SyntheticOptions(), context)
    items = items_of(*(make_post(i, text=ENGLISH, lang="") for i in range(2)))
    assert Edge(source, IngestSettings(), Metrics())(items) == items
    asked = IngestSettings(mark_copies="all", detect_language="all", copies_remembered=10)
    marked = posts_of(list(Edge(source, asked, Metrics())(items)))
    assert [(post.near_duplicate, post.lang) for post in marked] == [(False, "en"), (True, "en")]


@pytest.fixture
def live_source(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(SOURCES, "get", lambda name: LiveStub)
    return LiveStub.name


def test_a_live_source_does_not_start_without_a_key(live_source: str):
    with pytest.raises(ConfigError, match=r"ingest\.author_key is empty: the source livestub"):
        make_source(Settings(), live_source)


def test_a_live_source_starts_with_a_key_or_of_public_figures(live_source: str):
    keyed = Settings(ingest=IngestSettings(author_key=Secret("k")))
    assert make_source(keyed, live_source).context.author_key == Secret("k")
    assert make_source(Settings(), live_source, overrides={"authors": "public"})


def test_every_registered_source_that_is_live_refuses_to_start_without_a_key():
    live = [name for name in SOURCES.names() if SOURCES.get(name).is_live]
    for name in live:
        with pytest.raises(ConfigError):
            make_source(Settings(), name)
    assert not {"replay", "synthetic"} & set(live)


@pytest.mark.parametrize(
    ("key", "authors", "kept"),
    [("k", "hashed", False), ("k", "public", True), ("", "hashed", True)],
)
def test_the_address_of_a_hidden_authors_post_is_left_out(key: str, authors: str, kept: bool):
    source = LiveStub(Options(authors), SourceContext(state_dir=None))  # type: ignore[arg-type]
    edge = Edge(source, IngestSettings(author_key=Secret(key)), Metrics())
    (post,) = posts_of(list(edge(items_of(make_post(1, url="https://a.example/@ana/1")))))
    assert (post.url is not None) == kept
