"""Would a crowd model that never saw the threads be used on them? Worked out without the stack.

    .venv-server/bin/python -m evaluation.crowds.live_held_out --data DIR --threads threads.json

What ships is fitted on the threads of RumourEval too, so a replay of them flatters it. Here the
forecast by heads is fitted on the other sets, and asked of each thread in the order of its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from core.errors import ConfigError
from core.report import write_report
from core.schemas import MICRO
from evaluation.crowds.before_answers import HeadedEvent, encoder_heads, fit_on, headed_events
from evaluation.crowds.live_model import Says
from evaluation.crowds.live_run import figures_of
from evaluation.crowds.live_threads import expected_of, read_threads
from evaluation.encoder.__main__ import refusing
from evaluation.encoder.bootstrap import SEED
from evaluation.options import BUILT, DataFolder, JsonFile, Repository
from models.socialalign.posterior import Floats


def says_of_others(events: Sequence[HeadedEvent], held_out: str) -> Says:
    """Return what a model says that is fitted on all sets but one.

    Raises:
        ConfigError: Nothing is left.
    """
    others = [one for one in events if one.of != held_out]
    if not others:
        raise ConfigError(f"no set but {held_out} is there")
    model, _penalty = fit_on(others, np.arange(len(others)), np.random.default_rng(SEED))

    def says(usual: Floats, heads: Sequence[int]) -> Sequence[float]:
        given = np.array(heads, np.float64) / MICRO
        return model.shares(usual[None], given[None])[0].tolist()

    return says


def main(
    data: DataFolder,
    threads: Annotated[Path, typer.Option(help="What live_threads wrote.")],
    repository: Repository = BUILT,
    json_file: JsonFile = None,
) -> None:
    """Judge forecasts of threads by a model that is fitted on the other sets."""
    with refusing():
        chosen = read_threads(threads)
        events = headed_events(data, encoder_heads(repository))
        says = says_of_others(events, "rumoureval")
    found: dict[str, float] = {}
    for name, model in (("without", None), ("held_out", says)):
        for figure, value in figures_of(chosen, expected_of(chosen, model)).items():
            found[f"{name}.{figure}"] = value
    for name, value in found.items():
        typer.echo(f"{name}: {value:.6g}")
    if json_file is not None:
        write_report(json_file, "crowds live held out", found, settings={}, seed=SEED)


if __name__ == "__main__":
    typer.run(main)
