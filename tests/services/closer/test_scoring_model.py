"""From which pane on one model alone has scored, as the closer says it."""

from datetime import UTC, datetime

import pytest
import redis

from core.schemas import Progress
from core.settings import RedisSettings, WindowSettings
from services.closer.scoring_model import ModelWatch
from services.local.redis_server import RedisServer
from stream.store import keys
from stream.store.increments import Horizons, PartitionState
from stream.store.redis_store import RedisStore
from stream.topics import POST_EVENTS, POSTS
from stream.windows.records import ScoringModel

pytestmark = pytest.mark.integration

DATABASE = 7
NOON_S = 1_772_366_400
WINDOWS = WindowSettings(pane_s=60, allowed_lateness_s=30)


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    found = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(found) as client:
        client.flushdb()
    return found


def store_at(url: str) -> RedisStore:
    return RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))


def heard(watch: ModelWatch, partition: int, version: str, watermark_s: int = NOON_S) -> None:
    state = PartitionState({POSTS: 9, POST_EVENTS: -1}, watermark_s * 1000, -1, {})
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    progress = Progress(
        partition=partition, cursor=9, event_cursor=-1, applied_at=at, model_version=version
    )
    watch.note(partition, state, progress)


async def test_before_a_second_model_all_panes_are_of_the_first(url: str) -> None:
    store = store_at(url)
    watch, epoch = ModelWatch(WINDOWS, store), await store.begin_closing()
    await watch.take_over(epoch)
    await watch.save(epoch)
    assert await store.scoring_model() is None
    heard(watch, 0, "a")
    await watch.save(epoch)
    assert await store.scoring_model() == ScoringModel("a", -1)
    await store.close()


async def test_a_change_of_model_is_said_from_the_first_pane_that_only_the_new_one_scored(
    url: str,
) -> None:
    store = store_at(url)
    watch, epoch = ModelWatch(WINDOWS, store), await store.begin_closing()
    await watch.take_over(epoch)
    heard(watch, 0, "a")
    heard(watch, 1, "a")
    await watch.save(epoch)
    heard(watch, 0, "b", NOON_S + 10)
    await watch.save(epoch)
    mixed = await store.scoring_model()
    assert mixed is not None
    assert mixed.of(NOON_S + 86_400) == ""
    # The newest event time so far is 12:01:10 plus 30 s of lateness: its pane may hold both.
    heard(watch, 1, "b", NOON_S + 70)
    await watch.save(epoch)
    found = await store.scoring_model()
    assert found == ScoringModel("b", NOON_S + 120)
    assert (found.of(NOON_S + 60), found.of(NOON_S + 120)) == ("", "b")
    await store.close()


async def test_whoever_takes_over_goes_on_and_claims_nothing_of_what_others_saw(url: str) -> None:
    store = store_at(url)
    first = ModelWatch(WINDOWS, store)
    await first.take_over(await store.begin_closing())
    second, epoch = ModelWatch(WINDOWS, store), await store.begin_closing()
    await second.take_over(epoch)
    heard(second, 0, "a")
    await second.save(epoch)
    # A closer of the version before may have been there while another model scored.
    assert await store.scoring_model() == ScoringModel("a", NOON_S + 60)
    heard(first, 0, "z")
    await first.save(epoch - 1)
    assert await store.scoring_model() == ScoringModel("a", NOON_S + 60)
    third, epoch = ModelWatch(WINDOWS, store), await store.begin_closing()
    await third.take_over(epoch)
    heard(third, 0, "a", NOON_S + 600)
    await third.save(epoch)
    assert await store.scoring_model() == ScoringModel("a", NOON_S + 60)
    await store.close()


@pytest.mark.parametrize("value", ["string", "letters"])
async def test_what_cannot_be_read_is_not_known_and_is_said_anew(url: str, value: str) -> None:
    store = store_at(url)
    with redis.Redis.from_url(url) as client:
        if value == "string":
            client.set(keys.SCORED_BY, "x")
        else:
            client.hset(keys.SCORED_BY, mapping={"version": "a", "since": "noon"})
    assert await store.scoring_model() is None
    await store.begin_closing()
    watch, epoch = ModelWatch(WINDOWS, store), await store.begin_closing()
    await watch.take_over(epoch)
    heard(watch, 0, "a")
    await watch.save(epoch)
    assert await store.scoring_model() == ScoringModel("a", NOON_S + 60)
    await store.close()
