"""The oracle: a plain program that recounts everything from what was produced.

It shares no code with the pipeline: the standard library alone, one post after the other, its own
reading of JSON, its own clamp of event times, its own list of counters. It is given bytes (`Books`)
and says what does not add up. Scores and matched queries are taken from `scored-posts`; that every
accepted post was scored, in which pane it belongs, and every sum, it works out itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from services.chaos.recount import (
    COUNTER_NAMES,
    Post,
    Scoring,
    number_of_ms,
    pane_of,
    read_event,
    read_json,
    read_post,
    read_scoring,
)

_EXAMPLES: Final = 3
Where = tuple[str, int, int]
"""(topic, partition, offset)"""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of `posts` or `post-events` as it lies in the topic."""

    partition: int
    offset: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of `dead-posts` as it lies in the topic."""

    key: bytes
    value: bytes


@dataclass(slots=True)
class Books:
    """What a run has left behind.

    Attributes:
        pane_s: length of a pane.
        ledger: lines of the source's ledger.
        records: topic -> records in order of offset within each partition.
        scored: position of the source record -> every scoring of it, in order.
        letters: dead letters in order.
        windows: records of `windows`.
        panes: (partition, query, start) -> counters in the store.
        strata: (partition, query, start, stratum) -> counters in the store.
        totals: partition -> fields of its cursor hash.
    """

    pane_s: int
    ledger: list[bytes] = field(default_factory=list[bytes])
    records: dict[str, list[RawRecord]] = field(default_factory=dict[str, list[RawRecord]])
    scored: dict[Where, list[bytes]] = field(default_factory=dict[Where, list[bytes]])
    letters: list[Letter] = field(default_factory=list[Letter])
    windows: list[bytes] = field(default_factory=list[bytes])
    panes: dict[tuple[int, str, int], list[int]] = field(
        default_factory=dict[tuple[int, str, int], list[int]]
    )
    strata: dict[tuple[int, str, int, str], list[int]] = field(
        default_factory=dict[tuple[int, str, int, str], list[int]]
    )
    totals: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])


@dataclass(slots=True)
class Audit:
    """The verdict.

    Attributes:
        figures: name -> number.
        faults: what does not add up, a sentence each.
    """

    figures: dict[str, float] = field(default_factory=dict[str, float])
    faults: list[str] = field(default_factory=list[str])

    def expect(self, claim: str, wrong: Iterable[object]) -> None:
        """Note a fault if anything is wrong, with the first examples."""
        found = list(wrong)
        if found:
            examples = "; ".join(str(one) for one in found[:_EXAMPLES])
            self.faults.append(f"{claim}: {len(found):,} wrong, such as {examples}")


Id = tuple[str, str]
"""(source, id of the post)"""


class Oracle:
    """One audit of one set of books; call `audit` once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._audit = Audit()
        self._accepted: dict[Id, tuple[int, int, Post]] = {}
        self._letters_due: dict[Where, tuple[str, bytes]] = {}
        self._malformed: list[RawRecord] = []
        self._deleted: set[Id] = set()
        self._edits: dict[Id, Where] = {}

    def audit(self) -> Audit:
        """Recount and compare."""
        self._sort_posts()
        self._sort_events()
        self._check_ledger()
        self._check_letters()
        low, high, strata = self._recount()
        self._check_panes(low, high)
        if low == high:
            self._check_strata(strata)
        self._check_windows(low, high)
        self._check_totals()
        in_panes = sum(v[0] for (_, q, _), v in self._books.panes.items() if q == "all")
        self._audit.figures["posts_in_panes"] = in_panes
        return self._audit

    # -- what was produced ---------------------------------------------------------------------

    def _sort_posts(self) -> None:
        """Accepted once per id in order of offset; the rest are copies or no posts."""
        records = self._books.records.get("posts", [])
        copies = 0
        for record in sorted(records, key=lambda r: (r.partition, r.offset)):
            where = ("posts", record.partition, record.offset)
            post = read_post(record.value)
            if post is None:
                self._malformed.append(record)
            elif (post.source, post.id) in self._accepted:
                copies += 1
                self._letters_due[where] = ("duplicate", b"")
            else:
                self._accepted[post.source, post.id] = (record.partition, record.offset, post)
        self._audit.figures |= {
            "records_of_posts": len(records),
            "posts_accepted": len(self._accepted),
            "copies": copies,
            "malformed": len(self._malformed),
        }

    def _sort_events(self) -> None:
        """A deletion removes for good; of edits the last in the topic stands."""
        records = self._books.records.get("post-events", [])
        for record in sorted(records, key=lambda r: (r.partition, r.offset)):
            event = read_event(record.value)
            if event is None:
                self._audit.expect("every event is readable", [record.offset])
                continue
            kind, post_id = event
            if kind == "delete":
                self._deleted.add(post_id)
            elif kind == "edit":
                self._edits[post_id] = ("post-events", record.partition, record.offset)
        self._audit.figures |= {
            "records_of_post_events": len(records),
            "posts_deleted": len(self._deleted & self._accepted.keys()),
            "posts_edited": len(self._edits.keys() & self._accepted.keys()),
        }

    def _check_ledger(self) -> None:
        """Kafka has what the source says it has; what is no post has its reason from there."""
        lines, torn = _ledger(self._books.ledger)
        self._audit.figures |= {"ledger_items": len(lines), "ledger_lines_torn": torn}
        said = {line[1] for line in lines.values() if line[0] in ("post", "duplicate")}
        have = {post_id for _, post_id in self._accepted}
        self._audit.expect("every post of the ledger is in the topic", said - have)
        self._audit.expect("every post of the topic is in the ledger", have - said)
        events = {(line[1], line[5]) for line in lines.values() if line[0] == "event"}
        found: set[tuple[str, str]] = set()
        for record in self._books.records.get("post-events", []):
            event = read_event(record.value)
            if event is not None:
                found.add((event[1][1], event[0]))
        self._audit.expect("every event of the ledger is in the topic", events - found)
        self._give_reasons([line for line in lines.values() if line[0] == "malformed"])

    def _give_reasons(self, lines: list[list[Any]]) -> None:
        """Decide which dead letters are due for messages that are no posts.

        A message is known by its author's key and its bytes; the ledger gives each author's reasons
        in the order of arrival, which is the order in the partition. Messages come again after
        ingest was killed, so the first appearances are counted off, the repeats follow them.
        """
        reasons: dict[str, list[str]] = {}
        for line in sorted(lines, key=lambda line: int(line[4])):
            if line[5] != "too_large":
                reasons.setdefault(line[3], []).append(line[5])
        too_large = sum(line[5] == "too_large" for line in lines)
        self._reasons = {key: Counter(due) for key, due in reasons.items()}
        by_ingest = {letter.key for letter in self._books.letters if _offset_of(letter) < 0}
        if len(by_ingest) != too_large:
            self._audit.faults.append(
                f"ingest refused {len(by_ingest)} messages as too large, "
                f"the ledger says {too_large}"
            )
        self._audit.figures["dead_by_ingest"] = len(by_ingest)
        self._by_key: dict[str, list[RawRecord]] = {}
        for record in self._malformed:
            self._by_key.setdefault(record.key.decode(errors="replace"), []).append(record)
        self._audit.expect(
            "every message that is no post is in the ledger as one",
            (key for key in self._by_key if key not in reasons),
        )
        self._audit.expect(
            "every malformed item of the ledger is in the topic",
            (key for key, due in reasons.items() if len(self._by_key.get(key, [])) < len(due)),
        )

    # -- dead letters --------------------------------------------------------------------------

    def _check_letters(self) -> None:
        written: dict[Where, list[dict[str, Any]]] = {}
        for letter in self._books.letters:
            found = read_json(letter.value) or {}
            where = (str(found.get("topic")), int(found["partition"]), int(found["offset"]))
            if where[2] >= 0:
                written.setdefault(where, []).append(found)
        malformed_at = {("posts", r.partition, r.offset): r for r in self._malformed}
        due = self._letters_due.keys() | malformed_at.keys()
        self._audit.expect(
            "every record that is not counted has its dead letter", due - written.keys()
        )
        self._audit.expect("no record that is counted has a dead letter", written.keys() - due)
        self._audit.expect(
            "a dead letter written again says the same",
            (where for where, all_of in written.items() if len({d["reason"] for d in all_of}) > 1),
        )
        self._audit.expect(
            "the reason of a copy is `duplicate`",
            (
                (where, found["reason"])
                for where in self._letters_due.keys() & written.keys()
                for found in written[where]
                if found["reason"] != "duplicate"
            ),
        )
        self._audit.expect(
            "a dead letter carries the size of its message",
            (
                where
                for where, record in malformed_at.items()
                for found in written.get(where, [])
                if found["size"] != len(record.value)
            ),
        )
        self._audit.expect("every reason is the one of the ledger", self._wrong_reasons(written))
        reasons = Counter(all_of[0]["reason"] for all_of in written.values())
        self._audit.figures["dead_letters"] = len(written)
        self._audit.figures["dead_letters_again"] = sum(len(d) - 1 for d in written.values())
        self._audit.figures |= {f"dead.{name}": count for name, count in sorted(reasons.items())}

    def _wrong_reasons(self, written: dict[Where, list[dict[str, Any]]]) -> Iterable[object]:
        """Compare, author by author, the reasons given with those of the ledger.

        Equal bytes come again after a crash of ingest: each reason occurs at least as often as in
        the ledger, and no other occurs.
        """
        for key, records in self._by_key.items():
            given = Counter(
                written[where][0]["reason"]
                for record in records
                if (where := ("posts", record.partition, record.offset)) in written
            )
            due = self._reasons.get(key, Counter())
            repeats = len(records) - sum(due.values())
            too_few = any(given[reason] < number for reason, number in due.items())
            if given.keys() != due.keys() or too_few or (not repeats and given != due):
                yield key, dict(given), dict(due)

    # -- panes ---------------------------------------------------------------------------------

    def _recount(self) -> tuple[Sums, Sums, Sums]:
        """Return the least and the greatest sums that the scorings allow, and the strata.

        The two are the same where a text has one scoring. A real model may round differently when
        a batch is scored again; which of the scorings was counted cannot be told from outside.
        """
        low: Sums = {}
        high: Sums = {}
        strata: Sums = {}
        unscored: list[Where] = []
        misplaced: list[object] = []
        ambiguous = 0
        for post_id, (partition, offset, post) in self._accepted.items():
            own = self._books.scored.get(("posts", partition, offset), [])
            scorings = _distinct(own)
            if not scorings:
                unscored.append(("posts", partition, offset))
                continue
            start_s = pane_of(post, self._books.pane_s)
            misplaced.extend(
                (post_id, s.pane_start_s, start_s)
                for s in scorings
                if s.pane_start_s != start_s or (s.source, s.id) != post_id or s.is_edit
            )
            edit = self._edits.get(post_id)
            if edit is not None:
                scorings = _distinct(self._books.scored.get(edit, []))
                if not scorings:
                    unscored.append(edit)
                    continue
            if post_id in self._deleted:
                continue
            ambiguous += len(scorings) > 1
            _add(low, high, strata, partition, start_s, scorings)
        self._audit.expect("every accepted post and edit is scored", unscored)
        self._audit.expect("every post is in the pane of its event time", misplaced)
        positions = len(self._books.scored)
        self._audit.figures |= {
            "scored_again": sum(map(len, self._books.scored.values())) - positions,
            "scored_differently": ambiguous,
            "panes": len(low),
        }
        counted = {("posts", p, o) for p, o, _ in self._accepted.values()}
        strangers = (w for w in self._books.scored if w[0] == "posts" and w not in counted)
        self._audit.expect("only accepted posts are scored", strangers)
        return low, high, strata

    def _check_panes(self, low: Sums, high: Sums) -> None:
        stored = {k: v for k, v in self._books.panes.items() if any(v)}
        due = {k for k, v in high.items() if any(v)}
        self._audit.expect("every pane that is due is in the store", due - stored.keys())
        self._audit.expect("no pane is in the store that is not due", stored.keys() - due)
        self._audit.expect(
            "every counter of every pane is right to the last integer",
            (
                f"{key}: {_difference(stored[key], low[key], high[key])}"
                for key in sorted(due & stored.keys())
                if not _within(stored[key], low[key], high[key])
            ),
        )

    def _check_strata(self, due: Sums) -> None:
        stored = {k: v for k, v in self._books.strata.items() if v[0]}
        wanted = {k: v for k, v in due.items() if v[0]}
        keys = stored.keys() | wanted.keys()
        self._audit.expect(
            "every stratum is right to the last integer",
            (
                (key, stored.get(key), wanted.get(key))
                for key in sorted(keys)
                if stored.get(key) != wanted.get(key)
            ),
        )

    def _check_windows(self, low: Sums, high: Sums) -> None:
        """What was published last of each window is what its panes add up to."""
        last: dict[tuple[str, int], dict[str, Any]] = {}
        for value in self._books.windows:
            window = read_json(value) or {}
            key = (window["query"], number_of_ms(window["start"]) // 1000)
            order = (number_of_ms(window["closed_at"]), window["revision"])
            known = last.get(key)
            if known is None or order >= (number_of_ms(known["closed_at"]), known["revision"]):
                last[key] = window
        least, most = _over_partitions(low), _over_partitions(high)
        closed_s = max((t.get("closed", -1) for t in self._books.totals.values()), default=-1)
        self._audit.expect(
            "every window that closed was published",
            (key for key, v in most.items() if key[1] < closed_s and any(v) and key not in last),
        )
        empty = [0] * len(COUNTER_NAMES)
        self._audit.expect(
            "every window published last is right to the last integer",
            (
                (key, window["revision"])
                for key, window in last.items()
                if not _within(
                    [window["counters"].get(name, 0) for name in COUNTER_NAMES],
                    least.get(key, empty),
                    most.get(key, empty),
                )
            ),
        )
        self._audit.figures["windows_published"] = len(last)
        self._audit.figures["window_records"] = len(self._books.windows)

    def _check_totals(self) -> None:
        totals: Counter[str] = Counter()
        for fields in self._books.totals.values():
            totals.update(fields)
        figures = self._audit.figures
        for name, due in (
            ("counted", figures["posts_accepted"]),
            ("dead:posts", figures["copies"] + figures["malformed"]),
            ("removed", figures["posts_deleted"]),
            ("events", figures["records_of_post_events"]),
        ):
            if totals[name] != due:
                self._audit.faults.append(
                    f"the store's running total {name!r} is {totals[name]:,}, expected {due:,}"
                )
        if figures["records_of_posts"] != figures["posts_accepted"] + figures["dead_letters"]:
            self._audit.faults.append(
                f"{figures['records_of_posts']:,.0f} records of posts, but "
                f"{figures['posts_accepted']:,.0f} accepted and "
                f"{figures['dead_letters']:,.0f} dead letters"
            )


Sums = dict[Any, list[int]]
"""(partition, query, start) and, of strata, the name -> counters."""


def _distinct(values: list[bytes]) -> list[Scoring]:
    found: list[Scoring] = []
    for value in dict.fromkeys(values):
        scoring = read_scoring(value)
        if scoring not in found:
            found.append(scoring)
    return found


def _add(
    low: Sums, high: Sums, strata: Sums, partition: int, start_s: int, scorings: list[Scoring]
) -> None:
    rows = [scoring.counters for scoring in scorings]
    least, most = (
        [min(c) for c in zip(*rows, strict=True)],
        [max(c) for c in zip(*rows, strict=True)],
    )
    for query in scorings[-1].queries:
        key = (partition, query, start_s)
        for sums, row in ((low, least), (high, most)):
            into = sums.setdefault(key, [0] * len(row))
            for place, number in enumerate(row):
                into[place] += number
        into = strata.setdefault((*key, scorings[-1].stratum), [0, 0, 0, 0])
        for place in range(4):
            into[place] += rows[-1][place]


def _over_partitions(sums: Sums) -> dict[tuple[str, int], list[int]]:
    total: dict[tuple[str, int], list[int]] = {}
    for (_, query, start_s), row in sums.items():
        into = total.setdefault((query, start_s), [0] * len(row))
        for place, number in enumerate(row):
            into[place] += number
    return total


def _within(stored: list[int], low: list[int], high: list[int]) -> bool:
    padded = [*stored, *([0] * (len(low) - len(stored)))]
    return len(padded) == len(low) and all(
        least <= value <= most for value, least, most in zip(padded, low, high, strict=True)
    )


def _difference(stored: list[int], low: list[int], high: list[int]) -> str:
    return ", ".join(
        f"{name} {value} instead of {least}" + ("" if least == most else f"..{most}")
        for name, value, least, most in zip(COUNTER_NAMES, stored, low, high, strict=False)
        if not least <= value <= most
    )[:200]


def _offset_of(letter: Letter) -> int:
    found = read_json(letter.value) or {}
    return int(found.get("offset", -1))


def _ledger(lines: list[bytes]) -> tuple[dict[int, list[Any]], int]:
    """Return number -> line, each once, and how many lines a crash had torn.

    Of a torn line the rest of the file's last write is missing; the item comes again, and what
    follows on the same line begins where a line begins.
    """
    found: dict[int, list[Any]] = {}
    torn = 0
    for line in lines:
        parsed = read_json(line)
        if not isinstance(parsed, list):
            torn += 1
            parsed = read_json(line[line.rfind(b'["') :])
        if isinstance(parsed, list) and len(parsed) == 8:
            found[int(parsed[4])] = parsed
    return found, torn
