"""Separators, encodings and archives: each form of one file is the same four posts."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from core.errors import ConfigError
from services.ingest.sources.replay.options import NeedsOption

Told = list[tuple[str, str, str, str]]

QUOTED = 'id,author,created_at,text\n1,ana,2026-03-01T10:00:00Z,"one, ""two"";\nthree|four\tfive"\n'


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separator_and_line_end_are_recognised(
    given: Callable[..., Any], base: str, expected: Told, sign: str, end: str
) -> None:
    file = given(base.replace(",", sign).replace("\n", end))
    assert file.told() == expected
    name = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}[sign]
    assert f"CSV, {name}" in file.said()


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_cells_in_quotes_hold_separators_quotes_and_line_ends(
    given: Callable[..., Any], sign: str
) -> None:
    header, _, rest = QUOTED.partition("\n")
    first, text = rest.split(',"', 1)
    content = header.replace(",", sign) + "\n" + first.replace(",", sign) + sign + '"' + text
    assert given(content).texts() == ['one, "two";\nthree|four\tfive']


@pytest.mark.parametrize("sign", [",", "\t", ";"])
def test_quote_that_is_not_closed_swallows_no_rows(given: Callable[..., Any], sign: str) -> None:
    texts = ['"he said', 'ok "fine', "x", '5" pipes']
    rows = [f"{n},2026-03-01T10:00:0{n}Z,".replace(",", sign) + t for n, t in enumerate(texts)]
    file = given("\n".join([f"id{sign}created_at{sign}text", *rows]) + "\n")
    assert file.texts() == texts


@pytest.mark.parametrize(
    ("closing", "detail"),
    [
        ('"text, with"', "4 columns, expected 3"),
        ('"quoted"', "a quote that is not closed: 2 lines in one cell are rows"),
    ],
)
def test_rows_that_a_quote_swallows_far_into_a_file_are_told(
    given: Callable[..., Any], closing: str, detail: str
) -> None:
    rows = [f'{n},2026-03-01T10:00:00Z,"text, with {n}"\n' for n in range(9_000)]
    for number, text in ((8_000, '"never closed'), (8_001, "plain"), (8_002, closing)):
        rows[number] = f"{number},2026-03-01T10:00:00Z,{text}\n"
    file = given("id,created_at,text\n" + "".join(rows))
    assert file.faults() == [f"row 8001: {detail}"]
    assert "8,997 will count, 1 will not" in file.said()


@pytest.mark.parametrize("option", [";", "semicolon"])
def test_separator_can_be_said(given: Callable[..., Any], option: str) -> None:
    file = given("text;id\none, two, three;1\nfour, five, six;2\n")
    assert file.texts(delimiter=option) == ["one, two, three", "four, five, six"]
    with pytest.raises(ConfigError, match="delimiter = 'semi'"):
        file.items(delimiter="semi")


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nid;text\n1;one, two\n2;three\n",
        "text\none, two\nthree\n",
        "text\none; two\nthree\n",
        'id,text\n1,"he said \\"no\\", twice"\n2,three\n',
        "id,text,\n1,one two,\n2,three,\n",
        "About this export;;\nMade on;2026-03-01;\n\nid;created_at;text\n1;2026-03-01;one\n"
        "2;2026-03-02;three\n",
    ],
    ids=["sep line", "one column, commas", "one column, semicolons", "backslashes",
         "last separator", "lines above the table"],
)  # fmt: skip
def test_habits_of_spreadsheets_and_databases_are_known(
    given: Callable[..., Any], content: str
) -> None:
    assert len(given(content).posts()) == 2


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_is_recognised(given: Callable[..., Any], encoding: str, end: str) -> None:
    rows = ["id\tauthor\ttext", "1\tana\tÜberschwemmung in Köln", "2\tben\tça va, l’été “là” – 5 €"]
    file = given((end.join(rows) + end).encode(encoding))
    assert file.texts() == ["Überschwemmung in Köln", "ça va, l’été “là” – 5 €"]
    assert file.told() == given(end.join(rows) + end).told()
    assert "posts.csv: CSV, tab" in file.said()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "наводнение в городе очень плохо"),
        ("cp1250", "powódź w mieście źle żółć"),
        ("gb18030", "洪水很严重，大家小心"),
        ("shift_jis", "東京で洪水が発生しました"),
        ("mac_roman", "Überschwemmung in Köln schön"),
    ],
)
def test_encoding_that_bytes_do_not_tell_is_asked_for(
    given: Callable[..., Any], encoding: str, text: str
) -> None:
    file = given(f"id,text\n1,{text}\n2,{text}\n".encode(encoding))
    with pytest.raises(NeedsOption, match="is not UTF-8") as refused:
        file.preview()
    assert refused.value.remedies[0].startswith("encoding=")
    if encoding != "mac_roman":  # which nobody is likely to have
        assert refused.value.remedies == (f"encoding={encoding}",)
    assert file.texts(encoding=encoding) == [text, text]


def test_wrong_name_of_an_encoding_is_refused_with_the_nearest(given: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"encoding = 'cp1525': no such .* 'cp1252'"):
        given("text\nhi\n").preview(encoding="cp1525")


def test_a_few_bytes_that_are_not_utf8_do_not_change_the_encoding_of_a_file(
    given: Callable[..., Any],
) -> None:
    content = "id,text\n" + "".join(f"{n},schön ist es\n" for n in range(9))
    file = given(content.encode() + b"9,sch\xf6n\n")
    assert file.texts() == ["schön ist es"] * 9
    assert file.faults() == ["row 10: the bytes are not UTF-8 (encoding)"]
    assert "1 row will not count" in file.said()
    assert "--set encoding=cp1252" in file.said()


def zipped(content: bytes, *names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names or ("posts.csv",):
            archive.writestr(name, content)
    return packed.getvalue()


def long_window(content: bytes) -> bytes:
    """Pack as Reddit's dumps are packed."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(content)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "zstd, long": long_window,
    "zstd, two frames": lambda c: zstandard.compress(c[:50]) + zstandard.compress(c[50:]),
    "gzip, two members": lambda c: gzip.compress(c[:50]) + gzip.compress(c[50:]),
    "zip": zipped,
    "zip of a Mac": lambda c: zipped(c, "posts.csv", "__MACOSX/._posts.csv", "a/.DS_Store"),
    "gzip twice": lambda c: gzip.compress(gzip.compress(c)),
    "gzip in zip": lambda c: zipped(gzip.compress(c), "posts.csv.gz"),
}


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_packed_files_are_read_by_their_content(
    given: Callable[..., Any],
    base: str,
    expected: Told,
    packer: Callable[[bytes], bytes],
    encoding: str,
) -> None:
    assert given(packer(base.encode(encoding)), "posts.data").told() == expected


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_packed_json_lines_are_read_too(
    given: Callable[..., Any], packer: Callable[[bytes], bytes]
) -> None:
    lines = "\n".join(json.dumps({"id": str(n), "text": f"post {n}"}) for n in range(50))
    assert given(packer(lines.encode())).texts() == [f"post {n}" for n in range(50)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(b"x", "xl/workbook.xml", "[Content_Types].xml"), "an Excel workbook.*CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an Excel or Word file.*CSV UTF-8"),
        (b"PAR1" + bytes(50), "a Parquet file"),
        (b"SQLite format 3\0" + bytes(50), "a SQLite database"),
        (b"%PDF-1.7", "a PDF file"),
        (b"\x3a\xa2eroots\x81\xd8" + bytes(90), "a CAR file.*getAuthorFeed"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><rss/>", "an XML file.*source rss"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive"),
        (zipped(b"x", "a.csv", "b.csv"), r"a zip archive of 2 files \(a.csv, b.csv\)"),
        (gzip.compress(b"a.csv".ljust(257, b"\0") + b"ustar\x0000", mtime=0), "a tar archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_file_that_is_no_text_is_refused_by_what_it_is_with_the_way(
    given: Callable[..., Any], content: bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"posts.data is {message}" if "lfs" not in message
                       else message):  # fmt: skip
        given(content, "posts.data").preview()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [("gzip", "csv"), ("gzip", "jsonl"), ("gzip", "json"), ("bzip2", "csv"), ("xz", "csv"),
     ("zstd", "csv"), ("zstd", "json")],
)  # fmt: skip
def test_packed_file_cut_in_half_gives_its_rows_and_then_the_place(
    given: Callable[..., Any], name: str, form: str
) -> None:
    import random

    words = random.Random(4)
    posts = [
        {"id": str(n), "created_at": f"2026-03-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
         "text": f"{words.getrandbits(1200):x}"}
        for n in range(6_000)
    ]  # fmt: skip
    lines = {
        "csv": "id,created_at,text\n" + "".join(f"{','.join(p.values())}\n" for p in posts),
        "jsonl": "".join(f"{json.dumps(p)}\n" for p in posts),
        "json": json.dumps(posts),
    }
    packed = PACKERS[name](lines[form].encode())
    file = given(packed[: len(packed) // 2])
    told, faults = file.texts(), file.faults()
    assert 500 < len(told) < 6_000
    assert told == [post["text"] for post in posts[: len(told)]]
    assert len(faults) == 1
    # The row that is cut through may be told as its own fault by a parser; here none is.
    assert faults[0].startswith(f"row {len(told) + 1}: the file breaks off before this row: ")
    assert "the file breaks off" in file.said()
    assert not file.preview().all_count


def test_json_lines_with_a_byte_order_mark_lose_no_line(given: Callable[..., Any]) -> None:
    lines = '{"id":"1","text":"one"}\n{"id":"2","text":"two"}\n'
    assert given(lines.encode("utf-8-sig")).texts() == ["one", "two"]
    assert given(lines.encode("utf-16")).texts() == ["one", "two"]


def test_half_a_surrogate_pair_becomes_a_replacement_character_and_is_counted(
    given: Callable[..., Any],
) -> None:
    file = given('{"id":"1","text":"flood \\ud83d now"}\n{"id":"2","text":"\\ude00"}\n'
                 '{"id":"3","text":"whole \\ud83d\\ude00"}\n')  # fmt: skip
    source = file.source()
    assert file.texts() == ["flood \ufffd now", "\ufffd", "whole 😀"]
    assert file.faults() == []
    assert "2 times half a surrogate pair" in file.said()
    source.open(None)
    source.poll(10, 1.0)
    source.close()
    count = source.context.metrics.registry.get_sample_value(
        "groundswell_posts_repaired_total", {"repair": "half_character"}
    )
    assert count == 2


def test_nan_is_taken_for_null_and_counted(given: Callable[..., Any]) -> None:
    one, two = '{"id":"1","likes":NaN,"text":"one"}', '{"id":"2","likes":-Infinity,"text":"two"}'
    for form in (f"{one}\n{two}\n", f"[{one},\n{two}]"):
        file = given(form)
        assert file.texts() == ["one", "two"]
        assert "2 times NaN or an infinite number" in file.said()


def test_nothing_of_a_file_reaches_a_terminal_as_control_bytes(given: Callable[..., Any]) -> None:
    file = given('id,text\n1,"\x1b[31mred\x07 \x9b2J"\n')
    assert "\x1b" not in file.said()


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_small_packed_file_cut_near_its_end_gives_its_rows(
    given: Callable[..., Any], name: str
) -> None:
    rows = "".join(f"{n},2026-03-01T10:00:00Z,post {n * 7919 % 1000}\n" for n in range(300))
    packed = PACKERS[name](f"id,created_at,text\n{rows}".encode())
    for left in (len(packed) - 1, len(packed) * 3 // 4):
        file = given(packed[:left])
        assert len(file.texts()) > 100, "what can be unpacked is not lost with the buffer"
        assert "the file breaks off" in file.faults()[-1]


def test_bytes_that_are_no_text_are_called_so(given: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"is no text: expected CSV or JSON"):
        given(b"\xff\x8d" + bytes(range(256)) * 20).preview()


def test_recording_of_an_event_stream_is_refused_with_the_way(given: Callable[..., Any]) -> None:
    for start in ("", ":)\n\n", ": ok\r\n"):
        with pytest.raises(ConfigError, match=r"recording of server-sent events: keep the JSON"):
            given(f'{start}event: update\ndata: {{"id":"1"}}\n\n').preview()
