"""Small exports in the formats of well-known tools, written after their public documentation.

Each comes with what a plain program, which knows this one format and nothing else, counts in it.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import zstandard

Told = tuple[str, str, datetime, str]
"""Id, author, time and text of a post."""

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PEOPLE = ("ana", "ben", "cleo", "dan")
TEXTS = (
    "The flood took the footbridge, again.",
    "So kind of the crew to stay all night",
    "A disgrace: no bus since seven",
    "Volunteers wanted at the harbour, bring gloves",
    "¿Alguien sabe si abre el puente?",
    "Die Straße ist wieder frei 🎉",
    "Thanks to everyone who carried sandbags",
    "Still no answer from the council",
)


@dataclass(frozen=True)
class Export:
    """One export and how a plain program reads it."""

    name: str
    content: bytes
    plain: Callable[[bytes], list[Told]]


_first_numbers = itertools.count(100, 100)


def posts(step_s: float = 37) -> list[tuple[int, str, datetime, str]]:
    """Number, author, time and text of 24 posts; the numbers are of no other export."""
    first = next(_first_numbers)
    return [
        (first + n, PEOPLE[n % len(PEOPLE)], START + timedelta(seconds=n * step_s),
         TEXTS[n % len(TEXTS)])
        for n in range(24)
    ]  # fmt: skip


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def lines(values: list[Any]) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def read_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.decode().splitlines()]


def table(
    header: list[str], rows: list[list[Any]], sign: str = ",", encoding: str = "utf-8"
) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=sign, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue().encode(encoding)


def read_table(content: bytes, sign: str = ",", encoding: str = "utf-8") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(encoding), newline=""), delimiter=sign))


def twitter_v2() -> Export:
    """Pages of the search of API v2, newest first, a page on each line."""
    found = list(reversed(posts()))
    pages = []
    for start in range(0, len(found), 10):
        page = found[start : start + 10]
        data = [
            {"id": str(160 * 10**16 + n), "author_id": str(100 + n % 4), "created_at": iso(at),
             "text": text, "lang": "en", "edit_history_tweet_ids": [str(n)],
             "public_metrics": {"like_count": n}}
            for n, _, at, text in page
        ]  # fmt: skip
        users = [{"id": str(100 + i), "username": name, "name": name.title()}
                 for i, name in enumerate(PEOPLE)]  # fmt: skip
        pages.append({"data": data, "includes": {"users": users},
                      "meta": {"result_count": len(data)}})  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        told: list[Told] = []
        for page in read_lines(content):
            names = {user["id"]: user["username"] for user in page["includes"]["users"]}
            told += [
                (t["id"], names[t["author_id"]], datetime.fromisoformat(t["created_at"]), t["text"])
                for t in page["data"]
            ]
        return told

    return Export("twitter_v2.jsonl", lines(pages), plain)


def twitter_archive() -> Export:
    """The zip archive that Twitter hands out to an account's owner."""
    tweets = [
        {"tweet": {"id": str(n), "id_str": str(160 * 10**16 + n), "full_text": text, "lang": "en",
                   "created_at": f"{at:%a %b %d %H:%M:%S +0000 %Y}", "favorite_count": "0",
                   "entities": {"hashtags": [], "urls": []}}}
        for n, _, at, text in reversed(posts())
    ]  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        script = "window.YTD.tweets.part0 = " + json.dumps(tweets, indent=2)
        archive.writestr("data/tweets.js", script)
        archive.writestr("data/account.js", 'window.YTD.account.part0 = [{"account": {}}]')
        archive.writestr("Your archive.html", "<html></html>")

    def plain(content: bytes) -> list[Told]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            script = archive.read("data/tweets.js").decode()
        return [
            (t["tweet"]["id_str"], "archive-owner",
             datetime.strptime(t["tweet"]["created_at"], "%a %b %d %H:%M:%S %z %Y"),
             t["tweet"]["full_text"])
            for t in json.loads(script[script.index("["):])
        ]  # fmt: skip

    return Export("twitter-2026-03-01.zip", packed.getvalue(), plain)


