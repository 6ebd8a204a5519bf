"""Order: whatever a file's is, the same posts leave, in the order of their times."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.codec import encode
from core.errors import ConfigError
from core.schemas import Post
from services.ingest.cursor_store import CursorStore
from services.ingest.options import load_options
from services.ingest.replay.ordering import Numbering, OrderCheck, TimeSort
from services.ingest.replay.preview import preview
from services.ingest.sources.base import SourceContext, Unmappable
from services.ingest.sources.replay.options import ReplayOptions
from services.ingest.sources.replay.source import ReplaySource
from testkit.ingest import START, Rig, take_all
from testkit.kafka import MemoryBroker

HEADER = "id,author,created_at,text\n"


def years(rows: int) -> list[str]:
    """Rows over years, in order."""
    start = datetime(2012, 1, 1, tzinfo=UTC)
    return [
        f"{n},a{n % 50},{start + timedelta(hours=9 * n):%Y-%m-%dT%H:%M:%SZ},post number {n}\n"
        for n in range(rows)
    ]


def in_order(posts: list[Post]) -> bool:
    times = [post.claimed_at or datetime.max.replace(tzinfo=UTC) for post in posts]
    return times == sorted(times)


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_file_of_years_that_is_not_in_order_is_delivered_whole_and_in_order(
    given: Callable[..., Any], order: str
) -> None:
    rows = years(6_000)
    expected = given(HEADER + "".join(rows), "in-order.csv").posts()
    rows.reverse() if order == "reversed" else random.Random(1).shuffle(rows)
    file = given(HEADER + "".join(rows))
    assert file.posts() == expected
    assert len(expected) == 6_000
    how = "newest first" if order == "reversed" else "not in order"
    assert f"{how}: sorted before it starts" in file.said()


def test_order_of_the_file_can_be_asked_for(given: Callable[..., Any]) -> None:
    file = given(HEADER + "".join(reversed(years(5))))
    assert [post.id for post in file.posts(order="file")] == ["4", "3", "2", "1", "0"]
    assert [post.id for post in file.posts(order="time")] == ["0", "1", "2", "3", "4"]


def test_sorted_source_goes_on_from_any_cursor_as_if_it_had_never_stopped(
    given: Callable[..., Any],
) -> None:
    rows = years(300)
    random.Random(2).shuffle(rows)
    rows[40] = "40x,a,not a time,text\n"
    rows[90] = "90x,a,,text without a time\n"
    file = given(HEADER + "".join(rows))
    whole = file.items()
    for place in (0, 1, 150, 297, 298):
        source = file.source()
        rest = take_all(source, whole[place].cursor)
        source.close()
        assert [(i.record, i.cursor) for i in rest] == [
            (i.record, i.cursor) for i in whole[place + 1 :]
        ]
    assert isinstance(whole[-1].record, Unmappable), "what is no post comes last"


@pytest.mark.slow
def test_kills_between_any_two_saves_lose_and_double_nothing(given: Callable[..., Any]) -> None:
    """A run is cut off again and again, without a farewell; the topics are those of a calm one."""
    rows = years(400)
    random.Random(3).shuffle(rows)
    file = given(HEADER + "".join(rows) + "x,a,never,text\n")
    calm = Rig(file.source(), file.path.parent / "calm")
    totals = calm.run()
    broker = MemoryBroker()
    stops = random.Random(4)
    cuts = 0
    for _ in range(40):
        rig = Rig(file.source(), file.path.parent / "cut", broker)
        limit = stops.randrange(1, 90)

        def cut(sent: int, rig: Rig = rig, limit: int = limit) -> None:
            if sent == limit:
                raise KeyboardInterrupt

        rig.on_send = cut
        try:
            found = rig.run()
        except KeyboardInterrupt:
            cuts += 1
            continue
        break
    assert cuts > 3, "the run was never cut"
    assert found.items_read == totals.items_read == 401
    sent = [json.loads(value)["id"] for value in broker.values("posts")]
    first = list(dict.fromkeys(sent))
    assert first == [json.loads(value)["id"] for value in calm.broker.values("posts")]


def test_cursor_of_another_order_or_content_is_refused_in_one_message(
    given: Callable[..., Any],
) -> None:
    file = given(HEADER + "".join(years(5)))
    plain = file.source().fingerprint()
    assert file.source(speed=9.0).fingerprint() == plain
    store = CursorStore(file.path.parent / "cursor", "replay")
    Rig(file.source(), file.path.parent / "cursor").run()
    store.load(plain)
    with pytest.raises(ConfigError, match="--fresh"):
        store.load(file.source(order="file").fingerprint())
    content = file.path.read_bytes()
    file.path.write_bytes(content.replace(b"number 4", b"number 5"))
    assert file.path.stat().st_size == len(content)
    assert file.source().fingerprint() != plain


@pytest.mark.slow
def test_what_a_killed_sort_left_is_removed_and_a_running_one_is_let_be(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from services.ingest.replay.ordering import TimeSort\n"
        "TimeSort(Path(sys.argv[1])); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == 9
    (left,) = tmp_path.glob("replay-order-*")
    running = TimeSort(tmp_path)
    assert not left.exists()
    other = TimeSort(tmp_path)
    assert len(list(tmp_path.glob("replay-order-*"))) == 2
    for sort in (running, other):
        sort.close()
    assert list(tmp_path.iterdir()) == []


def test_look_through_and_sort_of_a_large_file_give_way_to_a_stop(
    given: Callable[..., Any],
) -> None:
    file = given(HEADER + "".join(reversed(years(5_000))))
    options = load_options(ReplayOptions, None, {"path": str(file.path)})
    clock = ManualClock(START)
    source = ReplaySource(options, SourceContext(file.path.parent, clock=clock))
    source.open(None)
    assert source.poll(10, timeout_s=0.0) == []
    assert not source.exhausted
    polls = 1
    while not source.poll(10, timeout_s=0.0):
        polls += 1
    source.close()
    assert polls > 5


def test_posts_without_a_time_count_with_the_last_that_has_one_wherever_they_stand(
    given: Callable[..., Any],
) -> None:
    rows = ["1,a,,one\n", *years(3)[1:], "9,a,,nine\n"]
    file = given(HEADER + "".join(rows))
    posts = file.posts()
    assert {post.text for post in posts[-2:]} == {"one", "nine"}
    assert {post.ingested_at for post in posts[-2:]} == {posts[1].claimed_at}
    assert "2 posts have no time" in file.said()


@pytest.mark.parametrize(
    ("times", "holds"),
    [
        ([1, 2, 2, 3], True),
        ([1, 3, 2], False),
        ([1, None, None], True),
        ([None, 1], False),
        ([1, None, 2], False),
        ([None, None], True),
        ([], True),
    ],
)
def test_order_holds_where_times_never_fall_and_timeless_rows_are_last(
    times: list[int | None], holds: bool
) -> None:
    check = OrderCheck()
    for number, at in enumerate(times):
        check.take(None if at is None else START + timedelta(seconds=at), str(number))
    assert check.holds is holds


def test_two_rows_of_one_id_and_time_are_put_in_an_order_of_their_own(
    given: Callable[..., Any],
) -> None:
    rows = ["1,a,2026-03-01T10:00:00Z,one\n", "1,a,2026-03-01T10:00:00Z,two\n"]
    assert given(HEADER + "".join(rows)).texts() == given(HEADER + "".join(rows[::-1])).texts()


def test_ids_mangled_by_a_spreadsheet_are_told_and_made_anew(given: Callable[..., Any]) -> None:
    for mangled in ("1.64457E+18", "1,64457E+18", "1.64457e18", "1644570000000000000.0", "#NUM!"):
        rows = [f'"{mangled}",a{n},2026-03-01T10:00:0{n}Z,text {n}\n' for n in range(4)]
        file = given(HEADER + "".join(rows))
        posts = file.posts()
        assert len({post.id for post in posts}) == 4, mangled
        assert "4 ids look mangled by a spreadsheet" in file.said()
        assert file.preview().all_count
        turned = given(HEADER + "".join(rows[::-1])).posts()
        assert turned == posts


def test_same_words_of_one_author_at_one_time_are_two_posts_without_ids(
    given: Callable[..., Any],
) -> None:
    row = "ana,2026-03-01T10:00:00Z,yes\n"
    other = "ben,2026-03-01T10:00:00Z,yes\n"
    posts = given("author,created_at,text\n" + row + other + row).posts()
    assert len({post.id for post in posts}) == 3
    assert Counter(post.author for post in posts) == {"ana": 2, "ben": 1}


def test_repeated_ids_are_told_with_their_number(given: Callable[..., Any]) -> None:
    rows = years(10)
    file = given(HEADER + "".join(rows + rows[:3]))
    assert "3 rows repeat the id of an earlier one: the first counts" in file.said()
    assert not file.preview().all_count
    assert "10 will count, 3 will not" in file.said()


def test_numbering_forgets_a_time_when_the_next_begins() -> None:
    assert Numbering()._seen == {}  # nothing is held before the first row


TEXT = st.text(st.sampled_from("ab ä€é😀,;|\t\"'\n\\&<>#"), max_size=12).map(lambda t: f"x{t}x")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "1", "2", "3", "4", "5"]),
        st.sampled_from(["ana", "ben", ""]),
        st.one_of(st.integers(0, 400).map(lambda s: START + timedelta(seconds=s)), st.none()),
        TEXT,
        st.sampled_from(["en", "de", ""]),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda content: content,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
Row = tuple[str, str, datetime | None, str, str]


def windows(content: bytes) -> dict[int, Any]:
    """Count a file plainly by minutes: posts by language, texts, and authors that have a name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "posts"
        path.write_bytes(content)
        options = load_options(ReplayOptions, None, {"path": str(path)})
        source = ReplaySource(options, SourceContext(Path(folder), clock=ManualClock(START)))
        items = take_all(source)
        source.close()
        assert os.listdir(folder) == ["posts"]
    counted: dict[int, Any] = {}
    seen: set[str] = set()
    for item in items:
        post = item.record
        assert isinstance(post, Post), post
        if post.id in seen:
            continue
        seen.add(post.id)
        at = post.claimed_at or post.ingested_at
        pane = counted.setdefault(int(at.timestamp()) // 60, Counter())
        name = post.author if not post.author.startswith("anonymous-") else ""
        pane[post.lang, post.text, name] += 1
        pane[encode(post) if post.claimed_at else b""] += 1
    return counted


def as_csv(rows: list[Row], sign: str = ",", encoding: str = "utf-8") -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=sign)
    writer.writerow(["id", "author", "created_at", "text", "lang"])
    for post_id, author, at, text, lang in rows:
        writer.writerow([post_id, author, "" if at is None else at.isoformat(), text, lang])
    return written.getvalue().encode(encoding)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@drawn(rows=ROWS, seed=st.randoms(use_true_random=False))
