"""Which engine runs the network here: each is tried, the cheapest that is right is taken.

Right is who stays near fp32 and gives a text the same bits alone and among others. Cheap is who
needs the least processor time a post: what else a machine does changes the clock by a factor, and
the cores are shared with broker, store and workers. Both on texts of ours that were fixed when the
model was built.
"""

import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from core.errors import ConfigError
from core.processor import processor_name, read_flags
from models.encoder.config import EncoderConfig
from models.serving.agreement import agreement
from models.serving.candidates import EngineForm, built_candidates, candidate
from models.serving.engine_choice import (
    AUTO,
    Circumstances,
    EngineChoice,
    Trial,
    choice_file,
    read_choice,
    write_choice,
)
from models.serving.engines import InferenceEngine
from models.serving.reference import TrialTexts, load_reference

TRIAL_S: Final = 1.0
SMALL_BATCH: Final = 4
"""Posts of the small batches that are timed, too: in a paced stream most have no more."""
AS_CHEAP: Final = 1.1
"""Who needs less than this times the least is as cheap; of those the first candidate is taken, so
that machines of one kind take the same one."""
_PACKAGES: Final = ("openvino", "onnxruntime")

Measure = Callable[[InferenceEngine, Sequence[Sequence[int]]], tuple[float, float]]
"""An engine and texts to processor microseconds a post, and posts a second."""


def measure(
    engine: InferenceEngine, token_ids: Sequence[Sequence[int]], seconds: float = TRIAL_S
) -> tuple[float, float]:
    """Time an engine for about so many seconds, on all texts at once and a few at a time."""
    small = [token_ids[i : i + SMALL_BATCH] for i in range(0, len(token_ids), SMALL_BATCH)][::4]
    engine.infer(token_ids)
    posts, began, spent = 0, time.perf_counter(), time.process_time()
    while not posts or time.perf_counter() - began < seconds:
        for batch in (token_ids, *small):
            engine.infer(batch)
            posts += len(batch)
    return (
        (time.process_time() - spent) / posts * 1e6,
        posts / max(1e-9, time.perf_counter() - began),
    )


def depends_on_batch(engine: InferenceEngine, token_ids: Sequence[Sequence[int]]) -> int:
    """The number of texts that have other bits among all than alone."""
    whole = engine.infer(token_ids)
    return sum(
        any(alone[name][0].tobytes() != whole[name][row].tobytes() for name in whole)
        for row, ids in enumerate(token_ids)
        for alone in (engine.infer([ids]),)
    )


def try_engine(
    of: EngineForm,
    folder: Path,
    config: EncoderConfig,
    reference: TrialTexts,
    flags: frozenset[str],
    threads: int = 0,
    measure: Measure = measure,
) -> Trial:
    """Check one candidate and, if it may be taken, time it."""
    if lacking := of.lacking(flags):
        return Trial(engine=of.name, refused=lacking)
    try:
        engine = of.load(of.place(folder), threads)
        found = agreement(engine.infer(reference.token_ids), reference.outputs, config)
    except Exception as error:  # whatever a runtime does on a processor that it does not know
        return Trial(engine=of.name, refused=f"it failed with {type(error).__name__}")
    near: dict[str, Any] = {"cosine": round(found.cosine, 5), "mean_gap": round(found.mean_gap, 5)}
    if fault := found.fault():
        return Trial(engine=of.name, refused=fault, **near)
    if differing := depends_on_batch(engine, reference.token_ids):
        many = f"{differing} of {len(reference.token_ids)} texts have other bits in a batch"
        return Trial(engine=of.name, refused=many, **near)
    cpu_us, posts_per_s = measure(engine, reference.token_ids)
    return Trial(engine=of.name, cpu_us=round(cpu_us, 1), posts_per_s=round(posts_per_s, 1), **near)


def cheapest(trials: Sequence[Trial]) -> str:
    """The first of those that are as cheap as the cheapest.

    Raises:
        ConfigError: all were refused; the message says why.
    """
    costs = {trial.engine: trial.cpu_us for trial in trials if trial.cpu_us is not None}
    if not costs:
        why = "; ".join(f"{trial.engine}: {trial.refused}" for trial in trials)
        raise ConfigError(f"no engine can run the model here: {why}")
    most = min(costs.values()) * AS_CHEAP
    return next(engine for engine, cost in costs.items() if cost <= most)


def choose_engine(
    folder: Path,
    config: EncoderConfig,
    wanted: str = AUTO,
    threads: int = 0,
    measure: Measure = measure,
) -> EngineChoice:
    """The engine for a built model here: the one on record, else the cheapest that is right.

    A model that was built for a single engine has that one, unchecked: the GPU of which it is may
    be elsewhere.

    Args:
        folder: The version folder.
        config: The model's.
        wanted: The one engine to take, if it is right; `auto` leaves the choice to the trials.
        threads: CPU threads of the engine; 0 means the cores that this process may use.
        measure: Times an engine.

    Raises:
        ConfigError: nothing was built, there is no such engine, or none is right.
    """
    built = built_candidates(folder)
    if wanted != AUTO and candidate(wanted) not in built:
        names = ", ".join((AUTO, *(each.name for each in built)))
        raise ConfigError(f"{folder} was not built for the engine {wanted!r}; expected {names}")
    now = Circumstances(
        processor=processor_name(), model=config.version, packages=_installed(), wanted=wanted
    )
    before, damage = _on_record(folder, built, now)
    if before is not None:
        return before
    choice = _chosen(folder, built, config, now, threads, measure)
    choice = msgspec.structs.replace(choice, why=choice.why + damage)
    write_choice(folder, choice)
    return choice


def _on_record(
    folder: Path, built: Sequence[EngineForm], now: Circumstances
) -> tuple[EngineChoice | None, str]:
    """Return the choice on record if it holds now; and of a damaged record what is wrong.

    What a damaged one says can be found out again: it is no reason not to start.
    """
    try:
        before = read_choice(folder, now.wanted)
    except ConfigError as error:
        return None, f"; tried anew: {error}"
    if before is None or before.circumstances != now:
        return None, ""
    if before.engine not in {each.name for each in built}:
        file = choice_file(now.wanted)
        return None, f"; tried anew: {file} has {before.engine}, which was not built"
    return before, ""


def _chosen(
    folder: Path,
    built: Sequence[EngineForm],
    config: EncoderConfig,
    now: Circumstances,
    threads: int,
    measure: Measure,
) -> EngineChoice:
    if len(built) == 1:
        only = Trial(engine=built[0].name)
        return EngineChoice(
            engine=only.engine, why="the only one built", circumstances=now, trials=(only,)
        )
    tried = [each for each in built if now.wanted in (AUTO, each.name)]
    reference, flags = load_reference(folder, config), read_flags()
    trials = tuple(
        try_engine(each, folder, config, reference, flags, threads, measure) for each in tried
    )
    why = "the cheapest that is right" if now.wanted == AUTO else "as set"
    return EngineChoice(engine=cheapest(trials), why=why, circumstances=now, trials=trials)


def _installed() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def open_engine(
    folder: Path, config: EncoderConfig, wanted: str = AUTO, threads: int = 0
) -> tuple[InferenceEngine, EngineChoice]:
    """Choose the engine of a built model and load it.

    Raises:
        ConfigError: nothing was built there, none of the engines can be taken, or a runtime is
            missing.
    """
    choice = choose_engine(folder, config, wanted, threads)
    of = candidate(choice.engine)
    return of.load(of.place(folder), threads), choice
