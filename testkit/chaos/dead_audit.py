"""Second part of the oracle: Kafka against the source's ledger, dead records against both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

from testkit.chaos.books import Audit, Books, DeadRecord, RawRecord, Where
from testkit.chaos.produced import INVALID, Produced
from testkit.chaos.recount import read_event, read_json


class DeadAudit:
    """Checks that nothing was lost before the workers, and what became of what is not counted."""

    def __init__(self, books: Books, produced: Produced, audit: Audit) -> None:
        self._books = books
        self._produced = produced
        self._audit = audit
        self._reasons: dict[str, Counter[str]] = {}
        self._by_key: dict[str, list[RawRecord]] = {}

    def check(self) -> None:
        """Check the ledger, then the dead records."""
        self._check_ledger()
        self._check_dead()

    def _check_ledger(self) -> None:
        """Kafka has what the source says it has; what is no post has its reason from there."""
        lines, torn = _ledger(self._books.ledger)
        self._audit.figures |= {"ledger_items": len(lines), "ledger_lines_torn": torn}
        said = {line[1] for line in lines.values() if line[0] in ("post", "duplicate")}
        have = {post_id for _, post_id in self._produced.ids}
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
        """Decide which dead records are due for messages that are no posts.

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
        by_ingest = {record.key for record in self._books.dead if _offset_of(record) < 0}
        if len(by_ingest) != too_large:
            self._audit.faults.append(
                f"ingest refused {len(by_ingest)} messages as too large, "
                f"the ledger says {too_large}"
            )
        self._audit.figures["dead_by_ingest"] = len(by_ingest)
        for record in self._produced.malformed:
            self._by_key.setdefault(record.key.decode(errors="replace"), []).append(record)
        self._audit.expect(
            "every message that is no post is in the ledger as one",
            (key for key in self._by_key if key not in reasons),
        )
        self._audit.expect(
            "every malformed item of the ledger is in the topic",
            (key for key, due in reasons.items() if len(self._by_key.get(key, [])) < len(due)),
        )

    def _check_dead(self) -> None:
        produced = self._produced
        written = produced.dead
        malformed_at = {("posts", r.partition, r.offset): r for r in produced.malformed}
        due = produced.copies | malformed_at.keys() | produced.unscored
        # Scored both wrongly and rightly, its copies before or after: either is right.
        unsure = {("posts", p, o) for places in produced.unsure.values() for p, o, _ in places}
        unsure |= {where for edits in produced.edits.values() for where in edits}
        unsure = {where for where in unsure if where in written}
        self._check_presence(due, unsure)
        self._check_contents(malformed_at, unsure)
        self._audit.expect("every reason is the one of the ledger", self._wrong_reasons(written))
        reasons = Counter(all_of[0]["reason"] for all_of in written.values())
        self._audit.figures["scored_or_dead"] = len(unsure)
        self._audit.figures["dead_letters"] = len(written)
        self._audit.figures["dead_letters_again"] = sum(len(d) - 1 for d in written.values())
        self._audit.figures |= {f"dead.{name}": count for name, count in sorted(reasons.items())}

    def _check_presence(self, due: Set[Where], unsure: Set[Where]) -> None:
        """Expect a dead record for what is not counted, and for nothing else."""
        written = self._produced.dead
        self._audit.expect(
            "every record that is not counted has its dead record", due - unsure - written.keys()
        )
        self._audit.expect(
            "no record that is counted has a dead record", written.keys() - due - unsure
        )

    def _check_contents(self, malformed_at: Mapping[Where, RawRecord], unsure: Set[Where]) -> None:
        """Expect of every dead record that it says the same each time, and why, and what size."""
        written = self._produced.dead
        self._audit.expect(
            "a dead record written again says the same",
            (
                where
                for where, all_of in written.items()
                if len(found := {d["reason"] for d in all_of}) > 1
                and not found <= {INVALID, "duplicate"}
            ),
        )
        self._audit.expect(
            "the reason of a copy is `duplicate`",
            (
                (where, found["reason"])
                for where in self._produced.copies & written.keys() - unsure
                for found in written[where]
                if found["reason"] != "duplicate"
            ),
        )
        self._audit.expect(
            "a dead record carries the size of its message",
            (
                where
                for where, record in malformed_at.items()
                for found in written.get(where, [])
                if found["size"] != len(record.value)
            ),
        )

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


def _offset_of(record: DeadRecord) -> int:
    found = read_json(record.value) or {}
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
