"""What a process costs to start, and how long a killed worker's partitions stand still.

Imports: each role in a fresh interpreter, with the bytecode of an earlier start and without any, as
where PYTHONDONTWRITEBYTECODE is set. Restarts: one of two workers is killed and started again at
once, posts for every partition follow, and the clock runs until all of them are counted; alone and
beside busy loops, two to a core. The worker is a dynamic member of its group (`unnamed`) or has a
`worker.instance` (`named`); with `--beside FOLDER` another checkout takes turns with this one, once
with its bytecode (`other`) and once without any (`other_uncached`). The closer is killed, too.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.harness import Measured, Options, run_benchmark, say, spread
from benchmarks.lab import Lab
from benchmarks.posts import posts, texts
from benchmarks.startup_roles import ROLES, Variant, start_role
from evaluation.drawing import bars
from services.local.child import Child, Command
from services.local.machine import process_cpu_s
from services.local.paths import PROJECT_ROOT

POSTS: Final = 64
SESSION_S: Final = 10.0
"""The session of a worker at scale 1, the default: so long an unnamed one is waited for."""

LOOPS_PER_CORE: Final = 2
_LOADED: Final = "queries loaded"
_ASSIGNED: Final = "partitions assigned"
_CLOSING: Final = "closing "
_PHASES: Final = ("load", "join", "count")


@dataclass(slots=True)
class Figures:
    """Values of each round by name; a ratio is taken within a round."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, name: str, value: float) -> None:
        """Add the value of one round."""
        self.values[name].append(value)

    def take_ratio(self, name: str, above: str, below: str) -> None:
        """Add the ratio of the last values of two figures."""
        self.take(name, self.values[above][-1] / self.values[below][-1])

    def summed_up(self) -> dict[str, float]:
        """Return median, least and most of everything."""
        return {
            key: value
            for name, values in self.values.items()
            for key, value in spread(name, values, 3).items()
        }


# -- imports ----------------------------------------------------------------------------------


def measure_imports(
    figures: Figures, roles: list[str], variants: list[Variant], caches: Path
) -> None:
    """Start each role once in every variant."""
    for role, variant in itertools.product(roles, variants):
        wall_s, cpu_s, modules = start_role(role, variant, caches)
        figures.take(f"import_{role}_{variant.name}_wall_s", wall_s)
        figures.take(f"import_{role}_{variant.name}_cpu_s", cpu_s)
        figures.take(f"import_{role}_{variant.name}_modules", modules)


# -- restarts ---------------------------------------------------------------------------------


class Workers:
    """Two workers of a variant on the lab's servers, one of which is killed and started again."""

    def __init__(self, lab: Lab, variant: Variant, seed: int) -> None:
        self._lab = lab
        self._variant = variant
        self._seed = seed

    def start(self, number: int) -> Child:
        """Start a worker; its name and home are those of its number."""
        lab, name = self._lab, f"worker{number}"
        own = {"worker": {"data_dir": str(lab.directory / name)}}
        if self._variant.named:
            own["worker"]["instance"] = name
        tree = {s: lab.tree.get(s, {}) | own.get(s, {}) for s in lab.tree.keys() | own.keys()}
        flat = {f"{s}__{f}".upper(): v for s, fields in tree.items() for f, v in fields.items()}
        environment = {f"GROUNDSWELL__{name}": str(value) for name, value in flat.items()}
        argv = (sys.executable, "-m", "services.cli.main", "worker")
        variables = environment | self._variant.environment(lab.directory)
        log = lab.directory / f"{name}-{time.monotonic_ns()}.log"
        lab.workers[name] = Child(Command(argv, variables, self._variant.code), log)
        return lab.workers[name]

    def restart(self, figures: Figures, load: str) -> None:
        """Kill one worker, start it again, and wait until posts of all partitions are counted."""
        lab, prefix = self._lab, f"{load}_{self._variant.name}"
        lab.workers["worker1"].kill()
        began, began_at = time.perf_counter(), time.time()
        child = self.start(1)
        said = list(texts(POSTS, self._seed))
        lab.produce(posts(said, datetime.now(UTC), 0.01, f"{self._seed}-{time.monotonic_ns()}"))
        lab.drain()
        took_s = time.perf_counter() - began
        figures.take(f"{prefix}_restart_s", took_s)
        figures.take(f"{prefix}_restart_cpu_s", process_cpu_s(child.pid))
        loaded_at, assigned_at = (
            _said_at(child.log_path, _LOADED),
            _said_at(child.log_path, _ASSIGNED),
        )
        if loaded_at and assigned_at:  # else the other worker was quicker to take everything over
            moments = (began_at, loaded_at, assigned_at, max(assigned_at, began_at + took_s))
            for phase, (since, until) in zip(_PHASES, itertools.pairwise(moments), strict=True):
                figures.take(f"{prefix}_{phase}_s", until - since)


