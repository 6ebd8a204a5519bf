"""The settings of the responder; see `core.settings`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from core.server_settings import NotNegative, Positive, Seconds


class ResponderSettings(Struct, frozen=True, kw_only=True):
    """How people answer what takes off."""

    group: str = "groundswell-responder"
    """Consumer group on `events`, followed by the cluster's id; one member is active."""
    kind: str = ""
    """What writes replies of its own: `triton`, or `in_process` without a server; empty: nobody."""
    model: str = "responder"
    """Model name on the server `scorer.url`."""
    version: str = ""
    """Version of the model; empty is the server's choice."""
    timeout_s: Seconds = 20.0
    """A post unanswered for so long counts as model down."""
    weights: str = ""
    """Folder of the adapter and its configuration that are built; empty: shipped."""
    decoder: str = ""
    """GGUF file of the decoder, or a folder with one; empty: the package that carries it."""
    threads: NotNegative = 0
    """Inference threads of `in_process`; 0 means the cores that it may use."""
    memory_s: Positive = 3_600
    """Replies are known from so long before an event, and an event is followed for so long."""
    memory_posts: Positive = 200_000
    """Posts remembered, of which any may take off or be a reply; the oldest are forgotten first."""
    memory_bytes: Positive = 134_217_728
    """Bytes of their texts and ids; the same."""
    max_events: Positive = 200
    """Events followed at once; further ones have no response, and are counted."""
    shown: Annotated[int, Meta(ge=1, le=50)] = 10
    """Replies in a response at most; quoted and generated ones fill what real ones leave."""
    every_s: Seconds = 10.0
    """A response is told again no sooner than after so long; a deletion at once."""
    similarity: Annotated[float, Meta(gt=0, le=1)] = 0.4
    """A past event is quoted from this similarity of its post on."""
    kept_s: Positive = 604_800
    """How long a response is kept in Redis, with the texts that it shows."""
    kept_events: Positive = 2_000
    """Events of which it is kept; the oldest go first."""
    quoted: Annotated[int, Meta(ge=0, le=10)] = 3
    """Replies to similar past events in a response at most; 0 quotes nothing."""
    generated: Annotated[int, Meta(ge=0, le=3)] = 3
    """Replies that are generated for an event; 0 generates nothing."""
    generated_per_minute: NotNegative = 20
    """Events in a minute for which replies are generated; 0 means none."""
    generate_timeout_s: Seconds = 10.0
    """Replies that take longer to generate are given up."""
    crowd_kind: str = "triton"
    """What is asked how crowds will answer: `triton`, `in_process`; empty: nothing is."""
    crowd_timeout_s: Seconds = 2.0
    """Unanswered for so long, the usual shares stand in for that model."""
    turn_evidence: Annotated[float, Meta(ge=3)] = 9.5
    """A crowd is said to have turned from so much evidence on, a natural logarithm."""
    turns_per_hour: NotNegative = 6
    """Turns of crowds told of a query in an hour; further ones are counted. 0 tells none."""
    shed_after_s: Seconds = 30.0
    """So far behind nothing is generated, and beyond twice that nothing is quoted."""
