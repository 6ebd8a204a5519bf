from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.codec import encode
from core.errors import ConfigError
from core.schemas import Post
from core.settings import Secret
from services.ingest.options import load_options
from services.ingest.sources.base import RawRecord, SourceContext, Unmappable
from services.ingest.sources.replay.options import ReplayOptions
from services.ingest.sources.replay.source import ReplaySource
from testkit.builders import make_event, make_post
from testkit.ingest import START, take_all

HEADER = "created_at,post_id,author,text,lang\n"


def replay(
    path: Path, key: str = "", clock: ManualClock | None = None, **options: Any
) -> ReplaySource:
    clock = clock or ManualClock(START)
    context = SourceContext(path.parent, Secret(key), clock, clock.advance)
    return ReplaySource(ReplayOptions(path=str(path), **options), context)


def written(tmp_path: Path, text: str, name: str = "file.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def posts_of(source: ReplaySource) -> list[Post]:
    return [item.record for item in take_all(source) if isinstance(item.record, Post)]


def test_row_becomes_a_post_with_detected_columns(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + '2015-02-17T07:36:05Z,p1,ann,"two\nlines, ""quoted""",en\n')
    (post,) = posts_of(replay(path))
    assert post == Post(
        id="p1",
        source="replay",
        author="ann",
        ingested_at=datetime(2015, 2, 17, 7, 36, 5, tzinfo=UTC),
        text='two\nlines, "quoted"',
        claimed_at=datetime(2015, 2, 17, 7, 36, 5, tzinfo=UTC),
        lang="en",
    )


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_bytes(gzip.compress((HEADER + "2015-02-17T07:36:05Z,p1,ann,hi,en\n").encode()))
    assert [post.id for post in posts_of(replay(path))] == ["p1"]


def test_json_lines_are_recognised_and_read_by_dotted_keys(tmp_path: Path) -> None:
    lines = [
        {"id": number, "user": {"name": "ann"}, "text": "hi", "timestamp": 60 + number}
        for number in range(2)
    ]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)) + "\n{broken\n")
    source = replay(path, columns={"author": "user.name"}, time_format="epoch_s")
    items = take_all(source)
    assert [(p.id, p.author, p.claimed_at) for p in posts_of(source)] == [
        ("0", "ann", datetime(1970, 1, 1, 0, 1, tzinfo=UTC)),
        ("1", "ann", datetime(1970, 1, 1, 0, 1, 1, tzinfo=UTC)),
    ]
    last = items[-1].record
    assert isinstance(last, Unmappable)
    assert last.raw == b"{broken"
    assert last.detail.startswith("row 3: not a JSON object")


def test_the_word_none_stays_a_text(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "2015-02-17T07:36:05Z,None,None,None,en\n")
    (post,) = posts_of(replay(path))
    assert (post.id, post.author, post.text) == ("None", "None", "None")


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("yesterday,p1,ann,hi,en", "the time does not have the expected format"),
        ("2015-02-17T07:36:05Z,p1,ann", "3 columns, expected 5"),
        (f"2015-02-17T07:36:05Z,{'p' * 600},ann,hi,en", "the id has 600 characters"),
        (f"2015-02-17T07:36:05Z,p1,{'a' * 300},hi,en", "the author has 300 characters"),
    ],
)
def test_row_that_cannot_be_mapped_is_kept_with_its_number(
    tmp_path: Path, row: str, detail: str
) -> None:
    good = "2015-02-17T07:36:05Z,p0,ann,hi,en"
    path = written(tmp_path, f"{HEADER}{good}\n{row}\n{good.replace('p0', 'p2')}\n")
    items = take_all(replay(path))
    assert [type(item.record) for item in items] == [Post, Unmappable, Post]
    bad = items[1].record
    assert isinstance(bad, Unmappable)
    assert bad.detail.startswith(f"row 2: {detail}")


