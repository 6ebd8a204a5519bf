"""What the stand-in answered wrongly, against the dead records that say so."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Final

from testkit.chaos.books import Audit, Books, Where
from testkit.chaos.produced import INVALID, Produced
from testkit.chaos.recount import read_json, read_text

SAID: Final = {
    "nan": "NaN",
    "inf": "+inf",
    "minus-inf": "-inf",
    "huge": "above 1",
    "negative": "below 0",
    "sum": "sum to",
}
"""Kind of wrong row -> what the detail of its dead record has to say."""


def check_answers(books: Books, produced: Produced, audit: Audit) -> None:
    """Check that every dead record about wrong scores is owed to a row that was answered so.

    The stand-in wrote down kind and text of each row that it spoilt, before it answered. That
    none of them was counted as it was, the sums tell: `every scoring is of probabilities`.
    """
    lines = [read_json(line) for line in books.wrong_answers]
    answered = Counter((kind, digest) for kind, digest in lines)
    due = Counter(answered)
    texts = {
        (topic, record.partition, record.offset): record.value
        for topic, records in books.records.items()
        for record in records
    }
    unexplained: list[tuple[Where, str]] = []
    dead: Counter[str] = Counter()
    for where, records in produced.dead.items():
        for record in records:
            if record["reason"] != INVALID:
                continue
            digest = sha256(read_text(texts.get(where, b""))).hexdigest()
            kind = next((k for k, said in SAID.items() if said in record["detail"]), "")
            if due[kind, digest] > 0:
                due[kind, digest] -= 1
                dead[kind] += 1
            else:
                unexplained.append((where, record["detail"]))
    audit.expect("every post that is dead for its scores was answered wrongly", unexplained)
    audit.figures["rows_answered_wrongly"] = answered.total()
    for kind in SAID:
        rows = sum(count for (found, _), count in answered.items() if found == kind)
        if rows:
            audit.figures[f"rows_answered_wrongly.{kind}"] = rows
            audit.figures[f"letters_invalid_score.{kind}"] = dead[kind]
