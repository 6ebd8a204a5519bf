"""The closer dies at any call of anything outside: alerts are neither lost nor said twice."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from core.clock import ManualClock
from core.codec import alert_decoder
from core.errors import BrokerUnavailable, StoreUnavailable
from core.metrics import Metrics
from core.schemas import Alert, Window
from core.settings import RedisSettings, Settings, WindowSettings
from services.alerting import judging
from services.alerting.judges import AlertJudges
from services.closer.closing import Closer
from services.closer.publishing import Superseded
from services.local.redis_server import RedisServer
from stream.shifts.explanation import to_alert
from stream.shifts.signals import ShiftSignal
from stream.store import keys
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from testkit.alerting import StepJudge

pytestmark = pytest.mark.integration

DATABASE = 11
START = 1_772_366_400
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(windows=WindowSettings(pane_s=60, allowed_lateness_s=0, idle_after_s=30.0))
VOLUMES = (1, 1, 5, 9, 1, 1, 4)
"""Posts of `all` pane by pane: fires, grows, ends, fires again."""
SAID = [
    ("firing", 5, 2), ("firing", 9, 2), ("resolved", 9, 2), ("firing", 4, 6), ("resolved", 4, 6),
]  # fmt: skip
"""State, severity and pane of its start, of what must be said of these; a quiet pane ends all."""


async def plain(signal: ShiftSignal) -> Alert:
    return to_alert(signal)


class Died(Exception):
    """The process is gone."""


class Fate:
    """Dies at the n-th call, before or after it had its effect."""

    def __init__(self, at_call: int = 0, after: bool = False) -> None:
        self.at_call, self.after, self.calls = at_call, after, 0

    def mortal(
        self, call: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            dies = self.calls == self.at_call
            if dies and not self.after:
                raise Died
            answer = await call(*args, **kwargs)
            if dies:
                raise Died
            return answer

        return run


class Mortal:
    """Passes calls through to what may die."""

    def __init__(self, inner: Any, fate: Fate) -> None:
        self._inner, self._fate = inner, fate

    def __getattr__(self, name: str) -> Any:
        if name == "alerts":
            return Mortal(self._inner.alerts, self._fate)
        return self._fate.mortal(getattr(self._inner, name))


class Windows:
    """Stands for the topic `windows`."""

    async def publish(self, windows: Sequence[Window]) -> None: ...

    async def close(self) -> None: ...


class Topic:
    """Stands for the topic `alerts`."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.fails_after: int | None = None

    async def read(self) -> list[bytes]:
        return list(self.records)

    async def write(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        fails_after, self.fails_after = self.fails_after, None
        self.records.extend(value for _, value in records[:fails_after])
        if fails_after is not None:
            raise BrokerUnavailable("away")

    async def close(self) -> None: ...

    def said(self, query: str = "all") -> list[tuple[str, int, int]]:
        alerts = [alert_decoder.decode(record) for record in self.records]
        return [(a.state, a.severity, _pane_of(a)) for a in alerts if a.query == query]


def _pane_of(alert: Alert) -> int:
    return (int(alert.started.timestamp()) - START) // 60


class House:
    """A store, topics, and closers that come and go."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = redis.Redis.from_url(url)
        self.redis.flushdb()
        self.store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
        self.topic = Topic()
        self.clock = ManualClock(NOON)

    async def fill(
        self,
        volumes: Sequence[int] = VOLUMES,
        panes_after: int = 3,
        queries: Sequence[str] = ("all",),
    ) -> None:
        """Apply the posts, and one far later that closes all their panes."""
        cursor = -1
        posts = [(START + 60 * n, count) for n, count in enumerate(volumes)]
        posts.append((START + 60 * (len(volumes) + panes_after), 1))
        for start_s, count in posts:
            strata = {"s|en|none": [count] * 4}
            rows = [(query, [count, count, 100 * count], strata, ["a"]) for query in queries]
            batch = ApplyBatch(POSTS, cursor, cursor + 1, start_s * 1000, panes={start_s: rows})
            await self.store.apply(0, batch)
            cursor += 1

    def closer(self, fate: Fate | None = None) -> Closer:
        fate, metrics = fate or Fate(), Metrics(role="closer")
        store: Any = Mortal(self.store, fate)
        topic: Any = Mortal(self.topic, fate)
        judges = AlertJudges(SETTINGS, store, self.clock, metrics, topic, StepJudge, plain)
        publisher: Any = Mortal(Windows(), fate)
        return Closer(SETTINGS.windows, store, publisher, self.clock, metrics, judges)

    async def live(self, closer: Closer) -> None:
        """Run a new closer until nothing is due."""
        await closer.take_over()
        await self.go_on(closer)

    async def go_on(self, closer: Closer) -> None:
        """Run a closer until nothing is due."""
        while await closer.step():
            pass


@pytest.fixture
async def house(redis_server: RedisServer) -> Any:
    made = House(redis_server.url.removesuffix("/0") + f"/{DATABASE}")
    yield made
    await made.store.close()
    made.redis.close()


async def test_a_closer_that_lives_says_all_of_it_once(house: House) -> None:
    await house.fill()
    await house.live(house.closer())
    assert house.topic.said() == SAID
    await house.live(house.closer())
    assert house.topic.said() == SAID
    assert not house.redis.hlen(keys.OUTBOX)


async def test_wherever_closers_die_alerts_are_neither_lost_nor_said_twice(house: House) -> None:
    await house.fill()
    counting = Fate()
    await house.live(house.closer(counting))
    assert counting.calls > 15
    for at_call in range(1, counting.calls + 1):
        for after in (False, True):
            house.redis.flushdb()
            house.topic.records.clear()
            await house.fill()
            for fate in (Fate(at_call, after), Fate()):
                try:
                    await house.live(house.closer(fate))
                except Died:
                    continue
            assert house.topic.said() == SAID, (at_call, after)
            assert not house.redis.hlen(keys.OUTBOX), (at_call, after)


async def test_a_broker_that_fails_midway_gets_the_rest_and_nothing_twice(house: House) -> None:
    await house.fill()
    closer = house.closer()
    house.topic.fails_after = 2
    with pytest.raises(BrokerUnavailable):
        await house.live(closer)
    assert len(house.topic.records) == 2
    await closer.step()
    assert house.topic.said() == SAID


async def test_a_store_that_takes_a_save_and_loses_its_answer_has_it_once(house: House) -> None:
    await house.fill()
    closer = house.closer()
    judges: Any = closer._judges
    save = house.store.alerts.save
    lost: list[bool] = []

    async def saves_once_in_silence(*args: Any) -> bool:
        answer = await save(*args)
        if not lost:
            lost.append(answer)
            raise StoreUnavailable("no answer")
        return answer

    judges._judging._store = type("Silent", (), {"save": staticmethod(saves_once_in_silence),
                                               "load": house.store.alerts.load})()  # fmt: skip
    with pytest.raises(StoreUnavailable):
        await house.live(closer)
    await house.go_on(closer)
    assert lost == [True]
    assert house.topic.said() == SAID


async def test_a_store_that_goes_back_in_time_makes_the_closer_begin_anew(house: House) -> None:
    await house.fill()
    names = (keys.JUDGE, keys.STATES, keys.OUTBOX, keys.OPEN)
    await house.closer().take_over()
    before = {name: house.redis.hgetall(name) for name in names}
    closer = house.closer()
    await house.live(closer)
    # Redis lost its last second: judge, alerts and acknowledgements, not the epoch.
    house.redis.delete(*names, *house.redis.keys("{closer}:rev:*"))
    for name, fields in before.items():
        if fields:
            house.redis.hset(name, mapping=fields)
    house.redis.hset("{0}:dirty", START, "again")
    with pytest.raises(Superseded):
        await house.go_on(closer)
    house.redis.hset("{0}:dirty", mapping={START + 60 * n: "again" for n in range(len(VOLUMES))})
    await house.live(closer)
    assert house.topic.said() == SAID


async def test_a_closer_that_was_replaced_says_nothing(house: House) -> None:
    await house.fill(VOLUMES[:1], panes_after=0)
    sleeper = house.closer()
    await house.live(sleeper)
    awake = house.closer()
    await awake.take_over()
    state = await house.store.partition_state(0)
    cursor = state.cursors[POSTS]
    row = ("all", [9, 9, 900], {"s|en|none": [9] * 4}, ["a"])
    for start_s in (START + 60, START + 240):
        batch = ApplyBatch(POSTS, cursor, cursor + 1, start_s * 1000, panes={start_s: [row]})
        await house.store.apply(0, batch)
        cursor += 1
    await sleeper.resync()
    with pytest.raises(Superseded):
        await sleeper.step()
    assert house.topic.said() == []
    await house.live(awake)
    assert [state for state, _, _ in house.topic.said()] == ["firing", "resolved"]


async def test_states_that_are_saved_every_few_panes_are_made_up_for_by_judging_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pane after the other, each by a closer of its own that is killed afterwards."""
    monkeypatch.setattr(judging, "QUERIES_A_PANE", 1)
    queries = ("all", "bus", "rail")
    cursor, lagged = -1, False
    for number, count in enumerate((*VOLUMES, 1, 1)):
        start_s = START + 60 * number
        strata = {"s|en|none": [count] * 4}
        rows = [(query, [count, count, 100 * count], strata, ["a"]) for query in queries]
        batch = ApplyBatch(POSTS, cursor, cursor + 1, start_s * 1000, panes={start_s: rows})
        await house.store.apply(0, batch)
        cursor += 1
        await house.live(house.closer())
        saved = house.redis.hgetall(keys.STATES)
        lagged |= len({json.loads(state)["judged_s"] for state in saved.values()}) > 1
    assert lagged, "every state was saved with every pane: nothing was made up for"
    assert [house.topic.said(query) for query in queries] == [SAID] * 3


async def test_an_alert_that_nobody_could_read_holds_up_no_other(house: House) -> None:
    await house.fill()
    house.redis.hset(keys.OUTBOX, "0", b'{"v": 1, "severity": 0}')
    await house.live(house.closer())
    assert house.topic.said() == SAID
    assert not house.redis.hlen(keys.OUTBOX)