def test_bytes_that_are_not_utf8_spoil_only_their_own_row(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    row = b"2015-02-17T07:36:05Z,p%d,ann,hi%s,en\n"
    path.write_bytes(HEADER.encode() + row % (1, b"\xff") + row % (2, b""))
    first, second = take_all(replay(path))
    assert isinstance(first.record, Unmappable)
    assert b"\xff" in first.record.raw
    assert isinstance(second.record, Post)


def test_row_without_a_time_is_a_post_without_a_claimed_time(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "2015-02-17T07:36:05Z,p1,ann,hi,en\n,p2,ann,hi,en\n")
    _, timeless = posts_of(replay(path))
    assert timeless.claimed_at is None
    assert timeless.ingested_at == datetime(2015, 2, 17, 7, 36, 5, tzinfo=UTC)


def test_file_without_ids_and_authors_gets_some_that_do_not_depend_on_the_order_of_rows(
    tmp_path: Path,
) -> None:
    rows = ["2015-02-17T07:36:05Z,hi\n"] * 2 + ["2015-02-17T07:36:05Z,you\n"]
    path = written(tmp_path, "created_at,text\n" + "".join(rows), "talk.csv")
    turned = written(tmp_path, "created_at,text\n" + "".join(reversed(rows)), "turned.csv")
    posts = posts_of(replay(path))
    assert len({post.id for post in posts}) == len({post.author for post in posts}) == 3
    assert {(post.id, post.author, post.text) for post in posts} == {
        (post.id, post.author, post.text) for post in posts_of(replay(turned))
    }


def test_row_without_id_and_time_is_told_apart_by_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "text\nhi\nhi\n", "talk.csv")
    posts = posts_of(replay(path))
    assert [post.id for post in posts] == ["talk-1", "talk-2"]
    assert posts[0].author != posts[1].author


def test_constants_fill_what_the_file_has_no_column_for(tmp_path: Path) -> None:
    path = written(tmp_path, "created_at,text\n2015-02-17 07:36,hi\n")
    source = replay(path, constants={"lang": "en"}, time_format="%Y-%m-%d %H:%M",
                    time_zone="America/New_York")  # fmt: skip
    (post,) = posts_of(source)
    assert post.lang == "en"
    assert post.claimed_at == datetime(2015, 2, 17, 12, 36, tzinfo=UTC)


def test_authors_are_hashed_under_the_key_unless_they_are_public(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "2015-02-17T07:36:05Z,p1,ann,hi,en\n")
    hidden = posts_of(replay(path, key="k1"))[0].author
    assert len(hidden) == 32
    assert hidden == posts_of(replay(path, key="k1"))[0].author
    assert hidden != posts_of(replay(path, key="k2"))[0].author
    assert posts_of(replay(path, key="k1", authors="public"))[0].author == "ann"


def stream(tmp_path: Path, seconds: list[int]) -> Path:
    rows = [
        f"{(START + timedelta(seconds=at)).isoformat()},p{number},a{number},hi,en\n"
        for number, at in enumerate(seconds)
    ]
    return written(tmp_path, HEADER + "".join(rows))


