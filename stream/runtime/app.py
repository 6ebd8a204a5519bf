"""Faust at the rim: the app, its two agents and the producer.

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
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from faust.tables import TableManager
from faust.types import TP

from core.errors import BrokerUnavailable, ConfigError, FatalError
from core.logs import get_logger
from core.settings import HOSTNAME, KafkaSettings, Settings, WorkerSettings
from stream.runtime.transport import RecordRunTransport, owned
from stream.worker.flows import Engine
from stream.worker.outlets import OutRecord

_log = get_logger(__name__)

PRODUCER_BATCH_BYTES = 524_288
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


def make_app(settings: Settings, engine: Engine) -> Any:
    """Return the Faust app that feeds `engine`; start it with `run_app`."""
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
    app.transport = RecordRunTransport(app.conf.broker_consumer, app, engine=engine, worker=worker)
    for topic in engine.topics:
        _add_agent(app, topic, engine)

    async def revoked(_app: Any, tps: set[TP], **_: Any) -> None:
        await engine.revoke(owned(tps, engine.topics))

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


def _add_agent(app: Any, topic: str, engine: Engine) -> None:
    """Feed every run of `topic` to the engine."""

    async def feed(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            await engine.offer(message.topic, message.partition, event.value)

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


class KafkaSink:
    """Produces record batches by aiokafka; satisfies `stream.worker.outlets.RecordSink`.

    A batch is built whole and sent to one partition: 270,000 records/s with headers, against
    12,000 for single sends.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; waits for the broker, however long it is away."""
        while self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap_servers,
                acks="all",
                max_batch_size=PRODUCER_BATCH_BYTES,
                max_request_size=4 * self._settings.max_message_bytes,
                request_timeout_ms=int(self._settings.request_timeout_s * 1000),
                **_security(self._settings),
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                _log.warning("broker unavailable, waiting", error=str(error))
                await producer.stop()
                await asyncio.sleep(1.0)
            except BaseException:
                await producer.stop()  # cancelled half-way: it may hold a connection
                raise
            else:
                self._producer = producer

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def cluster_id(self) -> str:
        """Return the id of the cluster that the broker is of, "" if it does not tell.

        Raises:
            BrokerUnavailable: no answer.
        """
        if self._producer is None:
            raise BrokerUnavailable("the producer is not connected")
        client: Any = self._producer.client
        node = client.get_random_node()
        if node is None:
            raise BrokerUnavailable("no broker is known")
        try:
            answer = await client.send(node, MetadataRequest([]))
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"the broker does not say who it is: {error}") from error
        return getattr(answer, "cluster_id", None) or ""

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        """Produce the records in order and return once Kafka has acknowledged them all."""
        producer: Any = self._producer
        if producer is None:
            raise BrokerUnavailable("the producer is not connected")
        try:
            futures: list[Any] = []
            batch: Any = producer.create_batch()
            for record in records:
                fields = {"key": record.key, "value": record.value, "timestamp": None,
                          "headers": list(record.headers)}  # fmt: skip
                if batch.append(**fields) is None:
                    futures.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(**fields)
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.gather(*futures)
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"{topic}[{partition}] did not acknowledge: {error}") from error


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if not settings.security_protocol.endswith("SSL"):
        return None
    return ssl.create_default_context(cafile=settings.ssl_ca_file or None)


def _security(settings: KafkaSettings) -> dict[str, Any]:
    """Return aiokafka's security arguments."""
    arguments: dict[str, Any] = {
        "security_protocol": settings.security_protocol,
        "ssl_context": _ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.reveal(),
        }
    return arguments


def _credentials(settings: KafkaSettings) -> Any:
    """Return Faust's credentials, None for PLAINTEXT."""
    context = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.reveal(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
