"""Windows as they close: each once, in order, read once for all who listen."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.clock import ManualClock
from services.console.data import PanesFound
from services.console.keys import Role
from services.console.live import LiveWindows
from services.console.series import PANES_AT_ONCE
from services.console.sessions import Principal
from testkit.builders import NOON
from testkit.console import PANE_S, START_S, ConsoleRig, MemoryData, console_rig, pane


def made(count: int, closed: int) -> MemoryData:
    """Return a stream of so many panes, of which the first have closed."""
    return MemoryData(kept=[pane(START_S + n * PANE_S, closed=n < closed) for n in range(count)])


class Steps:
    """Says that it may go on, and does something before each further look."""

    def __init__(self, *acts: object) -> None:
        self._acts = list(acts)

    def __call__(self) -> bool:
        if not self._acts:
            return False
        act = self._acts.pop(0)
        if callable(act):
            act()
        return True


class StillClock(ManualClock):
    """Stands while others wait: all of them look at the same time."""

    async def sleep(self, delay_s: float) -> None:
        """Let others run."""
        await asyncio.sleep(0)


async def heard(live: LiveWindows, after_s: int | None, steps: Steps) -> list[int]:
    return [one.start_s async for some in live.follow("trains", after_s, steps) for one in some]


def panes(*numbers: int) -> list[int]:
    return [START_S + n * PANE_S for n in numbers]


async def test_the_last_that_has_closed_comes_first_and_then_each_as_it_closes() -> None:
    data = made(6, closed=2)
    live = LiveWindows(data, PANE_S, 2.0, ManualClock(NOON))

    def close() -> None:
        data.kept = made(6, closed=4).kept

    assert await heard(live, None, Steps(None, close, None)) == panes(1, 2, 3)
    assert live.listeners == 0


async def test_a_query_without_posts_in_the_last_window_begins_with_the_last_that_has() -> None:
    data = MemoryData(kept=[*made(3, closed=3).kept, pane(START_S + 9 * PANE_S, "all")])
    live = LiveWindows(data, PANE_S, 2.0, ManualClock(NOON))
    assert await heard(live, None, Steps(None)) == panes(2)


@pytest.mark.parametrize("kept", [0, 1])
async def test_the_first_look_does_not_go_far_back(kept: int) -> None:
    before = [pane(START_S - 10_000 * PANE_S)] * kept
    data = MemoryData(kept=[*before, pane(START_S, "all")])
    asked: list[int] = []
    look = data.panes

    async def noting(query: str, start_s: int, end_s: int) -> PanesFound:
        asked.append((end_s - start_s) // PANE_S)
        return await look(query, start_s, end_s)

    data.panes = noting  # type: ignore[method-assign]
    live = LiveWindows(data, PANE_S, 2.0, ManualClock(NOON))
    assert await heard(live, None, Steps(None, None, None)) == []
    assert sum(asked) <= 1 + 8 + 64


async def test_whoever_was_away_for_days_is_told_everything_in_parts() -> None:
    data = made(3_000, closed=2_999)
    sizes: list[int] = []
    look = data.panes

    async def noting(query: str, start_s: int, end_s: int) -> PanesFound:
        sizes.append((end_s - start_s) // PANE_S)
        return await look(query, start_s, end_s)

    data.panes = noting  # type: ignore[method-assign]
    live = LiveWindows(data, PANE_S, 2.0, ManualClock(NOON))
    assert await heard(live, 0, Steps(*[None] * 15)) == panes(*range(2_999))
    assert max(sizes) == PANES_AT_ONCE


async def test_whoever_comes_back_goes_on_after_the_last_one_heard() -> None:
    live = LiveWindows(made(6, closed=5), PANE_S, 2.0, ManualClock(NOON))
    assert await heard(live, START_S + PANE_S, Steps(None)) == panes(2, 3, 4)
    assert await heard(live, START_S + 4 * PANE_S, Steps(None, None)) == []


async def test_while_the_store_is_away_nothing_is_lost() -> None:
    data = made(4, closed=1)
    live = LiveWindows(data, PANE_S, 2.0, ManualClock(NOON))

    def goes() -> None:
        data.away_now = ("store",)

    def is_back() -> None:
        data.away_now = ()
        data.kept = made(4, closed=3).kept

    assert await heard(live, None, Steps(None, goes, is_back)) == panes(0, 1, 2)


async def test_many_who_listen_cost_one_look() -> None:
    data = made(6, closed=5)
    live = LiveWindows(data, PANE_S, 2.0, StillClock(NOON))
    heard_by = await asyncio.gather(*(heard(live, START_S, Steps(None)) for _ in range(50)))
    assert heard_by == [panes(1, 2, 3, 4)] * 50
    assert data.looks == 1


async def test_an_event_is_the_window_of_the_api(tmp_path: Path) -> None:
    async with console_rig(tmp_path, made(3, closed=2)) as rig:
        steps = Steps(None)
        rig.state.sessions.is_still_good = lambda _who: steps()  # type: ignore[method-assign]
        answer = await rig.ask("/queries/trains/live")
        assert answer.headers["content-type"].startswith("text/event-stream")
        (event,) = [one for one in answer.text.split("\n\n") if one.startswith("event")]
        name, number, data = event.split("\n")
        assert (name, number) == ("event: window", f"id: {START_S + PANE_S}")
        windows = (await rig.ask("/queries/trains/windows")).json()["windows"]
        assert json.loads(data.removeprefix("data: ")) == windows[1]


Act = Callable[[ConsoleRig], object]


async def sign_out(rig: ConsoleRig) -> None:
    """End the session as another window of the browser does."""
    assert (await rig.client.post("/sign-out")).status_code == 303


ENDS: dict[str, Act] = {
    "key taken away": lambda rig: rig.ring.remove("viewer"),
    "session over": lambda rig: rig.clock.advance(rig.state.settings.console.session_s),
    "signed out": sign_out,
    "pushed out": lambda rig: [rig.state.sessions.open(Principal("x", Role.VIEWER))
                               for _ in range(1_000)],
}  # fmt: skip


@pytest.mark.parametrize("how", ENDS)
async def test_a_stream_ends_with_what_it_was_opened_with(rig: ConsoleRig, how: str) -> None:
    await rig.sign_in(Role.VIEWER)
    looks = 0
    ask = rig.state.sessions.is_still_good

    def counting(who: Principal) -> bool:
        nonlocal looks
        looks += 1
        return ask(who)

    async def then(delay_s: float) -> None:
        """End it during the second wait; whoever still listens then is let in no more."""
        rig.clock.advance(delay_s)
        await asyncio.sleep(0)
        if looks >= LOOKS and (made := ENDS[how](rig)) is not None and asyncio.iscoroutine(made):
            await made
        assert looks < LOOKS + 5, "it goes on"

    LOOKS = 4
    rig.state.sessions.is_still_good = counting  # type: ignore[method-assign]
    rig.clock.sleep = then  # type: ignore[method-assign]
    answer = await rig.client.get("/api/v1/queries/trains/live")
    assert answer.status_code == 200
    assert "event: window" in answer.text
    assert rig.state.live.listeners == 0


async def test_a_stream_by_a_key_ends_when_it_is_taken_away(rig: ConsoleRig) -> None:
    async def then(delay_s: float) -> None:
        rig.clock.advance(delay_s)
        rig.ring.remove("viewer")

    rig.clock.sleep = then  # type: ignore[method-assign]
    answer = await rig.ask("/queries/trains/live", Role.VIEWER)
    assert answer.status_code == 200
    assert answer.text.count("event: window") == 1


async def test_a_wrong_place_is_named(rig: ConsoleRig) -> None:
    wrong = {"Last-Event-ID": "x"}
    answer = await rig.ask("/queries/trains/live", headers=wrong)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == ["Last-Event-ID"]
