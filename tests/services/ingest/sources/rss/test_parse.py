"""Feeds as posts: formats, ids, odd documents and noise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.authors import author_hasher
from core.codec import encode, post_decoder
from core.schemas import Attached, Post
from core.settings import Secret
from services.ingest.sources.base import Unmappable
from services.ingest.sources.rss.parse import Entry, parse, parse_feed
from services.ingest.sources.web import is_public
from testkit.platforms.rss.server import rss_document

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


def document(items: str, encoding: str = "utf-8", before: str = "") -> bytes:
    return (
        f"<?xml version='1.0' encoding='{encoding}'?>{before}"
        f"<rss version='2.0'><channel>{items}</channel></rss>"
    ).encode(encoding)


def item(guid: str, title: str, more: str = "") -> str:
    return f"<item><guid>{guid}</guid><title>{title}</title>{more}</item>"


def texts(body: bytes) -> list[str]:
    posts = [entry.record for entry in reversed(entries(body))]
    return [post.text if isinstance(post, Post) else post.detail for post in posts]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (document(item("1", "Flood &#55357;&#56832; now") + item("2", "ok é 😀")),
         ["Flood \ufffd\ufffd now", "ok é 😀"]),
        (document(item("1", "a &#0; &#11; &#xFFFE; &#x1F600; &#99999999999; b")),
         ["a     \ufffd 😀 \ufffd b"]),
        (document(item("1", "a \x0b b")), ["a   b"]),
        (document(item("1", "über XX é")).replace(b"XX", b"\xe9"), ["über \ufffd é"]),
        (document(item("1", "only XX")).replace(b"XX", b"\xe9"), ["only \ufffd"]),
        (document(item("1", "über é ö ß"), "latin-1").replace(b"latin-1", b"utf-8"),
         ["über é ö ß"]),
        (document(item("1", "über é")).replace(b"'utf-8'", b"'iso-8859-1'"), ["über é"]),
        (b"\xef\xbb\xbf" + document(item("1", "über é")), ["über é"]),
        (document(item("1", "Привет"), "windows-1251"), ["Привет"]),
        (document(item("1", "日本"), "shift_jis"), ["日本"]),
        (document(item("1", "日本"), "iso-2022-jp"), ["日本"]),
        (document(item("1", "a&nbsp;b &eacute; &foo;")), ["a\xa0b é &foo;"]),
        (document(item("1", "food &amp;amp; drink")), ["food & drink"]),
    ],
)  # fmt: skip
def test_one_bad_character_costs_no_more_than_itself(body: bytes, expected: list[str]) -> None:
    assert texts(body) == expected


ABOUT = "<![CDATA[&lt;!DOCTYPE x [<!ENTITY xxe SYSTEM 'file:///etc/passwd'>]> explained]]>"
OLD_TYPE = '<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://x.test/rss.dtd">'


@pytest.mark.parametrize("before", ["", OLD_TYPE, f"<!-- x -->\n{OLD_TYPE}\n<!-- y -->"])
def test_an_entry_about_entities_is_read(before: str) -> None:
    (text,) = texts(document(item("1", ABOUT), before=before))
    assert text.endswith("explained")


@pytest.mark.parametrize(
    "before",
    [
        "<!DOCTYPE l [<!ENTITY e 'ha'>]>",
        "<!-- <rss > --><!DOCTYPE l [<!ENTITY e 'ha'>]>",
        "<!DOCTYPE l [<!ATTLIST x y CDATA '<![CDATA['><!ENTITY e 'ha'>]>",
        "<!doctype l [\n<!ENTITY e 'ha'>]>",
        f"{OLD_TYPE}<!DOCTYPE l [<!ENTITY e 'ha'>]>",
        f"{' ' * 3000}<!DOCTYPE l SYSTEM 'x' [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
        f"<!--{'x' * 30000}<rss >--><!DOCTYPE l [<!ENTITY e 'ha'>]>",
    ],
)
def test_entities_are_refused_wherever_a_document_type_declares_them(before: str) -> None:
    found = parse_feed(document(item("1", "&e;"), before=before), URL, NOW)
    assert isinstance(found, Unmappable)
    assert "entities" in found.detail


def test_an_entry_that_cannot_be_mapped_does_not_cost_the_others() -> None:
    def refuse(name: str) -> str:
        if "bad" in name:
            raise RuntimeError("no")
        return name

    body = document(
        item("1", "x", "<author>bad</author>") + item("2", "good", "<author>ana</author>")
    )
    found = parse_feed(body, URL, NOW, refuse)
    assert isinstance(found, list)
    assert [type(entry.record) for entry in found] == [Post, Unmappable]


def ids(body: bytes) -> list[str]:
    posts = [entry.record for entry in entries(body)]
    return [post.id for post in posts if isinstance(post, Post)]


@pytest.mark.parametrize("guid", ["0", "-1", "null", "", "7", "https://x.test/same"])
def test_entries_that_share_an_id_are_as_many_posts(guid: str) -> None:
    body = document("".join(item(guid, title) for title in ("one", "two", "three")))
    assert len(set(ids(body))) == 3
    assert ids(body) == ids(body)
    with_links = document(
        "".join(item(guid, "same title", f"<link>https://x.test/{n}</link>") for n in range(3))
    )
    assert len(set(ids(with_links))) == 3 or guid not in ("0", "-1", "null", "")


def test_the_same_entry_twice_is_one_post() -> None:
    assert len(set(ids(document(item("7", "one") + item("7", "one"))))) == 1


def test_categories_and_links_of_an_entry_stand_beside_its_text() -> None:
    more = (
        "<category>flood</category><category>new york</category>"
        "<description>see &lt;a href='https://a.test/x'&gt;here&lt;/a&gt;</description>"
    )
    post = entries(document(item("1", "t", more)))[0].record
    assert isinstance(post, Post)
    assert post.attached == Attached(tags=("flood", "new york"), links=("https://a.test/x",))


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
