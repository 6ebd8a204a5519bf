"""Feeds as posts: formats, ids, odd documents and noise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.authors import author_hasher
from core.codec import encode, post_decoder
from core.schemas import Post
from core.settings import Secret
from services.ingest.sources.base import Unmappable
from services.ingest.sources.public_web import is_public
from services.ingest.sources.rss.fake_site import rss_document
from services.ingest.sources.rss.parse import Entry, parse, parse_feed

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://news.test/feed"

ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de">
<title>Blatt</title><entry><id>tag:news.test,2026:1</id><title type="html">A &amp;amp; B</title>
<link href="https://news.test/1"/><updated>2026-03-01T10:00:00+02:00</updated>
<author><name>Eva  Muster</name></author><content type="html">&lt;p&gt;Eins&lt;br&gt;zwei</content>
</entry></feed>"""


def entries(body: bytes, url: str = URL) -> list[Entry]:
    found = parse_feed(body, url, NOW)
    assert isinstance(found, list), found
    return found


def test_atom_entry_becomes_a_post() -> None:
    (entry,) = entries(ATOM)
    post = entry.record
    assert isinstance(post, Post)
    assert (post.id, post.text) == ("tag:news.test,2026:1", "A & B\n\nEins\nzwei")
    assert (post.author, post.lang) == ("Eva Muster@news.test", "de")
    assert post.claimed_at == datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    assert post.url == "https://news.test/1"
    assert post_decoder.decode(encode(post)) == post


def test_ids_that_are_not_unique_by_themselves_name_their_feed() -> None:
    body = rss_document([("7", "t", "", NOW)])
    here, there = entries(body)[0].record, entries(body, "https://other.test/")[0].record
    assert isinstance(here, Post)
    assert isinstance(there, Post)
    assert here.id != there.id
    assert here.id.endswith(":7")
    assert entries(body)[0].key == entries(body)[0].key


@pytest.mark.parametrize(
    ("item", "ends"),
    [
        ("<guid>https://news.test/p/1</guid><title>t</title>", "https://news.test/p/1"),
        ("<link>https://news.test/p/2</link><title>t</title>", "https://news.test/p/2"),
        ("<title>only a title</title>", ""),
        (f"<guid>{'x' * 600}</guid><title>t</title>", ""),
    ],
)
def test_every_entry_has_an_id_that_stays(item: str, ends: str) -> None:
    body = f"<rss version='2.0'><channel><item>{item}</item></channel></rss>".encode()
    one, two = entries(body)[0].record, entries(body)[0].record
    assert isinstance(one, Post)
    assert isinstance(two, Post)
    assert one.id == two.id
    assert one.id.endswith(ends)
    assert len(one.id) <= 512


def test_an_entry_with_nothing_in_it_is_unmappable() -> None:
    body = b"<rss version='2.0'><channel><item><pubDate>x</pubDate></item></channel></rss>"
    assert isinstance(entries(body)[0].record, Unmappable)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8"])
def test_entities_are_refused_in_any_encoding(encoding: str) -> None:
    laughs = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE l [<!ENTITY a "{"ha" * 50}">'
        + "".join(f'<!ENTITY {x} "{("&" + y + ";") * 20}">' for x, y in ("ba", "cb", "dc", "ed"))
        + "]><rss version='2.0'><channel><item><title>&e;</title></item></channel></rss>"
    ).encode(encoding)
    found = parse_feed(laughs, URL, NOW)
    assert isinstance(found, Unmappable)
    assert "entities" in found.detail


def test_bytes_that_name_a_file_are_not_opened() -> None:
    assert isinstance(parse_feed(b"/etc/hostname", URL, NOW), Unmappable)


def test_a_document_that_breaks_off_gives_what_it_has() -> None:
    body = rss_document([(str(n), f"title {n}", "", NOW) for n in range(5)])
    found = entries(body[: len(body) * 2 // 3])
    assert 1 <= len(found) <= 5


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=200)
    | st.lists(st.text(max_size=12), max_size=6).map(
        lambda texts: (
            "<rss version='2.0'><channel>"
            + "".join(
                f"<item><{'guid' if n % 2 else 'title'}>{t}</item>" for n, t in enumerate(texts)
            )
        ).encode("utf-8", "replace")
    )
)
def test_any_bytes_can_be_parsed(body: bytes) -> None:
    for item in parse(body):
        if isinstance(item.record, Post):
            assert post_decoder.decode(encode(item.record)) == item.record
        else:
            assert isinstance(item.record, Unmappable)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("100.64.0.1", False), ("0.1.2.3", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("ff02::1", False), ("not an address", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_ids_of_hidden_authors_are_keyed_hashes_that_tell_entries_apart() -> None:
    def ids(key: str) -> list[str]:
        document = rss_document([(f"https://ana.test/{one}", "t", "", NOW) for one in "aAb"])
        hide = author_hasher(Secret(key))
        found = parse_feed(document, URL, NOW, hide, hides_ids=True)
        assert isinstance(found, list)
        return [one.record.id for one in found if isinstance(one.record, Post)]

    assert len(set(ids("k"))) == 3
    assert ids("k") == ids("k")
    assert not set(ids("k")) & set(ids("another"))
    assert not any("ana" in one for one in ids("k"))
