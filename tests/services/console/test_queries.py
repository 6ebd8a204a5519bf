"""The catalog as it is listed, and expressions as they are checked."""

from typing import Any

import pytest

from services.console.keys import Role
from testkit.console import ConsoleRig


async def check(rig: ConsoleRig, **asked: Any) -> dict[str, Any]:
    answer = await rig.ask("/queries/check", Role.ANALYST, "POST", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("expression", "column"), [("late AND (train", 10), ("late AND", 9), ("", 1), ("a OR OR b", 6)]
)
async def test_an_error_is_at_its_column(rig: ConsoleRig, expression: str, column: int) -> None:
    found = await check(rig, expression=expression)
    assert found["valid"] is False
    assert (found["error"]["line"], found["error"]["column"]) == (1, column)


async def test_a_post_is_tried_as_the_stream_would(rig: ConsoleRig) -> None:
    for text, matches in (("The TRAIN is late", True), ("the tram is late", False), (None, None)):
        found = await check(rig, expression="late train", text=text)
        assert (found["valid"], found["matches"]) == (True, matches)


async def test_two_thousand_queries_are_listed_in_pages(rig: ConsoleRig) -> None:
    rig.data.catalog_text = "".join(
        f'[queries.q{n:04}]\nexpression = "word{n}"\n' for n in range(2_000)
    )
    names, cursor = [], None
    for _ in range(3):
        asked = {"limit": 900} | ({"cursor": cursor} if cursor else {})
        page = (await rig.ask("/queries", params=asked)).json()
        names += [one["name"] for one in page["queries"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert names == [f"q{n:04}" for n in range(2_000)]


async def test_a_field_that_is_not_known_is_named(rig: ConsoleRig) -> None:
    answer = await rig.ask("/queries/check", Role.ANALYST, "POST", json={"expresion": "a"})
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == {"expression", "expresion"}
