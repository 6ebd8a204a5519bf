"""Alerts and what is behind them: to whom text is shown, and when it is gone."""

import csv
import io
import json
from pathlib import Path

from core.schemas import Term
from services.alerting.showing import DELETED, GONE, THERE, ExampleText
from services.console.keys import Role
from testkit.console import TEXT, ConsoleRig, MemoryData, console_rig, past_alert

SHOWN = [
    ExampleText("typical", "mastodon", "p1", THERE, f"<b>{TEXT}</b>", "https://a.example/1"),
    ExampleText("most-seen", "mastodon", "p2", GONE),
    ExampleText("against", "mastodon", "p3", DELETED),
]
DETAIL = "/alerts/a1"


async def test_alerts_come_the_newest_first_and_pages_hold_each_once(tmp_path: Path) -> None:
    data = MemoryData(past=[past_alert(n) for n in (3, 1, 2)])
    # Two that fired together have an order, too.
    data.past += [past_alert(2, alert_id="b2")]
    async with console_rig(tmp_path, data) as rig:
        found, cursor = [], None
        while True:
            parameters = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = (await rig.ask("/alerts", params=parameters)).json()
            found += [one["alert_id"] for one in page["alerts"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == ["a1", "a2", "b2", "a3"]
        lines = (await rig.ask("/alerts", params={"format": "jsonl"})).text.splitlines()
        assert [json.loads(line)["alert_id"] for line in lines] == found
        table = (await rig.ask("/alerts", params={"format": "csv"})).text
        assert [row["alert_id"] for row in csv.DictReader(io.StringIO(table))] == found


async def test_alerts_are_chosen_by_query_kind_and_state(tmp_path: Path) -> None:
    data = MemoryData(past=[past_alert(1), past_alert(2, kind="volume", state="resolved"),
                            past_alert(3, query="weather")])  # fmt: skip
    async with console_rig(tmp_path, data) as rig:
        for asked, expected in (
            ({"query": "trains"}, ["a1", "a2"]),
            ({"kind": "volume"}, ["a2"]),
            ({"firing": "true"}, ["a1", "a3"]),
            ({"query": "nobody"}, []),
        ):
            page = (await rig.ask("/alerts", params=asked)).json()
            assert [one["alert_id"] for one in page["alerts"]] == expected


async def test_what_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    data = MemoryData(past=[past_alert(1, sentence="=HYPERLINK(1)")])
    async with console_rig(tmp_path, data) as rig:
        table = (await rig.ask("/alerts", params={"format": "csv"})).text
        (row,) = csv.DictReader(io.StringIO(table))
        assert row["sentence"] == "'=HYPERLINK(1)"


async def test_posts_and_terms_are_for_analysts_and_operators(rig: ConsoleRig) -> None:
    rig.data.shown = SHOWN
    viewer = await rig.ask(DETAIL, Role.VIEWER)
    assert viewer.json()["examples_withheld"] is True
    for secret in (TEXT, "p1", "p2", "a.example", "late"):
        assert secret not in viewer.text
    for role in (Role.ANALYST, Role.OPERATOR):
        seen = (await rig.ask(DETAIL, role)).json()
        assert seen["examples_withheld"] is False
        assert [one["text"] for one in seen["examples"]] == [f"<b>{TEXT}</b>", None]
        assert [one["term"] for one in seen["terms"]] == ["late"]
    await rig.sign_in(Role.VIEWER)
    assert TEXT not in (await rig.client.get(DETAIL)).text


async def test_viewers_see_posts_where_the_settings_say_so(tmp_path: Path) -> None:
    data = MemoryData(past=[past_alert()], shown=SHOWN)
    async with console_rig(tmp_path, data, viewers_see_posts=True) as rig:
        assert TEXT in (await rig.ask(DETAIL, Role.VIEWER)).text


async def test_a_deleted_post_and_a_text_past_its_retention_are_nowhere(rig: ConsoleRig) -> None:
    rig.data.shown = SHOWN
    await rig.sign_in(Role.OPERATOR)
    assert TEXT in (await rig.client.get(DETAIL)).text
    first = await rig.ask(DETAIL, Role.OPERATOR)
    assert "p3" not in first.text  # deleted before
    assert [one["state"] for one in first.json()["examples"]] == ["there", "gone"]
    rig.data.shown = [ExampleText("typical", "mastodon", "p1", DELETED), SHOWN[1]]
    after = await rig.ask(DETAIL, Role.OPERATOR, headers={"If-None-Match": first.headers["etag"]})
    assert after.status_code == 200
    for answer in (after, await rig.client.get(DETAIL)):
        assert TEXT not in answer.text
        assert "p1" not in answer.text


async def test_an_alert_that_is_not_kept_is_said(rig: ConsoleRig) -> None:
    answer = await rig.ask("/alerts/nothing")
    assert answer.status_code == 404
    assert answer.json()["errors"] == [{"field": "alert_id", "detail": "unknown"}]
    await rig.sign_in(Role.VIEWER)
    page = await rig.client.get("/alerts/nothing")
    assert page.status_code == 404
    assert "no alert that is kept has this id" in page.text


async def test_no_word_of_a_post_is_in_the_sentence(tmp_path: Path) -> None:
    said = "Opinion fell. New in what they say: secretname."
    data = MemoryData(past=[past_alert(1, sentence=said, terms=[Term("secretname", 5.0, 1, 40)])])
    async with console_rig(tmp_path, data) as rig:
        answers = [await rig.ask("/alerts", Role.VIEWER, params={"format": form})
                   for form in ("json", "csv", "jsonl")]  # fmt: skip
        answers.append(await rig.ask(DETAIL, Role.VIEWER))
        await rig.sign_in(Role.VIEWER)
        answers += [await rig.client.get(path) for path in ("/alerts", DETAIL, "/queries/trains")]
        for answer in answers:
            assert answer.status_code == 200
            assert "secretname" not in answer.text
        assert all("Opinion fell." in answer.text for answer in answers[:6])
