"""Which columns, or keys of JSON, say what of a post."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from core.errors import ConfigError
from core.suggest import did_you_mean
from services.ingest.sources.replay.options import COUNT_FIELDS, FIELDS, NeedsOption

KNOWN_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "id": (
        "post_id", "id", "tweet_id", "status_id", "comment_id", "message_id", "id_str", "uuid",
        "cid", "object_id", "guid", "uri",
    ),
    "author": (
        "author", "username", "screen_name", "user_screen_name", "author_username", "user_username",
        "user_name", "author_name", "user_handle", "author_handle", "handle", "account", "acct",
        "user", "from_user", "from", "author_display_name", "creator", "poster", "sender",
        "by", "author_id", "user_id", "account_id", "from_id", "page_name", "display_name",
        "autor", "auteur", "autore", "benutzer", "benutzername", "nutzer", "usuario", "utilisateur",
    ),
    "text": (
        "text", "full_text", "body", "content", "tweet", "tweet_text", "raw_content", "message",
        "original_text", "post_text", "status_text", "comment_text", "text_original",
        "text_display", "story_text", "selftext", "comment", "post", "post_content",
        "tweet_content", "caption", "texto", "texte", "testo", "tekst", "nachricht", "inhalt",
        "mensaje", "contenido", "contenu",
    ),
    "time": (
        "created_at", "claimed_at", "created_utc", "published_at", "published", "timestamp_utc",
        "utc_time", "datetime_utc", "datetime", "date_time", "timestamp", "created", "created_time",
        "create_time", "created_date", "creation_date", "creation_time", "post_created",
        "posted_at", "post_date", "post_time", "post_created_date", "publish_date", "publish_time",
        "pub_date", "tweet_date", "tweet_created", "tweet_created_at", "tweet_time", "local_time",
        "time_utc", "date_utc", "sent_at", "time_parsed", "date", "time", "indexed_at",
        "taken_at", "ts",
    ),
    "lang": ("lang", "language", "tweet_lang", "tweet_language", "langs"),
    "reply_to": (
        "reply_to", "in_reply_to", "in_reply_to_id", "in_reply_to_status_id", "reply_to_id",
        "in_reply_to_tweet_id", "parent_id", "reply_to_message_id",
    ),
    "repost_of": ("repost_of", "retweeted_status_id", "reblog_of_id"),
    "url": ("url", "link", "permalink", "tweet_url", "post_url", "permanent_url"),
    "title": ("title", "headline", "post_title"),
    "tags": ("tags", "hashtags", "hash_tags", "tag", "hashtag"),
    "links": ("links", "urls", "expanded_urls", "outlinks", "expanded_url", "tweet_urls"),
    "cards": ("cards", "card", "link_card", "card_title", "link_title", "link_text"),
    "alts": (
        "alts", "alt", "alt_text", "alt_texts", "image_alt", "media_description", "image_text",
        "media_attachments", "media", "images", "attachments",
    ),
    "polls": ("polls", "poll", "poll_options"),
    "likes": (
        "likes", "like_count", "likes_count", "favorite_count", "favorites_count", "favorites",
        "favourites", "favs", "num_likes", "n_likes", "total_likes", "reactions",
        "reaction_count", "reactions_count", "total_reactions", "upvotes", "ups",
        "attitudes_count", "digg_count", "favourites_count",
    ),
    "replies": (
        "replies", "reply_count", "replies_count", "num_replies", "n_replies", "total_replies",
        "comments", "comment_count", "comments_count", "num_comments", "n_comments",
        "total_comments",
    ),
    "reposts": (
        "reposts", "repost_count", "reposts_count", "retweets", "retweet_count", "retweets_count",
        "num_retweets", "n_retweets", "total_retweets", "rts", "reblogs", "reblog_count",
        "reblogs_count", "boosts", "boost_count", "boosts_count", "shares", "share_count",
        "shares_count", "num_shares", "total_shares", "forwards", "forward_count",
    ),
    "quotes": (
        "quotes", "quote_count", "quotes_count", "quoted_count", "quote_tweets", "num_quotes",
    ),
    "counts_at": (
        "counts_at", "counted_at", "collected_at", "collection_time", "collection_date",
        "scraped_at", "scrape_time", "scrape_date", "crawled_at", "crawl_time", "crawl_date",
        "retrieved_at", "retrieved_utc", "retrieved_on", "fetched_at", "snapshot_at",
        "snapshot_time", "snapshot_date", "observed_at", "downloaded_at", "extracted_at",
    ),
}  # fmt: skip
"""Names that are taken for a field when the options name none, the likeliest first; case, spaces
and punctuation do not count."""

_LAST_TEXTS: Final = ("title", "headline", "description", "summary", "subject", "spoken_text")
_SPLIT_TIME: Final = (("date", "time"), ("post_created_date", "post_created_time"), ("day", "hour"))
"""A day and its hour in two columns."""
_OF_AN_ACCOUNT: Final = ("followerscount", "friendscount", "statusescount")
"""Where these stand beside it, `favourites_count` is what the author has liked."""
_COUNT_PARENTS: Final = frozenset(
    ("publicmetrics", "metrics", "organicmetrics", "statistics", "stats", "engagement", "counts",
     "interactions", "legacy", "attributes", "data", "post", "tweet", "status")
)  # fmt: skip
"""Objects inside a post that hold its counts; those of accounts and quoted posts do, too."""
_NOT_LETTERS: Final = re.compile(r"[\W_]+")


def plain_name(name: str) -> str:
    """Return a name without case, spaces and punctuation.

    Example:
        >>> plain_name("Tweet Id"), plain_name("createdAt") == plain_name("created_at")
        ('tweetid', True)
    """
    return _NOT_LETTERS.sub("", name).lower()


_PLAIN: Final = {
    field: tuple(plain_name(name) for name in names) for field, names in KNOWN_COLUMNS.items()
}
_LAST_PLAIN: Final = tuple(plain_name(name) for name in _LAST_TEXTS)


def choose_columns(
    present: Sequence[str], wanted: Mapping[str, str], *, dotted: bool = False
) -> dict[str, tuple[str, ...]]:
    """Return field -> columns, the first that has a value counting; fields without one are absent.

    Args:
        present: The names in the file, in its order.
        wanted: Field -> name, as the options say.
        dotted: Whether names with dots may lead into objects that are not listed (JSON).

    Raises:
        ConfigError: A named column is missing, or there is none for the text.
    """
    plain = {plain_name(name): name for name in reversed(present)}
    chosen: dict[str, tuple[str, ...]] = {}
    for field, name in wanted.items():
        found = name if name in present else plain.get(plain_name(name))
        if found is None and not (dotted and "." in name):
            listed = ", ".join(present)
            raise ConfigError(
                f"replay: columns.{field} = {name!r} is not in the file"
                f"{did_you_mean(name, present)}; it has {listed}"
            )
        chosen[field] = (found or name,)
    for field, names in _PLAIN.items():
        if field not in chosen:
            found_names = tuple(dict.fromkeys(plain[name] for name in names if name in plain))
            if found_names:
                chosen[field] = found_names
    _mind_title(chosen, plain, wanted)
    if "likes" not in wanted:
        _mind_likes(chosen, plain)
    if "text" not in chosen:
        raise ConfigError(no_text_column(present))
    return chosen


def _mind_title(
    chosen: dict[str, tuple[str, ...]], plain: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Take a title for the text where there is no text, and never twice."""
    if "text" not in chosen:
        last = tuple(plain[name] for name in _LAST_PLAIN if name in plain)[:1]
        if last:
            chosen["text"] = last
    if "text" in chosen and "title" not in wanted:
        titles = tuple(name for name in chosen.get("title", ()) if name not in chosen["text"])
        chosen.pop("title", None)
        if titles:
            chosen["title"] = titles


