"""Holds a worker to one Kafka cluster and to the store that was filled from it."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

from core.errors import TransientError
from core.logs import get_logger
from core.retry import pause_s
from core.settings import KafkaSettings
from services.stopping import wait
from stream.cluster import check_cluster
from stream.runtime.sink import KafkaSink
from stream.store.identity import StoreIdentity

_log = get_logger(__name__)

LOOK_EVERY_S: Final = 2.0
"""How often it is asked again: an emptied store is told whose it is, a swapped one is refused."""


class ClusterGuard:
    """Asks the broker who it is and the store whose state it has, at the start and ever after.

    Attributes:
        cluster_id: The cluster of the broker; "" before `settle`, or if it does not tell.
    """

    def __init__(self, settings: KafkaSettings, sink: KafkaSink, identity: StoreIdentity) -> None:
        self._sink = sink
        self._identity = identity
        self.cluster_id = settings.cluster_id

    async def settle(self, stop: asyncio.Event) -> None:
        """Return once both belong together, or `stop` is set; waits for whoever is away.

        Raises:
            ConfigError: It is another cluster's broker, or another cluster's state.
        """
        attempt, rng = 0, random.Random()
        while not stop.is_set():
            try:
                answered = await self._look()
            except TransientError as error:
                if attempt == 0:
                    _log.warning("waiting", reason=str(error))
                await wait(stop, pause_s(attempt, rng))
                attempt += 1
            else:
                self.cluster_id = answered
                return

    async def watch(self) -> None:
        """Look again every few seconds, for ever; who is away is asked the next time.

        Raises:
            ConfigError: It is another cluster's broker, or another cluster's state.
        """
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(TransientError):
                await self._look()

    async def _look(self) -> str:
        answered = await self._sink.cluster_id()
        check_cluster(answered, self.cluster_id)
        await self._identity.claim(answered)
        return answered
