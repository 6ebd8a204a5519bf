"""The pipeline and its dead letters, as the console says them; who may send one again."""

from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from core.codec import encode
from core.schemas import Progress
from services.console.keys import Role
from services.kafka_client import TopicActivity
from services.pipeline_view import OfKafka, OfStore, PipelineView, make_view
from stream.store.increments import PartitionState
from stream.topics import POST_EVENTS, POSTS
from testkit.builders import NOON, make_post
from testkit.console import ConsoleRig, dead_record

POST = make_post(3)
ORIGIN = {"Origin": "https://elsewhere.example"}


def stream() -> PipelineView:
    """Return a stream of two partitions, one of which waits for a repair."""
    state = PartitionState({POSTS: 9, POST_EVENTS: -1}, 1_772_366_400_000, -1, {"counted": 9})
    told = Progress(partition=0, cursor=9, event_cursor=-1, applied_at=NOON, model_version="v7")
    kafka = OfKafka(
        {POSTS: TopicActivity({0: 14, 1: 3}, 600, 1_772_366_400_000)}, {0: told}
    )  # fmt: skip
    return make_view(NOON, OfStore({0: state}, [1], {"pane": 2}, None), kafka)


async def test_the_pipeline_says_what_waits_what_is_missing_and_what_cannot_be_read(
    rig: ConsoleRig,
) -> None:
    rig.data.stream = stream()
    found = (await rig.ask("/pipeline", Role.OPERATOR)).json()
    (stage,) = found["stages"]
    assert (stage["topic"], stage["records"], stage["recent"]) == (POSTS, 17, 600)
    first, second = found["partitions"]
    assert (first["behind"], first["events_behind"], first["gap"]) == (4, None, 1)
    assert (first["model_version"], first["watermark"]) == ("v7", "2026-03-01T12:00:00Z")
    assert (second["readable"], second["behind"]) == (False, None)
    assert found["set_aside"] == {"pane": 2}
    await rig.sign_in(Role.OPERATOR)
    text = (await rig.client.get("/pipeline")).text
    assert '<td class="fault">1</td>' in text
    assert "waits for: groundswell windows repair" in text
    assert "<td>2.0</td>" in text, "600 records in 300 s"


async def test_dead_letters_go_on_at_a_cursor_and_never_say_what_they_hold(
    rig: ConsoleRig,
) -> None:
    rig.data.dead = [dead_record(n, dead_at=NOON + timedelta(minutes=n)) for n in range(5)]
    first = (await rig.ask("/dead-posts?limit=3", Role.OPERATOR)).json()
    assert [one["place"] for one in first["dead_letters"]] == [4, 3, 2]
    rest = await rig.ask(
        "/dead-posts", Role.OPERATOR, params={"limit": 3, "cursor": first["next_cursor"]}
    )
    assert [one["place"] for one in rest.json()["dead_letters"]] == [1, 0]
    assert rest.json()["next_cursor"] is None
    assert first["by_reason"] == {"wrong_type": 5}
    await rig.sign_in(Role.OPERATOR)
    for text in (rest.text, (await rig.client.get("/pipeline")).text):
        assert "trains are late" not in text
    none = await rig.ask("/dead-posts?reason=duplicate", Role.OPERATOR)
    assert none.json()["dead_letters"] == []


async def test_one_is_sent_again_by_the_api_and_a_refusal_names_the_record(
    rig: ConsoleRig,
) -> None:
    asked = await rig.ask("/dead-posts/3/replay", Role.OPERATOR, "POST", json={})
    assert asked.json() == {"place": 3, "topic": POSTS, "source": "synthetic", "post_id": "p3"}
    wrong = await rig.ask("/dead-posts/3/replay", Role.OPERATOR, "POST", json={"record": {"a": 1}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "record")
    unknown = await rig.ask("/dead-posts/9/replay", Role.OPERATOR, "POST", json={})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (404, "place")
    odd = await rig.ask("/dead-posts/3/replay", Role.OPERATOR, "POST", json={"force": True})
    assert odd.status_code == 422
    assert len(rig.data.broker.values(POSTS)) == 1


async def test_the_page_sends_one_again_and_keeps_what_was_typed_of_one_refused(
    rig: ConsoleRig,
) -> None:
    await rig.sign_in(Role.OPERATOR)
    done = await rig.client.post("/pipeline/replay", data={"place": "3"})
    assert done.status_code == 200
    assert "Sent to posts: p3 of synthetic" in done.text
    repaired = encode(structs.replace(POST, id="mended")).decode()
    done = await rig.client.post("/pipeline/replay", data={"place": "3", "record": repaired})
    assert "Sent to posts: mended of synthetic" in done.text
    refused = await rig.client.post(
        "/pipeline/replay", data={"place": "3", "record": '{"v": 1, "<b>": 2}'}
    )
    assert refused.status_code == 422
    assert "Nothing was sent: the repaired record is still missing_field" in refused.text
    assert "&lt;b&gt;" in refused.text
    assert "<b>" not in refused.text
    for place in ("", "x", "-1", "9" * 30, "³"):
        assert (await rig.client.post("/pipeline/replay", data={"place": place})).status_code == 422
    gone = await rig.client.post("/pipeline/replay", data={"place": "8"})
    assert gone.status_code == 404
    assert len(rig.data.broker.values(POSTS)) == 2


async def test_no_other_role_and_no_other_site_sends_one(rig: ConsoleRig) -> None:
    for role in (Role.VIEWER, Role.ANALYST):
        await rig.sign_in(role)
        assert (await rig.client.post("/pipeline/replay", data={"place": "3"})).status_code == 403
        assert '<a href="/pipeline">' not in (await rig.client.get("/alerts")).text
    rig.client.cookies.clear()
    assert (await rig.client.post("/pipeline/replay", data={"place": "3"})).status_code == 401
    await rig.sign_in(Role.OPERATOR)
    elsewhere = await rig.client.post("/pipeline/replay", data={"place": "3"}, headers=ORIGIN)
    assert elsewhere.status_code == 403
    assert not rig.data.broker.topics


async def test_what_is_away_is_said_on_the_page(rig: ConsoleRig) -> None:
    await rig.sign_in(Role.OPERATOR)
    rig.data.away_now = ("broker",)
    assert (await rig.client.get("/pipeline")).status_code == 503
    assert (await rig.ask("/pipeline", Role.OPERATOR)).json()["away"] == ["broker"]
    sent = await rig.ask("/dead-posts/3/replay", Role.OPERATOR, "POST", json={})
    assert sent.status_code == 503
