"""The settings and their defaults. A field's name carries its unit; its line says range and zero.

Plain data: how they are read is `core.config`.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from core.console_settings import ConsoleSettings
from core.forecast_settings import ForecastSettings
from core.responder_settings import ResponderSettings
from core.server_settings import (
    REDIS_SCHEMES,
    KafkaSettings,
    NotNegative,
    Positive,
    RedisSettings,
    ScorerSettings,
    Seconds,
    Secret,
)

BatchPosts = Annotated[int, Meta(ge=1, le=4096)]
Port = Annotated[int, Meta(ge=0, le=65535)]
HOSTNAME: Final = "{hostname}"
Instance = Annotated[str, Meta(pattern=r"^(?!\.\.?\Z)(\{hostname\}|[A-Za-z0-9._-]){0,249}\Z")]


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """Batching, bounds and horizons of the worker."""

    group: str = "groundswell-worker"
    """Consumer group, followed by the cluster's id; workers of one group share the partitions."""
    instance: Instance = ""
    """Name of this worker alone: back within its session it keeps its partitions. Empty: none."""
    leave_at_end: bool = True
    """A named worker hands over at SIGTERM; if not, its partitions wait out its session for it."""
    max_batch_posts: BatchPosts = 512
    """Posts in one batch at most; the store's script takes no more than 4,096 at once."""
    max_batch_bytes: Positive = 1_048_576
    """Text bytes in one batch at most."""
    max_batch_age_ms: Positive = 50
    """A batch that is not full leaves after so long at most, sooner where the scorer is quick."""
    max_in_flight_posts: Positive = 2_048
    """Posts in scoring over all partitions; the sort window of the model. More waits in Kafka."""
    target_latency_ms: Positive = 2_000
    """No more is in scoring than the scorer answers in so long, by the rate that it shows."""
    max_in_flight_batches: Positive = 4
    """Batches of one partition in scoring at once; applied strictly in order."""
    max_fetched_records: Positive = 500
    """Records in one Faust message (a run of one partition)."""
    max_message_bytes: Positive = 1_048_576
    """A larger message goes to `dead-posts` unread."""
    dedupe_horizon_s: Positive = 86_400
    """How long the id of a post is remembered."""
    drain_timeout_s: Seconds = 20.0
    """After SIGTERM, how long batches in flight may take to finish."""
    data_dir: str = ".groundswell/worker"
    """Faust's own folder; each worker needs its own."""


class WindowSettings(Struct, frozen=True, kw_only=True):
    """Event time."""

    pane_s: Positive = 60
    """Length of a pane; divides a day."""
    allowed_lateness_s: NotNegative = 30
    """How far the watermark stays behind the largest event time seen."""
    idle_after_s: Seconds = 30.0
    """A partition without progress for so long no longer holds the watermark back."""
    retention_s: Positive = 172_800
    """Panes are kept and may change for so long after their end; later posts are dropped-late."""
    correction_horizon_s: Positive = 21_600
    """Edits and deletions reach a post for so long after it was counted."""
    strata_languages: tuple[str, ...] = (
        "en", "es", "pt", "fr", "de", "it", "nl", "ja", "zh", "ko", "ar", "tr",
    )  # fmt: skip
    """Languages with strata of their own; the rest share `other`."""
    corrected_shares: bool = False
    """Shares are shown corrected too, with an interval; counted ones, alerts and panes stay."""


class QuerySettings(Struct, frozen=True, kw_only=True):
    """What people watch."""

    path: str = "configs/queries.toml"
    """The query file; reloaded when it changes."""
    reload_every_s: Seconds = 2.0
    """How often the worker looks whether it changed."""


