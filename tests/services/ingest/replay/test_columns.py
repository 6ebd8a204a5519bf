"""Columns and shapes: what says what of a post is found, or asked for by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import ConfigError
from services.ingest.replay.columns import KNOWN_COLUMNS, choose_columns
from services.ingest.sources.replay.options import NeedsOption

Told = list[tuple[str, str, str, str]]

WHEN = "2026-03-01T10:00:00Z"
POST = ("7", "ana", WHEN, "flood here")


def jsonl(*values: Any) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


@pytest.mark.parametrize(
    "header",
    [
        "Datetime,Tweet Id,Text,Username",
        "DATETIME,TWEET_ID,TEXT,USERNAME",
        "created_at,id,full_text,screen_name",
        "createdAt,tweetId,rawContent,userName",
        "Date,Id,Content,User",
        "timestamp_utc,post_id,body,user_handle",
        "local_time,comment id,comment,author name",
        "Post Created,Post Id,Message,Page Name",
        "date_time,status-id,tweet text,from_user",
        " published_at , guid , post.content , handle ",
    ],
)
def test_names_are_known_whatever_their_case_and_spaces(
    given: Callable[..., Any], header: str
) -> None:
    assert given(f"{header}\n{WHEN},7,flood here,ana\n").told() == [POST]


def test_every_known_name_is_taken_for_its_field_alone() -> None:
    for field, names in KNOWN_COLUMNS.items():
        for name in names:
            present = [name, "tweet" if field != "text" else "no"]
            assert choose_columns(present, {})[field][0] == name, (field, name)


def test_column_that_the_message_asks_for_is_taken(given: Callable[..., Any]) -> None:
    file = given("Nr,Was,Wann\n7,flood here,2026-03-01\n")
    with pytest.raises(NeedsOption, match=r"no column for the text among Nr, Was, Wann") as refused:
        file.preview()
    assert refused.value.remedies == ("columns.text=Was",)
    assert file.texts(columns={"text": "Was"}) == ["flood here"]
    assert file.texts(columns={"text": "was"}) == ["flood here"]
    with pytest.raises(ConfigError, match=r"columns.text = 'Wass'.*did you mean 'Was'"):
        file.texts(columns={"text": "Wass"})


def test_file_without_time_and_author_says_so_and_what_happens_then(
    given: Callable[..., Any],
) -> None:
    rows = "1,ana,2026-03-01 10:00,2020-01-01,flood\n2,ben,2026-03-01 10:01,2020-01-02,kind\n"
    file = given(f"nr,wer,wann,seit,text\n{rows}")
    said = file.said()
    assert "no time and no author found among nr, wer, wann, seit, text" in said
    assert "every post counts at the moment it is read" in said
    assert "each post has an author of its own" in said
    for name in ("wann", "seit"):
        assert f"--set columns.time={name}" in said
    chosen = {"time": "wann", "author": "wer"}
    assert "found among" not in file.said(columns=chosen)
    assert [(p.author, f"{p.claimed_at:%H:%M}") for p in file.posts(columns=chosen)] == [
        ("ana", "10:00"), ("ben", "10:01")
    ]  # fmt: skip


def test_only_column_of_dates_is_the_time_whatever_its_name(given: Callable[..., Any]) -> None:
    file = given("nr,wann,likes,text\n1,01.03.2026 10:00,1772359200,flood\n2,,1772359201,kind\n")
    assert [post.claimed_at is not None for post in file.posts()] == [True, False]
    assert "time from wann" in file.said()


@pytest.mark.parametrize("header", [True, False])
def test_file_without_a_header_says_that_its_first_row_looks_like_data(
    given: Callable[..., Any], base: str, expected: Told, header: bool
) -> None:
    if header:
        assert given(base).told() == expected
        return
    file = given(base.partition("\n")[2])
    with pytest.raises(NeedsOption, match=r"first row looks like data \(1, ana") as refused:
        file.preview()
    assert refused.value.remedies == ("header=id,author,created_at,text",)
    assert file.told(header="id,author,created_at,text") == expected


def test_text_that_happens_to_be_the_name_of_a_column_is_no_header(
    given: Callable[..., Any],
) -> None:
    with pytest.raises(NeedsOption, match="looks like data"):
        given("1,ana,2026-03-01T10:00:00Z,text\n2,ben,2026-03-01T10:00:00Z,so\n").preview()


FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "lines": lambda posts: jsonl(*posts),
    "lines without an end": lambda posts: jsonl(*posts).rstrip(),
    "windows lines": lambda posts: jsonl(*posts).replace("\n", "\r\n\r\n"),
    "array on one line": json.dumps,
    "pretty array": lambda posts: json.dumps(posts, indent=2),
    "pretty objects in a row": lambda posts: "\n".join(json.dumps(p, indent=1) for p in posts),
    "array over lines": lambda posts: "[\n" + ",\n".join(map(json.dumps, posts)) + "\n]",
    "page": lambda posts: json.dumps({"meta": {"count": 2}, "data": posts}),
    "pretty page": lambda posts: json.dumps({"data": posts, "next": None}, indent=4),
    "pages by lines": lambda posts: jsonl(*({"data": [post]} for post in posts)),
    "array of pages": lambda posts: json.dumps([{"data": [post]} for post in posts]),
    "results": lambda posts: json.dumps({"status": "ok", "results": posts}),
    "javascript": lambda posts: "window.YTD.tweets.part0 = " + json.dumps(posts, indent=2),
    "data within data": lambda posts: json.dumps({"data": {"posts": posts}}),
    "under their ids": lambda posts: json.dumps({post["id"]: post for post in posts}),
    "columns of a data frame": lambda posts: json.dumps(
        {name: {str(n): post[name] for n, post in enumerate(posts)} for name in posts[0]}
    ),
    "hits of a search": lambda posts: json.dumps(
        {"took": 3, "hits": {"total": 4, "hits": [{"_id": p["id"], "_source": p} for p in posts]}}
    ),
    "lines of an index": lambda posts: jsonl(
        *({"_index": "x", "_id": post["id"], "_source": post} for post in posts)
    ),
    "features of a map": lambda posts: json.dumps(
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": p, "geometry": None} for p in posts],
        }
    ),
    "threads of comments": lambda posts: json.dumps(
        {
            "items": [
                {
                    "kind": "youtube#commentThread",
                    "id": p["id"],
                    "snippet": {
                        "topLevelComment": {
                            "id": p["id"],
                            "snippet": {
                                "textDisplay": p["text"],
                                "publishedAt": p["created_at"],
                                "authorDisplayName": p["author"],
                            },
                        }
                    },
                }
                for p in posts
            ]
        }
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_of_json_are_the_same_posts(
    given: Callable[..., Any], expected: Told, form: Callable[[list[dict[str, Any]]], str]
) -> None:
    posts = [
        dict(zip(("id", "author", "created_at", "text"), post, strict=True)) for post in expected
    ]
    assert given(form(posts), "posts.json").told() == expected


@pytest.mark.parametrize("form", [json.dumps, lambda p: json.dumps(p, indent=2)])
def test_array_larger_than_what_is_read_at_once_is_read_whole(
    given: Callable[..., Any], form: Callable[[Any], str]
) -> None:
    posts = [{"id": str(n), "text": f"{n} " + 'ä\\"[]{},' * (n % 3000)} for n in range(400)]
    assert given(form(posts)).texts() == [post["text"] for post in posts]


def test_columns_are_looked_for_over_many_lines(given: Callable[..., Any]) -> None:
    whole = dict(zip(("id", "author", "created_at", "text"), POST, strict=True))
    file = given(jsonl({"id": "0", "text": "x"}, *[whole | {"id": str(n)} for n in range(1, 4)]))
    told = file.told()
    assert [(post_id, author) for post_id, author, *_ in sorted(told)[1:]] == [
        (str(number), "ana") for number in range(1, 4)
    ]
    assert told[-1][0] == "0", "a post without a time comes after those that have one"


def test_error_records_and_broken_lines_are_a_dead_letter_each(given: Callable[..., Any]) -> None:
    good = {"id": "1", "text": "one"}
    error = {"errors": [{"message": "Rate limit exceeded", "code": 88}]}
    file = given(
        jsonl(error) + "{broken\n" + jsonl(good, {"error": "gone"}, {"id": "5"}, [], 7, "x", None)
        + jsonl(good | {"id": "2"})
    )  # fmt: skip
    assert file.texts() == ["one", "one"]
    faults = file.faults()
    assert faults.pop(1).startswith("row 2: not a JSON object: JSON is malformed")
    assert faults == [
        "row 1: an error record of the platform, no post",
        "row 4: an error record of the platform, no post",
        "row 5: no text: none of its keys holds one",
        "row 6: not a JSON object: a int",
        "row 7: not a JSON object: a str",
        "row 8: not a JSON object: a null",
    ]
    preview = file.preview()
    assert preview.survey.uncounted == 7


@pytest.mark.parametrize(
    ("author", "name"),
    [
        ({"account": {"id": "9", "acct": "ana"}}, "ana"),
        ({"account": {"id": 9, "username": "ana"}}, "ana"),
        ({"author": {"username": "ana", "id": "9"}}, "ana"),
        ({"author": {"handle": "ana", "did": "did:plc:x"}}, "ana"),
        ({"user": {"screen_name": "ana", "name": "Ana B."}}, "ana"),
        ({"author": [{"name": "ana"}]}, "ana"),
        ({"author": {"id": 9}}, "9"),
        ({"from": "ana"}, "ana"),
        ({"author_id": 9}, "9"),
        ({"author": None, "username": "ana"}, "ana"),
        ({"author": {"roles": ["x"]}}, None),
        ({"author": True}, None),
    ],
)
def test_author_is_a_name_and_never_the_form_of_an_object(
    given: Callable[..., Any], author: dict[str, Any], name: str | None
) -> None:
    (post,) = given(jsonl({"id": "7", "text": "flood"} | author)).posts()
    assert post.author == name or (name is None and post.author.startswith("anonymous-"))
    assert not set(post.author) & set("{}[]'")


@pytest.mark.parametrize(
    ("reply", "told"),
    [("5", "5"), (5, "5"), ({"id": "5", "text": "x"}, "5"), ({"id": 5}, "5"), (None, None),
     ({"text": "x", "more": 1}, None), (True, None), ([1], None), (5.0, "5")],
)  # fmt: skip
def test_answer_to_an_object_is_one_to_its_id_or_to_nothing(
    given: Callable[..., Any], reply: Any, told: str | None
) -> None:
    (post,) = given(jsonl({"id": "7", "text": "flood", "in_reply_to": reply})).posts()
    assert post.reply_to == told


@pytest.mark.parametrize(
    "post",
    [
        {"text": None, "content": "<p>flood &amp; x</p>"},
        {"text": "", "content": "<p>flood &amp; x</p>"},
        {"content": "<p>flood <span>&amp;</span> x</p>"},
        {"body": "flood &amp; x"},
        {"text": "flood & x", "content": None},
    ],
)
def test_text_is_where_it_is_and_without_tags(
    given: Callable[..., Any], post: dict[str, Any]
) -> None:
    other = {"id": "8", "text": "x"} if "text" in post else {"id": "8", **post}
    assert given(jsonl({"id": "7"} | post, other)).texts()[0] == "flood & x"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (["a", "b"], "list"),
        ({"en": "x"}, "object"),
        (True, "truth value"),
        ([], "list"),
        ({}, "object"),
    ],
)
def test_text_of_another_kind_is_a_dead_letter_with_its_reason(
    given: Callable[..., Any], text: Any, kind: str
) -> None:
    file = given(jsonl({"id": "6", "text": "x"}, {"id": "7", "text": text}))
    assert file.faults() == [f"row 2: the text is a JSON {kind}, expected a string"]
    assert file.texts() == ["x"]


def test_post_without_words_is_a_post(given: Callable[..., Any]) -> None:
    file = given(
        jsonl({"id": "1", "text": "x"}, {"id": "2", "text": None}, {"id": "3", "text": ""})
    )
    assert file.texts() == ["x", "", ""]


@pytest.mark.parametrize(
    ("said", "tag"),
    [("English", "en"), ("en", "en"), ("eng", "en"), ("german", "de"), ("pt_BR", "pt-BR"),
     ("und", ""), ("", "")],
)  # fmt: skip
def test_language_is_a_tag_whatever_the_file_calls_it(
    given: Callable[..., Any], said: str, tag: str
) -> None:
    assert given(f"id,text,language\n1,x,{said}\n").posts()[0].lang == tag


def test_what_is_no_language_is_unknown_and_told(given: Callable[..., Any]) -> None:
    file = given("id,text,language\n1,x,Klingonish talk\n2,y,en\n")
    assert [post.lang for post in file.posts()] == ["", "en"]
    assert "1 posts name a language that is none (Klingonish talk)" in file.said()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("title", "body"), [("title", "body"), ("Title", "selftext"), ("headline", "text")]
)
def test_title_and_body_both_count(
    given: Callable[..., Any], form: str, title: str, body: str
) -> None:
    if form == "csv":
        file = given(f"id,{title},{body}\n1,Flood,The river rose.\n2,Flood,\n3,,The river.\n")
    else:
        file = given(jsonl({"id": "1", title: "Flood", body: "The river rose."},
                           {"id": "2", title: "Flood", body: ""},
                           {"id": "3", title: None, body: "The river."}))  # fmt: skip
    assert file.texts() == ["Flood\n\nThe river rose.", "Flood", "The river."]


def test_title_alone_is_the_text(given: Callable[..., Any]) -> None:
    assert given("id,title\n1,Flood\n").texts() == ["Flood"]


def test_text_one_object_deeper_is_found_where_there_is_none_above(
    given: Callable[..., Any],
) -> None:
    post = {"key": "1", "node": {"text": "flood", "created_at": WHEN}}
    (found,) = given(jsonl(post)).posts()
    assert (found.text, f"{found.claimed_at:%H}") == ("flood", "10")


def test_file_of_json_without_any_text_names_its_keys(given: Callable[..., Any]) -> None:
    with pytest.raises(NeedsOption, match=r"no column for the text among a, b, b\.c"):
        given(jsonl({"a": 1, "b": {"c": "x"}})).preview()
    with pytest.raises(NeedsOption, match=r"--set columns\.text=b\.c$"):
        given(jsonl({"a": 1, "b": {"c": "x"}})).preview()
    assert given(jsonl({"a": 1, "b": {"c": "x"}})).texts(columns={"text": "b.c"}) == ["x"]


@pytest.mark.parametrize("content", ["", "  \n\n", "[]", "{}", "id,text\n", "\ufeff"])
def test_file_without_posts_is_refused(given: Callable[..., Any], content: str) -> None:
    with pytest.raises(ConfigError, match=r"posts.csv"):
        given(content).preview()


def test_array_that_breaks_off_gives_its_posts_and_then_the_place(
    given: Callable[..., Any],
) -> None:
    whole = json.dumps([{"id": str(n), "text": f"post {n}"} for n in range(20)])
    file = given(whole[: whole.index('"post 12"') + 4])
    assert file.texts() == [f"post {n}" for n in range(12)]
    assert len(file.faults()) == 1
    assert "not JSON from character" in file.faults()[0]


def test_subject_that_somebody_labelled_is_no_title(given: Callable[..., Any]) -> None:
    file = given(f"id,author,created_at,text,subject\n7,ana,{WHEN},flood here,None of the above\n")
    assert file.told() == [POST]
    assert "unused subject" in file.said()


@pytest.mark.parametrize("kind", [{}, {"type": "Create"}])
def test_post_in_an_activity_takes_from_it_what_it_lacks(
    given: Callable[..., Any], kind: dict[str, str]
) -> None:
    note = {"id": "7", "content": "<p>flood here</p>", "published": None}
    outbox = {"orderedItems": [kind | {"actor": "ana", "published": WHEN, "object": note}]}
    assert given(json.dumps(outbox), "outbox.json").told() == [POST]
    whole = note | {"published": WHEN, "attributedTo": "ana"}
    assert given(json.dumps({"orderedItems": [{"object": whole}]})).told() == [POST]


def test_row_with_a_type_and_an_object_of_its_own_is_no_activity(given: Callable[..., Any]) -> None:
    row = {"id": "7", "author": "ana", "created_at": WHEN, "text": "flood here"}
    assert given(jsonl(row | {"type": "message", "object": "x"}), "p.jsonl").told() == [POST]


def test_author_who_is_described_further_inside_is_found_or_missed_aloud(
    given: Callable[..., Any],
) -> None:
    row = {"id": "7", "created_at": WHEN, "text": "flood here"}
    file = given(jsonl(row | {"user": {"profile": {"username": "ana"}}}), "p.jsonl")
    assert file.told() == [POST]
    assert "name no author" not in file.said()
    file = given(jsonl(row | {"author": {"mood": "ana"}}), "p.jsonl")
    assert file.told()[0][1].startswith("anonymous-")
    assert "1 posts name no author: each has one of its own" in file.said()


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        (["de", "en"], "de"), ([], ""), ({"code": "de"}, "de"), ("['de', 'en']", "de"),
        ("de,en", "de"), ("[]", ""), ("English", "en"), ("Portuguese (Brazil)", "pt"),
        ("Chinese (Simplified)", "zh"), ("((((", ""), (5, ""), (None, ""),
    ],
)  # fmt: skip
def test_language_is_read_however_a_file_has_it(
    given: Callable[..., Any], said: Any, tag: str
) -> None:
    row = {"id": "7", "author": "ana", "created_at": WHEN, "text": "flood here"}
    (post,) = given(jsonl(row | {"language": said}), "p.jsonl").posts()
    assert post.lang == tag


def test_column_is_named_once_however_many_of_its_names_are_known(
    given: Callable[..., Any],
) -> None:
    said = given(f"Datetime,Tweet Id,Text,Username\n{WHEN},7,flood here,ana\n").said()
    assert "author from Username, text from Text, time from Datetime" in said


def test_first_row_that_may_be_a_post_is_offered_as_one(given: Callable[..., Any]) -> None:
    file = given("ana,flood here\nben,so kind\ncleo,a disgrace\n")
    with pytest.raises(NeedsOption) as refused:
        file.preview()
    assert refused.value.remedies[1].startswith("header=")
    assert len(file.posts(header=refused.value.remedies[1].removeprefix("header="))) == 3


@pytest.mark.parametrize("sign", ["^", "~", ":"])
def test_separator_that_nobody_guesses_is_named(given: Callable[..., Any], sign: str) -> None:
    rows = "id,author,text\n1,ana,flood here\n2,ben,so kind\n".replace(",", sign)
    file = given(rows)
    with pytest.raises(NeedsOption) as refused:
        file.preview()
    assert refused.value.remedies == (f"delimiter={sign}",)
    assert file.texts(delimiter=sign) == ["flood here", "so kind"]


def test_ids_that_a_spreadsheet_has_rounded_to_zeros_are_made_anew(
    given: Callable[..., Any],
) -> None:
    head = "id,author,created_at,text\n"
    rows = [f"16445{n // 4}0000000000000,ana,{WHEN},post {n}\n" for n in range(8)]
    file = given(head + "".join(rows))
    assert len({post.id for post in file.posts()}) == 8
    assert "8 ids look mangled by a spreadsheet" in file.said()
    assert file.preview().all_count
    whole = given(f"{head}{''.join(rows)}1644510000000000007,ben,{WHEN},x\n")
    assert "mangled" not in whole.said(), "one that is not rounded shows that none is"
