"""The recount waits for what is still to be applied or published, and says what that is."""

import pytest

from core.config import build
from testkit.chaos.books import RawRecord
from testkit.compose.recount import unfinished

SETTINGS = build({"kafka": {"partitions": 1}})
RECORDS = {"posts": [RawRecord(0, 4, b"k", b"v"), RawRecord(0, 5, b"k", b"v")], "post-events": []}


class Line:
    """Answers as Redis does."""

    def __init__(self, cursor, dirty=0):
        self.cursor, self.dirty = cursor, dirty

    def ask(self, command, key, *field):
        if command == "HLEN":
            return self.dirty
        return self.cursor if field == ("posts",) else None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (Line(None), "posts: at None, ends at 5"),
        (Line(b"4"), "posts: at b'4', ends at 5"),
        (Line(b"5", dirty=2), "2 panes wait for the closer"),
    ],
)
def test_what_is_not_finished_is_said(line, said):
    assert said in unfinished(line, SETTINGS, RECORDS)


def test_all_applied_and_published_is_the_end():
    assert unfinished(Line(b"5"), SETTINGS, RECORDS) == ""