class IngestSettings(Struct, frozen=True, kw_only=True):
    """How posts enter."""

    source: str = "synthetic"
    """Registered source name."""
    cursor_dir: str = ".groundswell/ingest"
    """Where the source's cursor is stored once Kafka has acknowledged."""
    max_buffered_posts: Positive = 10_000
    """Unacknowledged posts; a source that can wait is slowed beyond it."""
    max_buffered_bytes: Positive = 67_108_864
    """Bytes of unacknowledged posts; the same, for large ones."""
    stop_timeout_s: Seconds = 10.0
    """After SIGTERM, how long Kafka may take to acknowledge what was sent."""
    author_key: Secret = Secret()
    """Secret. Hides authors (HMAC-SHA-256), seals what failed; empty: both stay plain."""
    source_secret: Secret = Secret()
    """Secret. The source's own: Mastodon's token, Reddit's client secret, the webhook's key."""
    source_options: str = ""
    """TOML file with the source's own options; empty means its defaults."""
    detect_language: Literal["live", "all", "none"] = "live"
    """Sources whose posts get a language detected where the source tells none."""
    mark_copies: Literal["live", "all", "none"] = "live"
    """Sources whose near-duplicates are marked; recordings stay as they are unless `all`."""
    copies_remembered: NotNegative = 131_072
    """Posts that the next ones are compared with, 230 bytes each; 0 marks no copies."""


class CloserSettings(Struct, frozen=True, kw_only=True):
    """The process that closes panes."""

    group: str = "groundswell-closer"
    """Consumer group on `progress`, followed by the cluster's id; one member is active."""
    tick_s: Seconds = 0.5
    """How often panes are checked."""


class ExporterSettings(Struct, frozen=True, kw_only=True):
    """The process that turns panes into gauges."""

    refresh_s: Seconds = 5.0
    """How often panes are read."""
    max_queries: Positive = 200
    """Queries exported with a label of their own; further ones are left out and counted."""


class HeartbeatSettings(Struct, frozen=True, kw_only=True):
    """The posts that show that the stream is alive."""

    every_s: Positive = 5
    """How often each partition gets one, in whole seconds; the same for heartbeat and exporter."""


class AlertSettings(Struct, frozen=True, kw_only=True):
    """How the closer tells shifts; when something is a shift is `shifts`."""

    alertmanager_url: str = ""
    """Comma-separated addresses of Alertmanagers; empty: alerts go to the topic `alerts` only."""
    timeout_s: Seconds = 5.0
    """An Alertmanager that does not answer for so long is away, and asked again later."""
    resend_s: Seconds = 60.0
    """A firing alert is told again so often; Alertmanager forgets alerts when it is restarted."""
    hold_s: Seconds = 900.0
    """Alertmanager takes an alert that it was not told for so long as resolved."""
    notice_s: Seconds = 30.0
    """An alert that is over before it could be told is told as firing for so long first."""
    link: str = (
        "http://127.0.0.1:3000/d/groundswell-conversation"
        "?var-query={query}&from={from_ms}&to={to_ms}"
    )
    """Where an alert leads, or empty; of `{query}`, `{alert_id}`, `{from_ms}`, `{to_ms}` made."""
    runbooks: str = ""
    """Put before `docs/runbooks/…` where an alert names its page; an address that ends with `/`."""
    heartbeat_limit_s: Seconds = 60.0
    """With an older heartbeat in any partition nothing is learnt and no shift told."""


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """The Prometheus endpoint of a process."""

    address: str = "127.0.0.1"
    """Where to listen."""
    port: Port = 0
    """0 means no endpoint."""


class LogSettings(Struct, frozen=True, kw_only=True):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["console", "json"] = "console"
    """Lines for people, or JSON lines for a collector."""


