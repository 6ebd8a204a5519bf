"""Replies with their authors: nothing of the event, nothing later, nothing judged is learnt."""

import gzip
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from core.errors import ConfigError
from evaluation.crowds.persona_replies import (
    HISTORY,
    Said,
    apart,
    load_persona_replies,
    persona_replies,
)
from evaluation.responses.threads import FOLDER
from models.socialalign.persona_reply import (
    JUDGE,
    LEARN,
    PARTS,
    VALIDATE,
    PersonReply,
    read_person_replies,
    write_person_replies,
)


def said(at: int, thread: str, text: str, author: str = "ann", about: str = "") -> Said:
    return Said(author, about, f"2026-01-01T00:00:{at:02}", thread, "topic", text, "a post", None)


def test_a_person_is_told_by_their_last_posts_under_other_threads() -> None:
    posts = [said(row, f"thread {row}", f"text {row}") for row in range(6)]
    posts.append(said(7, "thread 5", "the reply"))
    told = persona_replies("set", posts)[-1]
    assert told.reply == "the reply"
    assert told.person == " | ".join(f"text {row}" for row in (4, 3, 2))
    assert told.person.count("|") == HISTORY - 1


def test_of_whom_nothing_is_known_nothing_is_told() -> None:
    posts = [said(1, "one", "first"), said(2, "one", "second"), said(3, "one", "", "bob", "a vet")]
    assert persona_replies("set", posts) == []
    about = [replace(one, about="a vet | of   cats") for one in posts]
    assert {one.person for one in persona_replies("set", about)} == {"a vet | of cats"}


def test_what_comes_later_changes_nothing_that_was_told_before() -> None:
    rng = Random(4)
    posts = [
        said(row, f"thread {rng.randrange(9)}", f"text {row}", f"author {rng.randrange(3)}")
        for row in range(40)
    ]
    whole = persona_replies("set", posts)
    late = [
        replace(one, text=f"other {one.text}") if one.at > posts[19].at else one for one in posts
    ]
    rng.shuffle(late)
    changed = persona_replies("set", late)
    early = [one for one in whole if int(one.reply.split()[1]) < 20]
    assert len(early) > 5
    told = [(one.person, one.reply) for one in early]
    assert [(one.person, one.reply) for one in changed[: len(early)]] == told


def test_parts_follow_the_time_and_what_is_judged_is_not_learnt() -> None:
    posts = [said(row, f"thread {row}", f"a reply with many words, {row}") for row in range(51)]
    found = persona_replies("set", posts)
    assert Counter(one.part for one in found) == {LEARN: 35, VALIDATE: 5, JUDGE: 10}
    assert [one.part for one in found] == sorted((one.part for one in found), key=PARTS.index)
    copy = msgspec.structs.replace(found[0], reply=f"  {found[-1].reply.upper()} ")
    short = msgspec.structs.replace(found[0], reply="yes")
    kept = apart([copy, short, msgspec.structs.replace(short, part=JUDGE), *found])
    assert copy not in kept
    assert short in kept
    assert len(kept) == len(found) + 2


def test_a_file_is_read_as_it_was_written_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "persons.jsonl"
    rows = [PersonReply(part, "set", "topic", "ann", "a post", "yes") for part in PARTS * 2]
    write_person_replies(file, rows)
    assert read_person_replies(file) == rows
    write_person_replies(file, rows[:5])
    with pytest.raises(ConfigError, match="two replies to judge"):
        read_person_replies(file)
    file.write_text('{"part": "learnt"}\n')
    with pytest.raises(ConfigError, match=r"persons\.jsonl: no file of persons' replies.*learnt"):
        read_person_replies(file)
    with pytest.raises(ConfigError, match=r"none\.jsonl"):
        read_person_replies(tmp_path / "none.jsonl")


@pytest.mark.parametrize("text", ["null", "3", '["x"]'])
def test_a_post_without_a_text_is_refused_by_name(tmp_path: Path, text: str) -> None:
    line = f'{{"author": "a", "created_at": "1", "text": {text}, "replies": []}}\n'
    columns = "id,parent_id,is_source,created_at,event,thread,text,split,author,author_bio,platform"
    files = {"rumoureval/posts.csv.gz": f"{columns}\n", "bluesky/threads.jsonl.gz": line}
    for name, raw in files.items():
        file = tmp_path / f"{FOLDER}{name}"
        file.parent.mkdir(parents=True)
        file.write_bytes(gzip.compress(raw.encode()))
    with pytest.raises(ConfigError, match="bluesky"):
        load_persona_replies(tmp_path)
