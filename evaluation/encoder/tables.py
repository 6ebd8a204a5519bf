"""What an evaluation found: rows for people, figures for programs, and both as text."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from evaluation.drawing import Picture
from evaluation.encoder.bootstrap import Measured
from models.encoder.heads.base import PublishedFigure


@dataclass(frozen=True, slots=True)
class Row:
    """One classifier: a short name for figures, a title for people, its measures."""

    key: str
    title: str
    measured: Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Section:
    """One table: classifiers down, measures across, published figures below.

    Attributes:
        key: Starts the name of every figure of the table.
        title: What was measured on what.
        columns: Measure -> heading, in order.
        rows: The rows, the model's first.
        published: The published figures, of one measure each.
        notes: Sentences below the table.
    """

    key: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    published: Sequence[PublishedFigure] = ()
    notes: Sequence[str] = ()

    def figures(self) -> dict[str, float]:
        """Return every figure and the ends of its interval, by name."""
        found: dict[str, float] = {}
        for row in self.rows:
            for name, measured in row.measured.items():
                found |= measured.figures(f"{self.key}_{row.key}_{name}")
        return found


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One head, measured.

    Attributes:
        head: Its name.
        sections: Its tables.
        extra: Further figures, by name.
        plots: File name -> picture.
    """

    head: str
    sections: Sequence[Section]
    extra: Mapping[str, float] = field(default_factory=dict)
    plots: Mapping[str, Picture] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """Return all figures of all tables, and the further ones."""
        found = {f"{self.head}_{name}": value for name, value in self.extra.items()}
        for section in self.sections:
            found |= section.figures()
        return found


def print_section(section: Section) -> None:
    """The table for people, on standard output."""
    caption = "\n".join(section.notes) or None
    table = Table(title=section.title, caption=caption, caption_justify="left")
    table.add_column("classifier")
    for title in section.columns.values():
        table.add_column(title, justify="right")
    for row in section.rows:
        table.add_row(row.title, *cells(row, section))
    if section.published:
        table.add_section()
    for claim in section.published:
        table.add_row(
            f"{claim.title} ({claim.source})",
            *(f"{claim.value:.3f}" if name == claim.measure else "" for name in section.columns),
        )
    width = None if sys.stdout.isatty() else 60 + 24 * len(section.columns)
    Console(width=width).print(table)


def cells(row: Row, section: Section) -> list[str]:
    """Return a row's figures in the order of the columns; a missing one is empty."""
    return [str(row.measured[name]) if name in row.measured else "" for name in section.columns]


def markdown_section(section: Section) -> str:
    """Return the same table in Markdown, with a heading; the first row is set in bold."""
    titles = ["classifier", *section.columns.values()]
    lines = [f"### {section.title}", "", _line(titles), _line(["---"] * len(titles))]
    for place, row in enumerate(section.rows):
        title = f"**{row.title}**" if place == 0 else row.title
        lines.append(_line([title, *cells(row, section)]))
    for claim in section.published:
        values = [f"{claim.value:.3f}" if n == claim.measure else "" for n in section.columns]
        lines.append(_line([f"{claim.title} ({claim.source})", *values]))
    if section.notes:
        lines += ["", *(f"- {note}" for note in section.notes)]
    return "\n".join(lines) + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def markdown(evaluations: Sequence[Evaluation], introduction: str) -> str:
    """Return a page with every table and a link to every plot, which lie beside it."""
    parts = [introduction.rstrip() + "\n"]
    for evaluation in evaluations:
        parts.append(f"## {evaluation.head.capitalize()}\n")
        parts += [markdown_section(section) for section in evaluation.sections]
        if evaluation.plots:
            images = (f"![{name.removesuffix('.svg')}]({name})" for name in evaluation.plots)
            parts.append(" ".join(images) + "\n")
    return "\n".join(parts)
