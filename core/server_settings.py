"""Where the servers are that all processes share, and the secrets for them; see `core.settings`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

_ADDRESS: Final = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})\Z")
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]


class Secret:
    """A string that never shows itself: not in `repr`, not in a log line.

    Example:
        >>> str(Secret("hunter2")), Secret("hunter2").reveal()
        ('********', 'hunter2')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret, for the one call that needs it."""
        return self._value

    def __bool__(self) -> bool:
        """Tell whether a secret was given."""
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Compare by value, so that settings compare."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)

    def __repr__(self) -> str:
        """Return eight stars, or nothing if empty."""
        return "********" if self._value else ""


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """Where the broker is and how topics are made."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated host:port."""
    cluster_id: str = ""
    """Id of the cluster that is meant; a broker of another is refused. Empty: whichever answers."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Transport security towards the broker."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """Used with SASL_* only."""
    sasl_username: str = ""
    """Used with SASL_* only."""
    sasl_password: Secret = Secret()
    """Secret. Used with SASL_* only."""
    ssl_ca_file: str = ""
    """CA certificate file; empty means the system's."""
    partitions: Positive = 4
    """Partitions of `posts`, `post-events`, `scored-posts` and `windows` when they are created."""
    replication: Positive = 1
    """Replication factor of created topics."""
    session_timeout_s: Seconds = 10.0
    """A worker silent for so long loses its partitions."""
    request_timeout_s: Seconds = 20.0
    """A request unanswered for so long has failed."""
    max_message_bytes: Positive = 1_048_576
    """Largest message ingest sends; a larger post goes to `dead-posts` cut short."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """Of what ingest sends; whatever a topic is compressed with can be read."""


CLUSTER_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://", *CLUSTER_SCHEMES)


class RedisSettings(Struct, frozen=True, kw_only=True):
    """Where the state is."""

    url: str = "redis://127.0.0.1:6379/0"
    """redis://, rediss://, unix://; a cluster: redis+cluster://host:port,host:port. No password."""
    username: str = ""
    """ACL user; empty means the default user."""
    password: Secret = Secret()
    """Secret."""
    timeout_s: Seconds = 10.0
    """A call unanswered for so long has failed and is tried again."""
    wait_replicas: NotNegative = 0
    """Replicas that must have an apply before it counts as done (`WAIT`); 0 asks none."""
    wait_timeout_s: Seconds = 1.0
    """How long they may take; then the apply is refused and tried again."""


Engine = Literal[
    "auto", "openvino-int8", "onnxruntime-int8", "openvino-int8-weights", "openvino-fp32"
]


class ScorerSettings(Struct, frozen=True, kw_only=True):
    """What scores the posts."""

    kind: str = "triton"
    """`triton`, `openvino` (in process) or `fake` (deterministic, for tests and benchmarks)."""
    url: str | tuple[str, ...] = "127.0.0.1:8001"
    """Triton's gRPC host:port; several as a list, or comma-separated: the least loaded is asked."""
    model: str = "post_encoder"
    """Model name on the server."""
    repository: str = ".groundswell/model_repository"
    """Built model repository, for `openvino`."""
    weights: str = ""
    """Folder of the weights that are built, such as a student's of fewer layers; empty: shipped."""
    answers: Literal["encoder", "cascade", "student"] = "encoder"
    """Who answers in a model that is built: the encoder, a student where sure, or it alone."""
    timeout_s: Seconds = 30.0
    """A batch unanswered for so long counts as scorer down."""
    engine: Engine = "auto"
    """What runs the network on CPU: one by name, or `auto`: the cheapest here that is right."""
    threads: NotNegative = 0
    """Inference threads in process; 0 means the cores that it may use."""
    version: str = ""
    """Version of the model; empty is the server's choice, and `1` of `openvino`."""
    shadow_model: str = ""
    """A second model, compared on live posts, counted nowhere; empty is none."""
    shadow_version: str = ""
    """Its version; with the name of the first model: two versions side by side."""
    shadow_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Share of the posts that it scores too."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of the servers, one at least in settings without contradictions."""
        parts = self.url.split(",") if isinstance(self.url, str) else self.url
        return tuple(part.strip() for part in parts if part.strip())

    def faults(self) -> list[str]:
        """Return what is wrong with the addresses, a sentence each."""
        key = f"scorer.url = {self.url!r}"
        if not self.urls:
            return [f"{key}: expected at least one host:port"]
        found = [
            f"{key}: {url!r} is no address, expected host:port with a port of 1 to 65535"
            for url in self.urls
            if not (said := _ADDRESS.match(url)) or not 1 <= int(said[1]) <= 65_535
        ]
        twice = sorted({url for url in self.urls if self.urls.count(url) > 1})
        return found + [
            f"{key}: {url!r} is there twice, expected each server once" for url in twice
        ]