def test_any_permutation_of_the_rows_gives_the_same_windows(
    rows: list[Row], seed: random.Random
) -> None:
    turned = list(rows)
    seed.shuffle(turned)
    assert windows(as_csv(turned)) == windows(as_csv(rows))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@drawn(
    rows=ROWS,
    sign=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_any_separator_encoding_and_packing_gives_the_same_windows(
    rows: list[Row], sign: str, encoding: str, packer: str
) -> None:
    content = PACKERS[packer](as_csv(rows, sign, encoding))
    assert windows(content) == windows(as_csv(rows))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@drawn(
    rows=ROWS,
    form=st.sampled_from(["lines", "array", "pretty"]),
    ascii_only=st.booleans(),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_json_of_any_form_gives_the_same_windows_as_csv(
    rows: list[Row], form: str, ascii_only: bool, packer: str
) -> None:
    names = ("id", "author", "created_at", "text", "lang")
    values = [
        dict(zip(names, (i, a, None if at is None else at.isoformat(), t, lang), strict=True))
        for i, a, at, t, lang in rows
    ]
    if form == "lines":
        content = "\n".join(json.dumps(v, ensure_ascii=ascii_only) for v in values)
    else:
        content = json.dumps(
            values, ensure_ascii=ascii_only, indent=2 if form == "pretty" else None
        )
    assert windows(PACKERS[packer](content.encode())) == windows(as_csv(rows))


def test_look_that_is_cut_short_says_so(given: Callable[..., Any]) -> None:
    file = given(HEADER + "".join(years(5_000)))
    options = load_options(ReplayOptions, None, {"path": str(file.path)})
    found = preview(file.path, options, budget_s=-1.0)
    assert not found.survey.is_whole
    assert any(line.startswith("first rows 2,000: 2,000 will count") for line in found.lines())
