"""Faust at the rim: the app and its two agents.

This package is the only one that imports faust or aiokafka.
Faust gives the consumer group, rebalancing, fetching and the life of the process. Its tables,
windows, `take()` and exactly-once mode are not used: state is in the store, behind the cursor.
"""

# aiokafka and faust ship no complete types; this module is where they become ours.
# pyright: reportMissingTypeStubs=false, reportMissingTypeArgument=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any, Final

import faust
from faust.tables import TableManager
from faust.types import TP

from core.errors import ConfigError, FatalError
from core.settings import HOSTNAME, KafkaSettings, Settings, WorkerSettings
from stream.runtime.sink import ssl_context
from stream.runtime.transport import RecordRunTransport, owned
from stream.worker.flows import PartitionFlows

_INSTANCE: Final = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._-]{0,249}")
"""What Kafka takes for the name of a member; the name of a machine may be another one."""


class RecordRunSchema(faust.Schema):
    """Passes a run of records through undecoded; decoding is the pipeline's."""

    def compile(self, app: Any, **kwargs: Any) -> Any:
        """Return the function that turns a message into an event, without looking inside."""
        del kwargs

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return app.create_event(None, message.value, message.headers, message)

        return decode


class NoTables(TableManager):
    """Faust's keeper of tables, without its second of waiting for tables that nobody makes here."""

    async def on_start(self) -> None:
        """Let the conductor subscribe; see `faust.tables.manager`."""
        await self._update_channels()
        await self.recovery.start()


def make_app(settings: Settings, flows: PartitionFlows) -> Any:
    """Return the Faust app that feeds the flows; start it with `run_app`."""
    kafka, worker = settings.kafka, settings.worker
    brokers = [f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")]
    app = faust.App(
        worker.group,
        broker=brokers,
        broker_credentials=_credentials(kafka),
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=min(3.0, kafka.session_timeout_s / 3),
        broker_request_timeout=max(kafka.request_timeout_s, kafka.session_timeout_s + 5),
        broker_commit_interval=2.0,
        broker_max_poll_records=4 * worker.max_fetched_records,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_of(worker),
        consumer_max_fetch_size=4 * 1_048_576,
        consumer_metadata_max_age_ms=10_000,
        stream_wait_empty=False,  # flows throw away what is in flight; the cursor knows better
        stream_buffer_maxsize=64,  # runs, not records
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        TableManager=NoTables,
        datadir=str(Path(worker.data_dir)),
        producer_acks=-1,
    )
    app.transport = RecordRunTransport(app.conf.broker_consumer, app, flows=flows, worker=worker)
    for topic in flows.topics:
        _add_agent(app, topic, flows)

    async def revoked(_app: Any, tps: set[TP], **_: Any) -> None:
        await flows.revoke(owned(tps, flows.topics))

    signal: Any = app.on_partitions_revoked
    signal.connect(revoked, weak=False)
    return app


def instance_of(worker: WorkerSettings) -> str | None:
    """Return the instance id of this worker in its group, None for a dynamic member.

    Raises:
        ConfigError: With the name of this machine in it, Kafka would refuse it.
    """
    instance = worker.instance.replace(HOSTNAME, socket.gethostname())
    if not _INSTANCE.fullmatch(instance):
        raise ConfigError(
            f"worker.instance = {worker.instance!r}: it is {instance!r} on this machine, expected "
            "at most 249 of A-Z, a-z, 0-9, full stop, underscore and hyphen, and not . or .."
        )
    return instance or None


def _add_agent(app: Any, topic: str, flows: PartitionFlows) -> None:
    """Feed every run of `topic` to the flows."""

    async def feed(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            await flows.offer(message.topic, message.partition, event.value)

    app.agent(app.topic(topic, schema=RecordRunSchema()), name=f"feed-{topic}")(feed)


async def run_app(app: Any, stop: asyncio.Event) -> None:
    """Run the app until `stop` is set or it crashes.

    Raises:
        FatalError: the app crashed; the cause is attached.
    """
    await app.start()
    try:
        stopping = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(app.wait_until_stopped())
        try:
            await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            ended.cancel()
        if app.crashed:
            raise FatalError(
                f"the stream runtime crashed: {app.crash_reason}"
            ) from app.crash_reason
    finally:
        await app.stop()


def _credentials(settings: KafkaSettings) -> Any:
    """Return Faust's credentials, None for PLAINTEXT."""
    context = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.reveal(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