class ShiftSettings(Struct, frozen=True, kw_only=True):
    """When a change is a shift; thresholds are set by `groundswell tune`."""

    opinion_threshold: Annotated[float, Meta(gt=0)] = 11.0
    """Evidence (nats) for a shift of opinion."""
    mix_threshold: Annotated[float, Meta(gt=0)] = 12.2
    """Evidence (nats) for a shift of the mix of strata."""
    volume_threshold: Annotated[float, Meta(gt=0)] = 22.0
    """Evidence (nats) for a shift of volume."""
    brigading_threshold: Annotated[float, Meta(gt=0)] = 12.0
    """Evidence (nats) for brigading."""
    further_thresholds: str = ""
    """Evidence (nats) for kinds of shift without a setting above: `kind=number`, comma between."""
    loud_evidence: Annotated[float, Meta(ge=0)] = 3.0
    """Further evidence (nats) for opinion or mix while volume fires: other people came, too."""
    resolve_evidence: Annotated[float, Meta(gt=0)] = 6.0
    """Evidence (nats) that a shift is over."""
    min_opinion_effect: Annotated[float, Meta(gt=0, le=2)] = 0.05
    """Least change of the mean sentiment, by opinion, worth an alert."""
    min_mix_effect: Annotated[float, Meta(gt=0, le=2)] = 0.08
    """Least change of the mean sentiment, by who speaks, worth an alert."""
    min_volume_ratio: Annotated[float, Meta(gt=1)] = 1.5
    """Least ratio of volumes (either way) worth an alert."""
    min_brigading_share: Annotated[float, Meta(gt=0, lt=1)] = 0.08
    """Least share of repeated posts, above the usual, worth an alert."""
    min_posts: NotNegative = 20
    """Rated posts since a change began, for an alert of opinion or mix; 0 means no such gate."""
    min_authors: NotNegative = 5
    """Authors since a change began, for an alert of opinion or mix; 0 means no such gate."""
    single_pane_errors: Annotated[float, Meta(gt=0)] = 5.0
    """A change seen in one pane only must be so many standard errors large."""
    warmup_s: NotNegative = 86_400
    """A query known for less is not judged; 0 judges from the first pane."""
    half_life_s: Positive = 604_800
    """After so long a pane counts half in the baseline."""
    accept_after_s: Positive = 86_400
    """A shift that lasts so long is the new level: it is resolved as accepted."""
    cooldown_s: NotNegative = 1_800
    """No new alert of the same kind and query for so long after one is resolved; 0 means none."""
    model_silence_s: NotNegative = 21_600
    """No alert of opinion or mix for so long after another model began to score; 0 means none."""
    free_queries: Positive = 100
    """So many queries need no more evidence than one; more do (false-discovery control)."""
    correction_panes: Annotated[int, Meta(ge=1, le=64)] = 16
    """Corrections of so many last panes are judged again; older ones are not."""


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of a process."""

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    scorer: ScorerSettings = ScorerSettings()
    worker: WorkerSettings = WorkerSettings()
    windows: WindowSettings = WindowSettings()
    queries: QuerySettings = QuerySettings()
    ingest: IngestSettings = IngestSettings()
    closer: CloserSettings = CloserSettings()
    exporter: ExporterSettings = ExporterSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    shifts: ShiftSettings = ShiftSettings()
    alerts: AlertSettings = AlertSettings()
    forecasts: ForecastSettings = ForecastSettings()
    responder: ResponderSettings = ResponderSettings()
    console: ConsoleSettings = ConsoleSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    def contradictions(self) -> list[str]:
        """Return what does not go together, a sentence each; empty when all is well."""
        windows, worker = self.windows, self.worker
        faults: list[str] = [*self.scorer.faults(), *self.console.faults()]
        if 86_400 % windows.pane_s:
            faults.append(f"windows.pane_s = {windows.pane_s}: expected a divisor of 86400")
        if windows.correction_horizon_s > windows.retention_s:
            faults.append(
                f"windows.correction_horizon_s = {windows.correction_horizon_s}: expected at most "
                f"windows.retention_s = {windows.retention_s}"
            )
        if worker.max_batch_posts > worker.max_in_flight_posts:
            faults.append(
                f"worker.max_batch_posts = {worker.max_batch_posts}: expected at most "
                f"worker.max_in_flight_posts = {worker.max_in_flight_posts}"
            )
        if self.kafka.security_protocol.startswith("SASL") and not self.kafka.sasl_password:
            faults.append(
                "kafka.sasl_password is empty: expected a secret with "
                f"kafka.security_protocol = {self.kafka.security_protocol!r}"
            )
        late = [age for age in self.forecasts.ages_s if age >= self.forecasts.horizon_s]
        if late:
            faults.append(
                f"forecasts.ages_s has {late[0]}: expected ages below "
                f"forecasts.horizon_s = {self.forecasts.horizon_s}"
            )
        if not self.redis.url.startswith(REDIS_SCHEMES):
            shown = re.sub("//[^/]*@", "//(hidden)@", self.redis.url)
            faults.append(
                f"redis.url = {shown!r}: expected an address that begins with "
                f"{', '.join(REDIS_SCHEMES)}"
            )
        if self.redis.wait_replicas and self.redis.wait_timeout_s >= self.redis.timeout_s:
            faults.append(
                f"redis.wait_timeout_s = {self.redis.wait_timeout_s:g}: expected less than "
                f"redis.timeout_s = {self.redis.timeout_s:g}"
            )
        return faults
