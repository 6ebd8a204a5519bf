"""Dates of feeds: right, or none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.rss.wire import date_of


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2026/03/05 10:00:00", "2026-03-05T10:00:00"),
        ("1698481708", "2023-10-28T08:28:28"),
        ("1698481708000", "2023-10-28T08:28:28"),
        ("2018-02-05 07:09:00 +0000 UTC", "2018-02-05T07:09:00"),
        ("2018-02-05 07:09:00.5 +0530 IST", "2018-02-05T01:39:00"),
        ("20261130T100000Z", "2026-11-30T10:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 CET", "2026-03-05T09:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 BST", "2026-03-05T09:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 CEST", "2026-03-05T08:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 EST", "2026-03-05T15:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 MSK", "2026-03-05T07:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 GMT", "2026-03-05T10:00:00"),
        ("Thu, 5 Mar 26 10:00 Z", "2026-03-05T10:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 +0100 (CET)", "2026-03-05T09:00:00"),
        ("Thu, 05 Mar 2026 10:00:00 -0000", "2026-03-05T10:00:00"),
        ("Thu, 05 Mar 2026 10:00:00", "2026-03-05T10:00:00"),
        ("2026-03-05T10:00:00+01:00", "2026-03-05T09:00:00"),
        ("2026-03-05T10:00:00 +0100", "2026-03-05T09:00:00"),
        ("2026-03-05 10:00", "2026-03-05T10:00:00"),
        ("2026-03-05", "2026-03-05T00:00:00"),
        ("2027-03-05T10:00:00Z", "2027-03-05T10:00:00"),
    ],
)
def test_a_date_is_read_as_it_is_meant(said: str, expected: str) -> None:
    assert date_of(said) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    ["", "yesterday", "10:00", "12", "2026", "0", "05 März 2026 10:00", "5 mars 2026 10:00",
     "Do, 05 Mrz 2026 10:00:00 +0100", "03/05/2026 10:00:00", "2026-13-45T00:00:00Z",
     "Thu, 05 Mar 2026 10:00:00 IST", "Thu, 05 Mar 2026 10:00:00 XYZ", "2026年03月05日",
     "Thu, 05 Mar 2026 25:00:00 GMT", "5 Mar 2026 10:00 PM", None, 5],
)  # fmt: skip
def test_what_cannot_be_read_for_certain_is_no_date(said: object) -> None:
    assert date_of(said) is None


@given(st.text(max_size=90) | st.text(alphabet="0123456789-/:T+Z, MarUTC", max_size=30))
def test_any_text_gives_a_date_or_none(said: str) -> None:
    found = date_of(said)
    assert found is None or found.tzinfo is UTC
