"""A store in a database of its own: a file of tests says which by a fixture `url`."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from core.settings import RedisSettings
from stream.store.redis_store import RedisStore
from tests.stream.store.worlds import HORIZONS


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(url) as made:
        made.flushdb()
        yield made


@pytest_asyncio.fixture
async def store(url: str, client: object) -> AsyncIterator[RedisStore]:
    del client
    made = RedisStore(RedisSettings(url=url), HORIZONS)
    yield made
    await made.close()
