"""Splits share nothing, and what was left out for it is counted."""

import gzip
import json
from functools import partial
from pathlib import Path

import pytest

from core.errors import ConfigError
from evaluation.responses.threads import KINDS, Thread, lines_of, load_threads, rows_of, split
from tests.evaluation.responses.recorded import made_up, write_popalm

# Without the time of day, which would be a part of the tests' names: two processes that collect
# them in different seconds would disagree about what there is to run.
_packed = partial(gzip.compress, mtime=0)
REPLIES = ("one reply that is told at length", "another", "a third")


def test_what_stands_in_both_splits_is_taken_from_what_is_learnt_from() -> None:
    asked = Thread("Is it so?", (*REPLIES, "why is it never so in our town?"), "test")
    train = [
        Thread("is  it SO?", ("yes", "no"), "train"),  # the same post to a reader
        Thread("Why is it never so in our town?", ("because",), "train"),  # a judged reply
        Thread("Something else", ("ONE reply that is  told at length", "another"), "train"),
        Thread("A third thing", ("another",), "dev"),
    ]
    found = split("popalm", [*train, asked, *made_up(1)])
    assert [thread.post for thread in found.train] == ["Something else", "A third thing"]
    assert found.train[0].replies == ("another",)
    assert found.removed["train_of_test"] == 2
    assert found.removed["train_replies_of_test"] == 1


def test_a_short_reply_may_be_said_twice() -> None:
    threads = [Thread("q", ("another",), "train"), *made_up(1), Thread("r", REPLIES, "test")]
    assert split("popalm", threads).train[0].replies == ("another",)


def test_judged_posts_are_judged_once_and_only_with_replies_enough() -> None:
    threads = [
        Thread("p", ("x",), "train"), Thread("q", REPLIES, "test"), Thread("Q", REPLIES, "test"),
        Thread("r", (*REPLIES[:2], " "), "test"), Thread("s", REPLIES, "test"),
    ]  # fmt: skip
    found = split("popalm", threads)
    assert [thread.post for thread in found.test] == ["q", "s"]
    assert found.removed["test_repeated"] == 1
    assert found.removed["test_too_few_replies"] == 1


def test_without_an_official_test_the_last_part_is_judged_and_a_day_is_on_one_side() -> None:
    days = [f"2020-01-0{1 + number // 4}" for number in range(20)]
    threads = [Thread(f"post {n}", REPLIES, day) for n, day in enumerate(days)]
    found = split("reddit_pairs", threads)
    assert {thread.order for thread in found.test} == {"2020-01-05"}
    assert len(found.test) == 4


def test_a_set_with_nothing_to_judge_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="popalm"):
        split("popalm", [Thread("p", REPLIES, "train")])


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    threads = [*made_up(3, seed=1, order="train"), *made_up(4)]
    write_popalm(tmp_path, threads)
    found = load_threads(tmp_path, "popalm")
    assert [*found.train, *found.test] == threads


@pytest.mark.parametrize(
    "content", ["no json", '{"post": "p"}', '{"post": 1, "replies": 2}', "[1]"]
)
def test_a_file_that_is_none_is_refused_by_name(content: str, tmp_path: Path) -> None:
    write_popalm(tmp_path, made_up(2))
    file = tmp_path / "responses_popalm" / "posts.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.write(content + "\n")
    with pytest.raises(ConfigError, match="responses_popalm"):
        load_threads(tmp_path, "popalm")


def test_bluesky_threads_are_posts_with_replies_and_parents_with_answers(tmp_path: Path) -> None:
    folder = tmp_path / "responses_bluesky"
    folder.mkdir()
    replies = [{"text": f"reply {n}", "created_at": f"2024-11-0{n}T00:00:00Z"} for n in (3, 2)]
    row = {"text": "post", "created_at": "2024-11-01T00:00:00Z", "parent": {"text": "root"}}
    with gzip.open(folder / "threads.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(row | {"replies": replies}) + "\n")
        file.write(json.dumps(row | {"text": "post 2", "replies": []}) + "\n")
    found = {thread.post: thread for thread in KINDS["bluesky"].read(folder)}
    assert found["post"] == Thread("post", ("reply 3", "reply 2"), "2024-11-03T00:00:00Z")
    assert found["root"].replies == ("post", "post 2")


@pytest.mark.parametrize("raw", [
    _packed(b"a,b\n1,2\n" * 99)[:-12],
    _packed(b"a,b\n1,2\n")[:12] + b"\xff" * 30,
    _packed(b"a,b\n1\n"), _packed(b"a,b\n1,2,3\n"),
    _packed(b'a,b\n"' + b"x" * ((1 << 24) + 9) + b'",2\n'),
])  # fmt: skip
def test_rows_that_break_off_or_lack_a_value_are_refused_by_the_name_of_the_file(
    tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "posts.csv.gz"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"posts\.csv\.gz"):
        list(rows_of(file))


@pytest.mark.parametrize("raw", [
    _packed(b'{"a": 1}\n' * 99)[:-12], _packed(b"[1]\n"), _packed(b"null\n"),
    _packed(b"[" * 100_000),
])  # fmt: skip
def test_lines_that_are_no_objects_are_refused_by_the_name_of_the_file(
    tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "threads.jsonl.gz"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"threads\.jsonl\.gz"):
        list(lines_of(file))
