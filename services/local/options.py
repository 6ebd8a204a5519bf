"""What a person may ask of the local stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.local.paths import DEFAULT_PATHS, RuntimePaths

MOST_UNCOUNTED: Final = 0.02
"""Share of the records that may become dead letters in a run that is called good."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """One local stack.

    Attributes:
        source: The registered name of the source that `ingest` reads; "" starts no ingest.
        ingest_arguments: The further command-line arguments of `groundswell ingest`.
        workers: How many worker processes share the partitions.
        partitions: The partitions of the topics, when they are created.
        scorer: `triton` starts the model server; `openvino` and `fake` need none.
        forecasts: Also forecast how far posts go.
        responses: Also show how people answer what takes off; needs `forecasts`.
        heartbeat: Also send heartbeats, which windows do not show.
        metrics_stack: Also start Prometheus and Alertmanager, if they are installed.
        fresh: Begin with an empty broker and an empty store.
        measured_rate: The source sends half of what the scorer is measured to do, at most so many
            posts per second; None leaves its rate to its arguments.
        settings: The further `GROUNDSWELL__…` variables for every process.
        config: The settings file handed to every process; None leaves it to them to find one.
        paths: Where all files go.
    """

    source: str = "synthetic"
    ingest_arguments: tuple[str, ...] = ()
    workers: int = 1
    partitions: int = 4
    scorer: str = "triton"
    forecasts: bool = True
    responses: bool = True
    heartbeat: bool = True
    metrics_stack: bool = True
    fresh: bool = False
    measured_rate: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    config: Path | None = None
    paths: RuntimePaths = DEFAULT_PATHS