def twitter_v1() -> Export:
    """Statuses of API v1.1, one a line, as twarc writes them."""
    statuses = [
        {"created_at": f"{at:%a %b %d %H:%M:%S +0000 %Y}", "id": 160 * 10**16 + n,
         "id_str": str(160 * 10**16 + n), "full_text": text, "lang": "en",
         "user": {"id_str": "9", "name": name.title(), "screen_name": name},
         "in_reply_to_status_id_str": None, "is_quote_status": False}
        for n, name, at, text in posts()
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (s["id_str"], s["user"]["screen_name"],
             datetime.strptime(s["created_at"], "%a %b %d %H:%M:%S %z %Y"), s["full_text"])
            for s in read_lines(content)
        ]  # fmt: skip

    return Export("tweets.jsonl", lines(statuses), plain)


def snscrape() -> Export:
    """What snscrape writes with --jsonl: newest first."""
    scraped = [
        {"_type": "snscrape.modules.twitter.Tweet", "url": f"https://twitter.com/{name}/status/{n}",
         "date": f"{at:%Y-%m-%dT%H:%M:%S}+00:00", "rawContent": text, "renderedContent": text,
         "id": 160 * 10**16 + n, "user": {"username": name, "id": n % 4, "displayname": "x"},
         "lang": "en", "inReplyToTweetId": None}
        for n, name, at, text in reversed(posts())
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (
                str(t["id"]),
                t["user"]["username"],
                datetime.fromisoformat(t["date"]),
                t["rawContent"],
            )
            for t in read_lines(content)
        ]

    return Export("scraped.json", lines(scraped), plain)


def mastodon_outbox() -> Export:
    """The outbox.json of an account's archive: activities around notes, and boosts."""
    me = "https://social.example/users/ana"
    created: list[Any] = [
        {"id": f"{me}/statuses/{n}/activity", "type": "Create", "actor": me,
         "published": f"{at:%Y-%m-%dT%H:%M:%SZ}", "to": ["https://www.w3.org/ns/activitystreams#Public"],
         "object": {"id": f"{me}/statuses/{n}", "type": "Note", "summary": None, "inReplyTo": None,
                    "published": f"{at:%Y-%m-%dT%H:%M:%SZ}", "url": f"https://social.example/@ana/{n}",
                    "attributedTo": me, "content": f"<p>{text}</p>",
                    "contentMap": {"en": f"<p>{text}</p>"}, "attachment": [], "tag": []}}
        for n, _, at, text in posts()
    ]  # fmt: skip
    created.insert(5, {"id": f"{me}/statuses/1/activity", "type": "Announce", "actor": me,
                       "published": "2026-03-01T10:01:00Z",
                       "object": "https://other.example/users/x/statuses/1"})  # fmt: skip
    outbox = {"@context": "https://www.w3.org/ns/activitystreams", "id": "outbox.json",
              "type": "OrderedCollection", "totalItems": 25, "orderedItems": created}  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (a["object"]["id"], a["object"]["attributedTo"],
             datetime.fromisoformat(a["object"]["published"]),
             re.sub(r"</?p>", "", a["object"]["content"]))
            for a in json.loads(content)["orderedItems"] if a["type"] == "Create"
        ]  # fmt: skip

    return Export("outbox.json", json.dumps(outbox).encode(), plain)


def truth_social() -> Export:
    """Statuses as Mastodon's API and those who speak it give them: an array, newest first."""
    statuses = [
        {"id": str(110 * 10**15 + n), "created_at": iso(at), "in_reply_to_id": None,
         "language": "en", "sensitive": False, "spoiler_text": "",
         "visibility": "public", "reblog": None,
         "uri": f"https://truth.example/@{name}/{n}", "url": f"https://truth.example/@{name}/{n}",
         "content": f"<p>{text.replace('&', '&amp;')}</p>",
         "account": {"id": str(n % 4), "username": name, "acct": name, "display_name": "X"}}
        for n, name, at, text in reversed(posts())
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (s["id"], s["account"]["acct"], datetime.fromisoformat(s["created_at"]),
             s["content"].removeprefix("<p>").removesuffix("</p>"))
            for s in json.loads(content)
        ]  # fmt: skip

    return Export("truths.json", json.dumps(statuses, indent=2).encode(), plain)