def _mind_likes(chosen: dict[str, tuple[str, ...]], plain: Mapping[str, str]) -> None:
    """Take what an author has liked for no count, and the score of a Reddit post for one."""
    names = chosen.pop("likes", ())
    if not plain.keys().isdisjoint(_OF_AN_ACCOUNT):
        names = tuple(name for name in names if plain_name(name) != "favouritescount")
    if not names and {"score", "numcomments"} <= plain.keys():
        names = (plain["score"],)
    if names:
        chosen["likes"] = names


def no_text_column(present: Sequence[str]) -> str:
    """Return the message for a file in which no column is known to be the text."""
    listed = ", ".join(present[:30]) + (", …" if len(present) > 30 else "")
    return f"replay: no column for the text among {listed}; expected columns.text"


def likely_text(rows: Sequence[Sequence[str]]) -> str:
    """Return the column of a table, header first, that a person may mean by the text."""
    header = rows[0]
    wordy = ("text", "content", "body", "tweet", "post", "message", "comment", "caption")
    near = [name for name in header if any(word in name.lower() for word in wordy)]
    if near:
        return near[0].strip()
    lengths = [
        sum(len(row[place]) for row in rows[1:] if place < len(row)) for place in range(len(header))
    ]
    return header[lengths.index(max(lengths))].strip()


