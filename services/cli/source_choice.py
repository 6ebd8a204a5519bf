"""The options of `up` and `demo`, and the source that they choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.errors import ConfigError
from core.settings import Settings
from services.local.paths import DEFAULT_PATHS

SourceName = Annotated[str, typer.Option(help="Source to stream; '' starts none.")]
DataFile = Annotated[
    Path | None,
    typer.Option(help="File that the replay source reads.", exists=True, dir_okay=False),
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]
Partitions = Annotated[int, typer.Option(min=1, help="Partitions of the topics.")]
Rate = Annotated[float | None, typer.Option(min=0, help="Posts per second; 0 is all it can.")]
Speed = Annotated[float | None, typer.Option(min=0, help="Times the recorded speed (replay).")]
OptionsFile = Annotated[
    Path | None,
    typer.Option("--options", help="TOML file with the source's options.", exists=True),
]
Further = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any option of the source; repeatable."),
]
ScorerName = Annotated[Literal["triton", "openvino", "fake"], typer.Option(help="What scores.")]
Metrics = Annotated[bool, typer.Option(help="Prometheus and Alertmanager, if installed.")]
MaxUncounted = Annotated[
    float,
    typer.Option(min=0, max=1, help="Largest share of posts not counted that is a success."),
]
Fresh = Annotated[bool, typer.Option(help="Begin with an empty broker and store.")]
UntilIdle = Annotated[
    bool,
    typer.Option(
        help="End once the source has ended and all is counted; with --detach: return then, "
        "and leave the stack up."
    ),
]
UpDuration = Annotated[
    float | None, typer.Option(min=0, help="End after so many seconds of streaming.")
]
DemoDuration = Annotated[
    float | None,
    typer.Option(min=1, help="Seconds of streaming; else until Ctrl-C or the source's end."),
]
Detach = Annotated[
    bool, typer.Option("--detach/--foreground", help="Return once the stack is ready.")
]
Picture = Annotated[
    Path | None, typer.Option(metavar="SVG", help="Save the last view as a picture.")
]


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """What was asked of the source; None is what nobody asked for.

    Attributes:
        name: The registered name of the source; "" starts none.
        data: The file that a replay reads.
        rate: The posts per second; 0 is all the source can.
        speed: How many times the recorded speed a replay runs.
        options: The TOML file with the options of the source.
        further: The options that were given one by one, as KEY=VALUE.
    """

    name: str
    data: Path | None = None
    rate: float | None = None
    speed: float | None = None
    options: Path | None = None
    further: tuple[str, ...] = ()

    @property
    def _assigned(self) -> dict[str, Any]:
        from services.cli.ingest import parse_assignments

        return parse_assignments(list(self.further))

    def check(self, settings: Settings) -> None:
        """Refuse a source that could not start, before a broker is started for it.

        Raises:
            ConfigError: An option, a file or a secret is missing or wrong.
            typer.BadParameter: The source does not have an option.
        """
        from services.cli.ingest import chosen_options
        from services.ingest.launch import check_source

        assigned, data = self._assigned, self.data
        words = {"path": data and str(data), "rate": self.rate, "speed": self.speed}
        if not self.name:
            if assigned or self.options or any(word is not None for word in words.values()):
                raise typer.BadParameter("--source '' starts no source: it takes no options of one")
            return
        if data is not None and self.name != "replay":
            raise typer.BadParameter(f"--data is for the source 'replay', not for {self.name!r}")
        elsewhere = self.options or settings.ingest.source_options or "path" in assigned
        if self.name == "replay" and data is None and not elsewhere:
            raise ConfigError("--source replay needs a file to read: --data FILE")
        if data is not None and data.is_dir():
            raise ConfigError(f"--data {data} is a folder: expected a file of posts")
        given = chosen_options(self.name, words) | assigned
        check_source(settings, self.name, self.options, given)

    def preview(self, command: str, *, fresh: bool) -> None:
        """Say what a file to be replayed will become, and refuse one that cannot be read."""
        if self.name == "replay":
            from services.cli.replay import preview_for_stack

            cursors, further = DEFAULT_PATHS.state / "ingest", list(self.further)
            preview_for_stack(command, self.data, self.options, further, cursors, fresh=fresh)

    def has_rate(self, settings: Settings) -> bool:
        """Tell whether a person has said how fast it is to be, or has a file that may."""
        file = self.options or settings.ingest.source_options
        named = {"posts_per_s", "speed"} & self._assigned.keys()
        return self.rate is not None or bool(file or named)

    def ingest_arguments(self) -> tuple[str, ...]:
        """Return the words of `groundswell ingest` for what was asked."""
        given = {
            "--path": self.data and self.data.resolve(),
            "--options": self.options and self.options.resolve(),
            "--rate": self.rate,
            "--speed": self.speed,
        }
        words = [f"{name}={value}" for name, value in given.items() if value is not None]
        return (*words, *(f"--set={pair}" for pair in self.further))