def bluesky_feed() -> Export:
    """A page of app.bsky.feed.getAuthorFeed, newest first."""
    feed = [
        {"post": {"uri": f"at://did:plc:{name}/app.bsky.feed.post/3k{n}", "cid": f"bafy{n}",
                  "author": {"did": f"did:plc:{name}", "handle": f"{name}.bsky.example"},
                  "record": {"$type": "app.bsky.feed.post", "createdAt": iso(at), "langs": ["en"],
                             "text": text},
                  "replyCount": 0, "likeCount": n, "indexedAt": iso(at + timedelta(seconds=2))}}
        for n, name, at, text in reversed(posts())
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (f["post"]["uri"], f["post"]["author"]["handle"],
             datetime.fromisoformat(f["post"]["record"]["createdAt"]), f["post"]["record"]["text"])
            for f in json.loads(content)["feed"]
        ]  # fmt: skip

    return Export("feed.json", json.dumps({"feed": feed, "cursor": "x"}).encode(), plain)


def reddit_submissions() -> Export:
    """A monthly dump of submissions: zstd with a long window, JSON lines."""
    things = [
        {"id": f"a{n}", "name": f"t3_a{n}", "author": name, "created_utc": int(at.timestamp()),
         "title": text, "selftext": "" if n % 2 else f"More on {n}.", "subreddit": "harbour",
         "permalink": f"/r/harbour/comments/a{n}/x/", "url": "https://x.example", "score": n}
        for n, name, at, text in posts()
    ]  # fmt: skip
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(lines(things))

    def plain(content: bytes) -> list[Told]:
        unpacked = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(content).read()
        return [
            (t["name"], t["author"], datetime.fromtimestamp(t["created_utc"], UTC),
             "\n\n".join(part for part in (t["title"], t["selftext"]) if part))
            for t in read_lines(unpacked)
        ]  # fmt: skip

    return Export("RS_2026-03.zst", packed, plain)


def reddit_comments() -> Export:
    """Comments of a dump, seconds as text, as older months have them."""
    things = [
        {"id": f"c{n}", "author": name, "created_utc": str(int(at.timestamp())), "body": text,
         "parent_id": "t3_a1", "link_id": "t3_a1", "subreddit": "harbour", "score": 1}
        for n, name, at, text in posts()
    ]  # fmt: skip
    packed = zstandard.compress(lines(things))

    def plain(content: bytes) -> list[Told]:
        unpacked = zstandard.ZstdDecompressor().stream_reader(content).read()
        return [
            (f"t1_{t['id']}", t["author"], datetime.fromtimestamp(int(t["created_utc"]), UTC),
             t["body"])
            for t in read_lines(unpacked)
        ]  # fmt: skip

    return Export("RC_2026-03.zst", packed, plain)