def test_speed_sets_when_posts_leave_and_recorded_times_stay(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = replay(stream(tmp_path, [0, 10, 30]), clock=clock, speed=10.0)
    source.open(None)
    left: list[tuple[float, list[datetime | None]]] = []
    while not source.exhausted:
        found = source.poll(10, timeout_s=5.0)
        if found:
            left.append((clock.monotonic(), [item.record.claimed_at for item in found]))  # type: ignore[union-attr]
    assert left == [
        (0.0, [START]),
        (1.0, [START + timedelta(seconds=10)]),
        (3.0, [START + timedelta(seconds=30)]),
    ]


def test_fixed_rate_ignores_the_recorded_distances(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = replay(stream(tmp_path, [0, 500, 501]), clock=clock, rate_posts_per_s=4.0)
    take_all(source)
    assert clock.monotonic() == pytest.approx(0.5)


def test_shifted_times_begin_now_and_keep_distances_divided_by_the_speed(tmp_path: Path) -> None:
    now = START + timedelta(days=4000)
    clock = ManualClock(now)
    path = stream(tmp_path, [0, 10, 30])
    items = take_all(replay(path, clock=clock, speed=2.0, times="shifted"))
    claimed = [item.record.claimed_at for item in items]  # type: ignore[union-attr]
    assert claimed == [now + timedelta(seconds=s) for s in (0, 5, 15)]
    assert all(item.record.ingested_at >= item.record.claimed_at for item in items)  # type: ignore[union-attr,operator]
    later = ManualClock(now + timedelta(seconds=100))
    resumed = take_all(replay(path, clock=later, speed=2.0, times="shifted"), items[0].cursor)
    assert [item.record.claimed_at for item in resumed] == claimed[1:]  # type: ignore[union-attr]
    assert later.monotonic() == 0.0, "what fell due while nobody ran leaves at once"


def test_shuffle_stays_inside_its_stretch_and_is_the_same_for_a_seed(tmp_path: Path) -> None:
    path = stream(tmp_path, list(range(200)))

    def order(seed: int) -> list[int]:
        source = replay(path, shuffle_within_s=20.0, seed=seed)
        return [int(post.id[1:]) for post in posts_of(source)]

    assert sorted(order(1)) == list(range(200))
    assert order(1) == order(1) != order(2)
    assert order(1) != list(range(200))
    assert all(number // 20 == place // 20 for place, number in enumerate(order(1)))


def test_raw_lines_are_sent_as_they_are(tmp_path: Path) -> None:
    lines = [
        encode(make_post(1)), encode(make_event("like", 1)), b"not json \xff",
        b'{"author": "a9", "v": 7}', b'{"kind": 5, "author": "a8"}',
    ]  # fmt: skip
    path = tmp_path / "raw.jsonl"
    path.write_bytes(b"\n".join(lines))
    records = [item.record for item in take_all(replay(path, format="raw"))]
    assert records == [
        RawRecord(lines[0], "a1", "posts", well_formed=True),
        RawRecord(lines[1], "a1", "post-events", well_formed=True),
        RawRecord(lines[2], "unknown", "posts"),
        RawRecord(lines[3], "a9", "posts"),
        RawRecord(lines[4], "a8", "post-events"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ""}, "`path` is empty"),
        ({"columns": {"txt": "text"}}, r"columns.txt \(did you mean 'text'\?\)"),
        ({"columns": {"text": "body"}}, "columns.text = 'body' is not in the file"),
        ({"speed": 1.0, "rate_posts_per_s": 1.0}, "not both"),
        ({"times": "shifted"}, "into the future"),
        ({"time_zone": "Mars"}, "no such zone"),
    ],
)
def test_wrong_options_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, HEADER)
    with pytest.raises(ConfigError, match=message):
        take_all(ReplaySource(
            ReplayOptions(**{"path": str(path)} | options), SourceContext(tmp_path)
        ))  # fmt: skip


def test_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        replay(tmp_path / "none.csv").open(None)


def test_cursor_of_another_file_or_shuffle_has_another_fingerprint(tmp_path: Path) -> None:
    path = stream(tmp_path, [0, 1])
    plain = replay(path).fingerprint()
    assert replay(path, speed=9.0).fingerprint() == plain
    assert replay(path, shuffle_within_s=5.0).fingerprint() != plain
    path.write_text(path.read_text() + "\n2015-02-17T07:36:05Z,p,a,t,en")
    assert replay(path).fingerprint() != plain


def test_shipped_options_can_be_loaded() -> None:
    folder = Path(__file__).parents[5] / "configs" / "sources"
    paths = list(folder.glob("replay*.toml"))
    assert paths
    for path in paths:
        load_options(ReplayOptions, path, {"path": "x"}).check()


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'speed'"):
        load_options(ReplayOptions, None, {"sped": 1})
