"""Third part of the oracle: every counter of every pane, stratum and window, added up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from testkit.chaos.books import Audit, Books, Id, Where
from testkit.chaos.produced import Produced
from testkit.chaos.recount import (
    COUNTER_NAMES,
    Post,
    Scoring,
    is_probable,
    number_of_ms,
    pane_of,
    read_json,
    read_scoring,
)

Sums = dict[Any, list[int]]
"""(partition, query, start) and, of strata, the name -> counters."""


class SumsAudit:
    """Adds up what was produced and compares it with store and windows.

    Attributes:
        windows: (query, start in seconds) -> the least and the most that each counter of
            `COUNTER_NAMES` may be in that window; once `check` has run.
    """

    def __init__(self, books: Books, produced: Produced, audit: Audit) -> None:
        self.windows: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        self._books = books
        self._produced = produced
        self._audit = audit

    def check(self) -> None:
        """Recount and compare."""
        low, high, strata = self._recount()
        self._check_panes(low, high)
        if low == high:
            self._check_strata(strata)
        self._check_windows(low, high)
        self._check_totals()
        in_panes = sum(v[0] for (_, q, _), v in self._books.panes.items() if q == "all")
        self._audit.figures["posts_in_panes"] = in_panes

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
        for post_id, partition, offset, post in self._counted():
            where = ("posts", partition, offset)
            start_s = pane_of(post, self._books.pane_s)
            scorings = self._scorings(post_id, where, start_s, unscored, misplaced)
            if post_id in self._produced.deleted or not scorings:
                continue
            ambiguous += len(scorings) > 1
            is_unsure = post_id in self._produced.unsure
            _add(low, high, strata, partition, start_s, scorings, is_unsure)
        self._audit.expect("every accepted post and edit is scored", unscored)
        self._audit.expect("every post is in the pane of its event time", misplaced)
        self._audit.expect("every scoring is of probabilities", self._improbable())
        self._expect_no_strangers()
        positions = len(self._books.scored)
        self._audit.figures |= {
            "scored_again": sum(map(len, self._books.scored.values())) - positions,
            "scored_differently": ambiguous,
            "panes": len(low),
        }
        return low, high, strata

    def _scorings(
        self, post_id: Id, where: Where, start_s: int, unscored: list[Where],
        misplaced: list[object],
    ) -> list[Scoring]:  # fmt: skip
        """Return the scorings of a post as it stands last; note those that are missing or wrong."""
        scorings = _distinct(self._books.scored.get(where, []))
        if not scorings:
            unscored.append(where)
            return []
        misplaced.extend(
            (post_id, s.pane_start_s, start_s)
            for s in scorings
            if s.pane_start_s != start_s or (s.source, s.id) != post_id or s.is_edit
        )
        edits = self._produced.edits.get(post_id, [])
        if edits and post_id not in self._produced.unsure_edits:
            scorings = []
        for edit in edits:
            new = _distinct(self._books.scored.get(edit, []))
            scorings += new
            if not new:
                unscored.append(edit)
        return scorings

    def _expect_no_strangers(self) -> None:
        counted = {("posts", p, o) for _, p, o, _ in self._counted()}
        strangers = (w for w in self._books.scored if w[0] == "posts" and w not in counted)
        self._audit.expect("only accepted posts are scored", strangers)

    def _improbable(self) -> Iterable[Where]:
        """Return the positions of scorings that no model can have meant."""
        for where, values in self._books.scored.items():
            if not all(is_probable(value) for value in dict.fromkeys(values)):
                yield where

    def _counted(self) -> Iterable[tuple[Id, int, int, Post]]:
        """Return every record that is counted, or may be."""
        for post_id, place in self._produced.accepted.items():
            for one in self._produced.unsure.get(post_id, [place]):
                yield post_id, *one

    def _check_panes(self, low: Sums, high: Sums) -> None:
        stored = {k: v for k, v in self._books.panes.items() if any(v)}
        due = {k for k, v in high.items() if any(v)}
        must = {k for k, v in low.items() if v[0]}
        self._audit.expect("every pane that is due is in the store", must - stored.keys())
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
        self.windows = {key: (least[key], most[key]) for key in least}
        closed_s = max((t.get("closed", -1) for t in self._books.totals.values()), default=-1)
        self._audit.expect(
            "every window that closed was published",
            (key for key, v in least.items() if key[1] < closed_s and v[0] and key not in last),
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
        figures, produced = self._audit.figures, self._produced
        unsure = len(produced.unsure)
        unsure_edits = sum(
            where in produced.dead for edits in produced.edits.values() for where in edits
        )
        counted = figures["posts_accepted"] - unsure
        events = figures["records_of_post_events"] - figures["events_unscored"] - unsure_edits
        removed = figures["posts_deleted"]
        for name, least, most in (
            ("counted", counted, counted + unsure),
            ("removed", removed, removed + len(produced.deleted & produced.unsure.keys())),
            ("events", events, events + unsure_edits),
        ):
            if not least <= totals[name] <= most:
                self._audit.faults.append(
                    f"the store's running total {name!r} is {totals[name]:,}, expected {least:,}"
                    + (f" to {most:,}" if most > least else "")
                )
        for topic, name in (("posts", "counted"), ("post-events", "events")):
            records = len(self._books.records.get(topic, []))
            dead = totals[f"dead:{topic}"]
            if totals[name] + dead != records:
                self._audit.faults.append(
                    f"the store's running totals of {topic} are {totals[name]:,} {name} and "
                    f"{dead:,} dead, expected {records:,} together"
                )


def _distinct(values: list[bytes]) -> list[Scoring]:
    found: list[Scoring] = []
    for value in dict.fromkeys(values):
        scoring = read_scoring(value)
        if scoring not in found:
            found.append(scoring)
    return found


def _add(
    low: Sums,
    high: Sums,
    strata: Sums,
    partition: int,
    start_s: int,
    scorings: list[Scoring],
    is_unsure: bool,
) -> None:
    rows = [scoring.counters for scoring in scorings]
    if is_unsure:  # it may not be counted at all
        rows = [(0,) * len(rows[0]), *rows]
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
