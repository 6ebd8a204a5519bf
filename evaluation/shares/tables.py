"""The tables, figures and plots of one head: errors of its shares with and without correction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.quantification import Correction
from evaluation.drawing import lines
from evaluation.encoder.bootstrap import Measured
from evaluation.encoder.tables import Evaluation, Row, Section
from evaluation.shares.estimators import TITLES
from evaluation.shares.fit import LEAST_HELD_OUT
from evaluation.shares.own_mix import own_mix_section
from evaluation.shares.windows import PRIORS, SIZES, Errors, Labelled, Target

PLOTTED_SIZE: Final = 200
SAMPLE: Final = 300
"""Labelled posts that a deployment is taken to have: an afternoon of one person."""
SHIPPED: Final = ("pacc", "cc", "pcc", "acc", "em")
"""Methods in the order of the table: the shipped one first."""


@dataclass(frozen=True, slots=True)
class Held:
    """One head's held-out and test posts, scored."""

    head: str
    known: Labelled
    test: Labelled


def evaluation_of(
    held: Held,
    soft: Correction,
    errors: Mapping[Target, Errors],
    on_site: Mapping[Target, Errors],
    is_shipped: bool = True,
) -> Evaluation:
    """Return tables, figures and plots of one head."""
    sections, figures, plots = [], {}, {}
    kept = "shipped" if is_shipped else f"not shipped, under {LEAST_HELD_OUT} held-out posts"
    for target, found in errors.items():
        local = on_site[target]
        note = (
            f"corrected / counted: {ratio(found):.2f}, with {SAMPLE} labelled posts from the place "
            f"of use {ratio(local, 'local'):.2f}; fitted on {soft.posts:,} posts "
            f"({soft.fitted_on}), ridge {soft.ridge:g}; {kept}"
        )
        sections.append(_section(held.head, target, found, local, note))
        figures[f"{target.name}_ratio"] = ratio(found)
        figures[f"{target.name}_local_ratio"] = ratio(local, "local")
        for name in SHIPPED:
            for prior in PRIORS:
                figures[f"{target.name}_{name}_at_{prior:.2f}"] = found.mean(name, prior=prior)
        plots[f"shares-{held.head}-{target.name}.svg"] = lines(
            f"{held.head}, {target.name}: windows of {PLOTTED_SIZE}",
            "true share",
            "mean absolute error",
            {
                TITLES[name]: [(p, found.mean(name, prior=p, size=PLOTTED_SIZE)) for p in PRIORS]
                for name in SHIPPED
            },
        )
    sections.append(own_mix_section(held.head, held.test, soft))
    return Evaluation(held.head, sections, figures, plots)


def _section(head: str, target: Target, found: Errors, local: Errors, note: str) -> Section:
    rows = [
        Row(name, TITLES[name], {**_by_size(found, name), "all": _plain(found.mean(name))})
        for name in SHIPPED
    ]
    whole = _plain(local.mean("local"))
    rows.insert(1, Row("local", TITLES["local"], {**_by_size(local, "local"), "all": whole}))
    columns = {f"n{size}": f"{size:,} posts" for size in SIZES} | {"all": "all"}
    title = f"{head}: share of {target.name}, mean absolute error"
    return Section(f"shares_{head}_{target.name}", title, columns, rows, (), [note])


def ratio(errors: Errors, method: str = "pacc") -> float:
    """Return the error of the corrected shares over that of counting labels."""
    return errors.mean(method) / errors.mean("cc")


def _plain(value: float) -> Measured:
    return Measured(value, value, value)


def _by_size(errors: Errors, name: str) -> dict[str, Measured]:
    return {f"n{size}": _plain(errors.mean(name, size=size)) for size in SIZES}
