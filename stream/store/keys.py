"""The layout under `{p}:`, in one place; `apply.lua` builds the same names.

=========================  =======  ==============================================================
key                        type     holds
=========================  =======  ==============================================================
``{p}:cursor``             hash     last applied offset per topic, watermark, closed, forgotten,
                                    totals
``{p}:starts``             zset     starts (s) of the panes that exist
``{p}:pane:<start>``       hash     query -> msgpack array of counters
``{p}:strata:<start>``     hash     query -> msgpack map of stratum -> four counters
``{p}:authors:<start>:q``  HLL      unique authors of query q
``{p}:dirty``              hash     start of a closed pane not published as it is -> mark
``{p}:seen:<hour>:<n>``    intset   64-bit hashes of post ids, sharded so that they stay packed
``{p}:seen-hours``         zset     hours that have a `seen`
``{p}:kept:<hour>:<n>``    hash     id hash -> what the post added, for edits and deletions
``{p}:kept-hours``         zset     hours (of the watermark) that have a `kept`
``{p}:ahead``              hash     id hash -> "" (deleted) or contribution (edited) before its post
``{p}:ahead-due``          zset     id hash -> hour it was said in, or of the watermark if later
``{p}:backfill``           hash     query -> how far its past was added (`stream.store.backfill`)
``{p}:quarantine``         hash     what could not be read (`stream.store.quarantine`) -> when, why
``{p}:aside:<key>``        any      a key of another type than it should have, under its old name
``{p}:forecast``           hash     the forecaster's last offset per topic, highest source offset
                                    seen, totals, token of the last apply
``{p}:forecast:<k>:<n>``   hash     field -> record of kind k (authors, pending posts, ...), sharded
``{closer}:epoch``         string   number of the active closer; earlier ones are refused
``{closer}:rev:<start>``   hash     query -> revision:digest:state of what was last published
``{closer}:published``     zset     starts that have a `rev`
``{closer}:cluster``       string   id of the Kafka cluster whose offsets the cursors are
``{closer}:scored-by``     hash     version of the model that scores, and since which pane (s)
``{closer}:judge``         hash     token of the last save, what is known beside the queries, count
                                    of alerts said
``{closer}:states``        hash     query -> what the judge of shifts knows of it
``{closer}:outbox``        hash     number -> alert that the topic does not have yet
``{closer}:open``          hash     alert id -> alert that fires, or ended lately
``{closer}:told``          hash     alert id -> what Alertmanager has taken of it
``{responder}:known``      hash     offsets up to which deletions were carried out, curves of likes
``{responder}:events``     zset     posts that take off -> time (ms) of the last response
``{responder}:texts:<e>``  hash     of event e: its last response, and the texts that it shows;
                                    expires
``{responder}:where:<p>``  set      the events that show the text of post p; expires
``{responder}:gone``       zset     posts deleted lately -> when (ms)
``{responder}:generation`` string   number of writes to these; what has fewer has lost some
=========================  =======  ==============================================================

Every key has a hash tag, and no command or script is about keys of two tags: in a Redis Cluster
a tag is in one slot, and so on one node. Beside these, of any tag, `fence` is written before
replicas are asked (`redis.wait_replicas`), and `absent` is never there (`stream.store.scripts`);
neither is ever read.
"""

from __future__ import annotations

from typing import Final

SEEN_SHARDS: Final = 1024
"""Shards of an hour's ids: with `set-max-intset-entries 4096`, 4 M ids an hour stay packed."""

KEPT_SHARDS: Final = 4096
"""Shards of an hour's contributions: a packed hash is searched from its head: keep it short."""

FORECAST_SHARDS: Final = {"authors": 4096, "pending": 8192, "posts": 256}
"""Shards of the forecaster's large kinds of records, others have one: at `forecasts.max_authors`
and `forecasts.max_pending` some sixty records are in each, of 128 that stay packed."""

CLOSER: Final = "{closer}:"
EPOCH: Final = f"{CLOSER}epoch"
PUBLISHED: Final = f"{CLOSER}published"
CLUSTER: Final = f"{CLOSER}cluster"
SCORED_BY: Final = f"{CLOSER}scored-by"
JUDGE: Final = f"{CLOSER}judge"
STATES: Final = f"{CLOSER}states"
OUTBOX: Final = f"{CLOSER}outbox"
OPEN: Final = f"{CLOSER}open"
TOLD: Final = f"{CLOSER}told"

_RESPONDER: Final = "{responder}:"
RESPONDER: Final = f"{_RESPONDER}known"
RESPONSE_EVENTS: Final = f"{_RESPONDER}events"
GONE: Final = f"{_RESPONDER}gone"
RESPONSE_GENERATION: Final = f"{_RESPONDER}generation"

MAX_PARTITIONS: Final = 1024
"""Partitions are looked for below this number."""


def prefix(partition: int) -> str:
    """Return the start of every key that `partition` owns.

    Example:
        >>> prefix(3)
        '{3}:'
    """
    return f"{{{partition}}}:"


def absent(key: str) -> str:
    """Return the key beside `key` that nobody has.

    Example:
        >>> absent("{3}:cursor")
        '{3}:absent'
    """
    return f"{_tag(key)}:absent"


def fence(key: str) -> str:
    """Return the key beside `key` that is written before replicas are asked."""
    return f"{_tag(key)}:fence"


def _tag(key: str) -> str:
    return key[: key.index("}") + 1]


def cursor(partition: int) -> str:
    """Return the key of the partition's cursor hash."""
    return f"{{{partition}}}:cursor"


def quarantine(partition: int) -> str:
    """Return the key of what of the partition could not be read."""
    return f"{{{partition}}}:quarantine"


def backfill(partition: int) -> str:
    """Return the key of how far queries were given their past."""
    return f"{{{partition}}}:backfill"


def pane(partition: int, start_s: int) -> str:
    """Return the key of a pane's counters."""
    return f"{{{partition}}}:pane:{start_s}"


def strata(partition: int, start_s: int) -> str:
    """Return the key of a pane's strata."""
    return f"{{{partition}}}:strata:{start_s}"


def authors(partition: int, start_s: int, query: str) -> str:
    """Return the key of the unique authors of a query in a pane."""
    return f"{{{partition}}}:authors:{start_s}:{query}"


def forecast(partition: int) -> str:
    """Return the key of how far the forecaster has come in the partition."""
    return f"{{{partition}}}:forecast"


def forecast_shards(kind: str) -> int:
    """Return the number of shards of a kind of the forecaster's records."""
    return FORECAST_SHARDS.get(kind, 1)


def forecast_shard(partition: int, kind: str, shard: int) -> str:
    """Return the key of a shard of the forecaster's records."""
    return f"{{{partition}}}:forecast:{kind}:{shard}"


def aside(partition: int, key: str) -> str:
    """Return the key under which a key of the partition is set aside."""
    tag = prefix(partition)
    return f"{tag}aside:{key.removeprefix(tag)}"


def response_texts(event: str) -> str:
    """Return the key of what is shown of an event."""
    return f"{_RESPONDER}texts:{event}"


def response_where(post: str) -> str:
    """Return the key of the events that show a post's text."""
    return f"{_RESPONDER}where:{post}"


def revisions(start_s: int) -> str:
    """Return the key of the published revisions of a pane."""
    return f"{CLOSER}rev:{start_s}"