def crowdtangle() -> Export:
    """The CSV of a social listening tool: spaces in names, Eastern time, newest first."""
    header = [
        "Page Name",
        "User Name",
        "Post Id",
        "Post Created",
        "Type",
        "Likes",
        "Message",
        "URL",
    ]
    rows = [
        [name.title(), name, f"10{n}",
         f"{at - timedelta(hours=5):%Y-%m-%d %H:%M:%S} EST",
         "Link", f"{n:,}", text, f"https://www.facebook.example/{n}"]
        for n, name, at, text in reversed(posts())
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        eastern = timezone(timedelta(hours=-5))
        return [
            (r["Post Id"], r["User Name"],
             datetime.strptime(r["Post Created"], "%Y-%m-%d %H:%M:%S EST").replace(tzinfo=eastern),
             r["Message"])
            for r in read_table(content)
        ]  # fmt: skip

    return Export("2026-03-historical-report.csv", table(header, rows), plain)


def german_spreadsheet() -> Export:
    """A German spreadsheet saved as CSV: semicolons, cp1252, day.month.year."""
    header = ["Tweet Id", "Datum", "Username", "Text"]
    rows = [
        [f"n{n}", f"{at:%d.%m.%Y %H:%M}", name, text.replace(" 🎉", " für alle")]
        for n, name, at, text in posts(60)
    ]

    def plain(content: bytes) -> list[Told]:
        return [
            (r["Tweet Id"], r["Username"],
             datetime.strptime(r["Datum"], "%d.%m.%Y %H:%M").replace(tzinfo=UTC), r["Text"])
            for r in read_table(content, ";", "cp1252")
        ]  # fmt: skip

    return Export("Tabelle1.csv", table(header, rows, ";", "cp1252"), plain)


def unicode_text() -> Export:
    """What a spreadsheet calls Unicode text: UTF-16, tabs; not in order."""
    header = ["Datetime", "Tweet Id", "Text", "Username"]
    rows = [[f"{at:%Y-%m-%d %H:%M:%S}", f"{n}", text, name] for n, name, at, text in posts()]
    rows = rows[12:] + rows[:12]

    def plain(content: bytes) -> list[Told]:
        return [
            (r["Tweet Id"], r["Username"],
             datetime.strptime(r["Datetime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC), r["Text"])
            for r in read_table(content, "\t", "utf-16")
        ]  # fmt: skip

    return Export("posts.txt", table(header, rows, "\t", "utf-16"), plain)


def telegram() -> Export:
    """The result.json of Telegram Desktop: texts in pieces, and service messages."""
    messages: list[Any] = [
        {"id": n, "type": "message", "date": f"{at + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}",
         "date_unixtime": str(int(at.timestamp())), "from": name, "from_id": f"user{n % 4}",
         "text": text if n % 3 else [text, {"type": "hashtag", "text": " #flood"}],
         "text_entities": []}
        for n, name, at, text in posts()
    ]  # fmt: skip
    messages.insert(0, {"id": 900, "type": "service", "date": "2026-03-01T10:00:00",
                        "date_unixtime": "1772359200", "actor": "ana", "action": "create_channel",
                        "text": "", "text_entities": []})  # fmt: skip
    chat = {"name": "Harbour", "type": "public_channel", "id": 7, "messages": messages}

    def plain(content: bytes) -> list[Told]:
        def whole(text: Any) -> str:
            pieces = [text] if isinstance(text, str) else text
            return "".join(p if isinstance(p, str) else p["text"] for p in pieces)

        return [
            (str(m["id"]), m["from"], datetime.fromtimestamp(int(m["date_unixtime"]), UTC),
             whole(m["text"]))
            for m in json.loads(content)["messages"] if m["type"] == "message"
        ]  # fmt: skip

    return Export("result.json", json.dumps(chat, indent=1).encode(), plain)


def video_comments() -> Export:
    """What youtube-comment-downloader writes: `time` is an age, `time_parsed` a time."""
    comments = [
        {"cid": f"Ug{n}", "text": text, "time": f"{n} days ago", "author": f"@{name}",
         "channel": f"UC{n % 4}", "votes": "3", "heart": False, "reply": False,
         "time_parsed": at.timestamp()}
        for n, name, at, text in posts()
    ]  # fmt: skip

    def plain(content: bytes) -> list[Told]:
        return [
            (c["cid"], c["author"], datetime.fromtimestamp(c["time_parsed"], UTC), c["text"])
            for c in read_lines(content)
        ]

    return Export("comments.json", lines(comments), plain)


def chat_table() -> Export:
    """A chat exporter's CSV: a time with seven places, names with capitals."""
    header = ["AuthorID", "Author", "Date", "Content", "Attachments", "Reactions"]
    rows = [
        [f"{n % 4}", name, f"{at:%Y-%m-%dT%H:%M:%S}.0000000+00:00", text, "", ""]
        for n, name, at, text in posts()
    ]

    def plain(content: bytes) -> list[Told]:
        return [
            (
                "",
                r["Author"],
                datetime.fromisoformat(r["Date"].replace(".0000000", "")),
                r["Content"],
            )
            for r in read_table(content)
        ]

    return Export("channel.csv", table(header, rows), plain)


def mail_list() -> Export:
    """Feed entries saved as a table: RFC 2822 times, HTML in the body, a title."""
    header = ["guid", "pubDate", "author", "title", "content"]
    rows = [
        [f"g{n}", f"{at:%a, %d %b %Y %H:%M:%S} GMT", name, f"Notice {n}", f"<p>{text}</p>"]
        for n, name, at, text in posts()
    ]

    def plain(content: bytes) -> list[Told]:
        return [
            (r["guid"], r["author"], parsedate_to_datetime(r["pubDate"]),
             r["title"] + "\n\n" + re.sub(r"</?p>", "", r["content"]))
            for r in read_table(content)
        ]  # fmt: skip

    return Export("entries.csv", table(header, rows), plain)


EXPORTS = (
    twitter_v2(), twitter_archive(), twitter_v1(), snscrape(), mastodon_outbox(), truth_social(),
    bluesky_feed(), reddit_submissions(), reddit_comments(), crowdtangle(), german_spreadsheet(),
    unicode_text(), telegram(), video_comments(), chat_table(), mail_list(),
)  # fmt: skip