def choose_json_columns(
    present: Sequence[str], nested: Sequence[str], wanted: Mapping[str, str], wordiest: str
) -> dict[str, tuple[str, ...]]:
    """Return field -> keys as `choose_columns` does; dots lead into objects.

    Args:
        present: The keys of the objects.
        nested: Dotted names of what stands one object deeper; taken for text and time where no
            key of the object itself is known, and for counts.
        wanted: Field -> key, as the options say.
        wordiest: The key or dotted name with the longest texts.

    Raises:
        NeedsOption: No key is known for the text.
        ConfigError: A named key is missing.
    """
    further = dict(wanted)
    for field in ("text", "time"):
        if field not in wanted and not any(plain_name(n) in _PLAIN[field] for n in present):
            deeper = nested_columns(field, nested)
            if deeper:
                further[field] = deeper[0]
    plain = {plain_name(name) for name in present}
    if "text" not in further and not plain & {*_PLAIN["text"], *_LAST_PLAIN}:
        raise NeedsOption(no_text_column([*present, *nested]), (f"columns.text={wordiest}",))
    chosen = choose_columns(present, further, dotted=True)
    for field in COUNT_FIELDS:
        deeper = tuple(n for n in nested_columns(field, nested) if _holds_counts(n))
        if deeper and field not in wanted:
            chosen[field] = (*chosen.get(field, ()), *deeper)
    return chosen


def _holds_counts(name: str) -> bool:
    return plain_name(name.rpartition(".")[0]) in _COUNT_PARENTS


def split_time(present: Sequence[str]) -> tuple[str, str] | None:
    """Return the columns that have day and hour apart, None if no such two are there."""
    plain = {plain_name(name): name for name in reversed(present)}
    for day, hour in _SPLIT_TIME:
        if plain_name(day) in plain and plain_name(hour) in plain:
            return plain[plain_name(day)], plain[plain_name(hour)]
    return None


def follow(tree: Any, keys: Sequence[str]) -> Any:
    """Return what dotted keys lead to in nested objects, None if nowhere."""
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def getters(
    columns: Mapping[str, tuple[str, ...]], present: Collection[str]
) -> list[tuple[tuple[str, ...], ...]]:
    """Return, per field of `FIELDS`, the paths to try in a JSON object.

    A name with dots is one key where the file has such a key, else a path.
    """
    return [
        tuple((n,) if n in present else tuple(n.split(".")) for n in columns.get(field, ()))
        for field in FIELDS
    ]


def nested_columns(field: str, nested: Sequence[str]) -> tuple[str, ...]:
    """Return the dotted names whose last part is known for a field, the likeliest first."""
    last = {plain_name(name.rpartition(".")[2]): name for name in reversed(nested)}
    return tuple(last[name] for name in _PLAIN[field] if name in last)