def _said_at(log: Path, what: str) -> float | None:
    """Return when a log says something first, in seconds since 1970; None if it does not."""
    for line in log.read_text(errors="replace").splitlines():
        if what in line:
            return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()
    return None


@contextmanager
def busy_loops(directory: Path, number: int) -> Iterator[None]:
    """Keep the processors busy meanwhile."""
    argv = (sys.executable, "-c", "while True: pass")
    loops = [Child(Command(argv), directory / "loop.log") for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()


def measure_restarts(figures: Figures, variants: list[Variant], lab: Lab, seed: int) -> None:
    """Restart a worker in every variant, alone and beside busy loops."""
    loops = LOOPS_PER_CORE * (os.cpu_count() or 1)
    for variant in variants:
        workers = Workers(lab, variant, seed)
        for number in (1, 2):
            workers.start(number)
        lab.wait_assigned()
        workers.restart(figures, "idle")
        lab.wait_assigned()
        with busy_loops(lab.directory, loops):
            workers.restart(figures, "busy")
        lab.stop_workers()
        say(f"{variant.name}: {figures.values[f'idle_{variant.name}_restart_s'][-1]:.1f} s, busy "
            f"{figures.values[f'busy_{variant.name}_restart_s'][-1]:.1f} s")  # fmt: skip


def measure_closer(figures: Figures, lab: Lab) -> None:
    """Kill the closer and wait until the next one closes: as long as the session of the first."""
    first = lab.start_process("closer")
    lab.wait_said(first, _CLOSING)
    first.kill()
    began = time.perf_counter()
    second = lab.start_process("closer")
    lab.wait_said(second, _CLOSING)
    figures.take("closer_restart_s", time.perf_counter() - began)
    lab.stop_workers()


# -- all of it --------------------------------------------------------------------------------


def _variants(beside: Path | None) -> tuple[list[Variant], list[Variant]]:
    """Return the variants of imports and of restarts."""
    others = []
    if beside is not None:
        others = [
            Variant("other_uncached", beside, bytecode=False),
            Variant("other", beside),
        ]
    own = Variant("own")
    imports = [*others, Variant("own_uncached", bytecode=False), own]
    return imports, [*others, Variant("unnamed"), Variant("named", named=True)]


def measure(options: Options) -> Measured:
    """Take turns over all variants, `rounds` times."""
    imports, restarts = _variants(options.beside)
    figures, roles = Figures(), list(ROLES)[: max(1, round(len(ROLES) * options.scale))]
    tables = {
        "queries": {"path": str(PROJECT_ROOT / "configs/queries.toml")},
        "kafka": {"session_timeout_s": max(2.0, SESSION_S * options.scale)},
    }
    with Lab("startup", tables) as lab:
        with tempfile.TemporaryDirectory(dir=lab.directory) as folder:
            warming = Figures()
            measure_imports(warming, roles, [v for v in imports if v.bytecode], Path(folder))
            for number in range(options.rounds):
                measure_imports(figures, roles, imports, Path(folder))
                _import_ratios(figures, roles, imports)
                say(f"imports, round {number + 1}")
        for number in range(options.rounds):
            measure_restarts(figures, restarts, lab, options.seed + number)
            _restart_ratios(figures, restarts)
            measure_closer(figures, lab)
    settings = {
        "posts": POSTS, "partitions": lab.settings.kafka.partitions, "workers": 2,
        "session_timeout_s": lab.settings.kafka.session_timeout_s,
        "busy_loops": LOOPS_PER_CORE * (os.cpu_count() or 1),
        "variants": [variant.name for variant in [*imports, *restarts]],
    }  # fmt: skip
    rows = [
        (f"{load}, {v.name}", *_row(figures, f"{load}_{v.name}_restart_s"))
        for load in ("idle", "busy")
        for v in restarts
    ]
    picture = bars("A killed worker until all partitions count again", "s", rows)
    return Measured(figures.summed_up(), settings, picture)


def _row(figures: Figures, name: str) -> tuple[float, float, float]:
    summed = figures.summed_up()
    return summed[name], summed[f"{name}_least"], summed[f"{name}_most"]


def _import_ratios(figures: Figures, roles: list[str], variants: list[Variant]) -> None:
    for role, variant in itertools.product(roles, variants):
        if variant.name != "own":
            above = f"import_{role}_{variant.name}"
            figures.take_ratio(
                f"{above}_over_own_cpu_ratio", f"{above}_cpu_s", f"import_{role}_own_cpu_s"
            )


def _restart_ratios(figures: Figures, variants: list[Variant]) -> None:
    for load, variant in itertools.product(("idle", "busy"), variants):
        if not variant.named:
            for what in ("restart_s", "restart_cpu_s"):
                name = f"{load}_{variant.name}_over_named_{what.removesuffix('_s')}_ratio"
                above = f"{load}_{variant.name}_{what}"
                figures.take_ratio(name, above, f"{load}_named_{what}")


if __name__ == "__main__":
    run_benchmark(measure)
