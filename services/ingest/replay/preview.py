"""What a file will become, shown to a person before anything starts."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from core.reasons import REPAIRS
from core.schemas import Post
from core.text import printable
from services.ingest.replay.counts_told import count_faults, described_counts
from services.ingest.replay.dialects import SEPARATORS
from services.ingest.replay.layout import check_options
from services.ingest.replay.reading import nothing_readable
from services.ingest.replay.survey import Survey, survey_file
from services.ingest.sources.replay.options import FIELDS, ReplayOptions

WIDTH: Final = 80
_LABEL_CHARS: Final = 11
_FORMATS: Final = {"jsonl": "JSON lines", "json": "JSON", "raw": "lines sent as they are"}
_WITHOUT: Final = {
    "time": "every post counts at the moment it is read, not when it was written",
    "author": "each post has an author of its own, so authors cannot be counted",
}
_SHOWN_FAULTS: Final = 5


class Advice(Struct, frozen=True):
    """Something about a file that a person should know, and what mends it.

    Attributes:
        text: A sentence.
        remedies: The assignments that mend it, as `--set` takes them, each by itself.
    """

    text: str
    remedies: tuple[str, ...] = ()


class Preview(Struct, frozen=True):
    """A file as it will be counted.

    Attributes:
        path: The file.
        options: How it is read.
        survey: Its figures.
    """

    path: Path
    options: ReplayOptions
    survey: Survey

    @property
    def all_count(self) -> bool:
        """True if every row will be counted."""
        return not self.survey.uncounted

    def lines(self, command: Sequence[str] = ()) -> list[str]:
        """Return the preview for a terminal of 80 columns.

        Args:
            command: The words that the person typed, to be completed by what mends a fault.
        """
        command = command or default_command(self.path)
        found = [*_labelled(_facts(self))]
        for advice in self.advice():
            found += _wrapped("! ", advice.text)
            for remedy in advice.remedies:
                found += command_lines([*command, "--set", remedy])
        return found

    def advice(self) -> list[Advice]:
        """Return what a person should know, what costs most rows first."""
        return [*_fault_advice(self.survey), *_further_advice(self)]


def preview(path: Path, options: ReplayOptions, budget_s: float | None = None) -> Preview:
    """Look at a file before anything starts.

    Args:
        path: The file.
        options: How it is read.
        budget_s: End the look after so many seconds; None looks at all of it.

    Raises:
        ConfigError: Nothing of it can be read (`NeedsOption`: without that option).
    """
    check_options(options)
    survey = survey_file(path, options, budget_s)
    found = Preview(path, options, survey)
    if survey.layout.format != "raw" and not survey.posts:
        example = next(iter(survey.fault_examples.values()), "")
        raise nothing_readable(path, example)
    return found


def default_command(path: Path) -> list[str]:
    """Return the words of the command that looks at a file."""
    return ["groundswell", "sources", "check", "replay", "--set", f"path={path}"]


def command_lines(words: Sequence[str]) -> list[str]:
    r"""Return a command that can be copied, over several lines if one is too long.

    Example:
        >>> command_lines(["groundswell", "up", "--set", "columns.text=Post Text"])
        ["  → groundswell up --set 'columns.text=Post Text'"]
    """
    lines, line = [], "  →"
    # An option and what it is set to stay on one line.
    for piece in " ".join(map(shlex.quote, words)).replace(" --", "\n--").split("\n"):
        if len(line) + len(piece) + 3 > WIDTH and line.strip() not in ("", "→"):
            lines.append(f"{line} \\")
            line = "     "
        line += f" {piece}"
    return [*lines, line]


def _facts(found: Preview) -> Iterator[tuple[str, str]]:
    survey, layout = found.survey, found.survey.layout
    yield "file", f"{printable(found.path.name, 60)}: {_described(survey)}"
    if layout.format == "raw":
        return
    yield "rows" if survey.is_whole else "first rows", _row_counts(survey)
    taken = [name for name in FIELDS if name in layout.columns]
    yield "columns", ", ".join(f"{n} from {' or '.join(layout.columns[n])}" for n in taken)
    used = {name for names in layout.columns.values() for name in names}
    idle = [name for name in layout.names if name not in used]
    if idle:
        yield "unused", _listed(idle, 12)
    if survey.first is not None:
        yield "first post", _shown(survey.first)
    if survey.earliest and survey.latest:
        yield "times", f"{_moment(survey.earliest)} to {_moment(survey.latest)}, {_order(found)}"
    if survey.counted:
        yield "counts", described_counts(survey, found.options)
    common = survey.languages.most_common(8)
    yield "languages", ", ".join(f"{code or 'none given'} {number:,}" for code, number in common)


def _row_counts(survey: Survey) -> str:
    will = survey.posts - survey.repeated - survey.further
    not_counted = f", {survey.uncounted:,} will not" if survey.uncounted else ""
    left_out = "".join(f", {n:,} left out ({why})" for why, n in survey.left_out.items())
    further = f", {survey.further:,} have later counts of one" if survey.further else ""
    return f"{survey.rows:,}: {will:,} will count{not_counted}{further}{left_out}"


def _shown(post: Post) -> str:
    at = _moment(post.claimed_at) if post.claimed_at else "no time"
    language = post.lang or "no language"
    return " · ".join((post.id, post.author, at, language, f'"{printable(post.text, 90)}"'))


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _described(survey: Survey) -> str:
    layout = survey.layout
    if layout.format == "csv":
        sign = layout.dialect.delimiter
        parts = [f"CSV, {SEPARATORS.get(sign, repr(sign))}"]
    else:
        parts = [_FORMATS[layout.format]]
    parts.append(layout.encoding.removesuffix("-sig").upper().replace("CP", "cp"))
    return ", ".join([*parts, *layout.packings])


def _order(found: Preview) -> str:
    survey = found.survey
    if not survey.descents:
        return "in order"
    how = "newest first" if not survey.ascents else "not in order"
    return how + (
        ": as it stands" if found.options.order == "file" else ": sorted before it starts"
    )


def _fault_advice(survey: Survey) -> Iterator[Advice]:
    for kind, number in survey.faults.most_common(_SHOWN_FAULTS):
        example = printable(survey.fault_examples[kind], 160)
        verb = "row will" if number == 1 else "rows will"
        yield Advice(
            f"{number:,} {verb} not count: {example}", _fault_remedies(survey.fault_examples[kind])
        )
    others = len(survey.faults) - _SHOWN_FAULTS
    if others > 0:
        yield Advice(f"{others} further reasons why rows will not count")
    if survey.repeated:
        about = "" if survey.is_whole else "about "
        yield Advice(
            f"{about}{survey.repeated:,} rows repeat the id of an earlier one: the first counts"
        )


def _fault_remedies(example: str) -> tuple[str, ...]:
    if "not UTF-8" in example:
        return ("encoding=cp1252",)
    if "read both ways" in example:
        return ("time_format=day_first", "time_format=month_first")
    return ()


def _further_advice(found: Preview) -> Iterator[Advice]:
    survey, layout, options = found.survey, found.survey.layout, found.options
    yield from _column_advice(found)
    if survey.early and survey.early == survey.posts - survey.timeless:
        remedy = {"epoch_ms": "epoch_s", "epoch_us": "epoch_ms"}.get(options.time_format)
        hint = f": did you mean {remedy}?" if remedy else ""
        remedies = (f"time_format={remedy}",) if remedy else ()
        yield Advice(f"all dates are before 1971{hint}", remedies)
    strange = survey.unknown_languages
    names = ", ".join(printable(n, 20) for n, _ in strange.most_common(3))
    for holds, text in (
        (survey.mangled,
         f"{survey.mangled:,} ids look mangled by a spreadsheet (such as 1.64457E+18): ids are "
         "made of author, time and text instead; exact ids need the original file"),
        (survey.timeless and "time" in layout.columns,
         f"{survey.timeless:,} posts have no time: they count with the last one that has"),
        (survey.nameless and "author" in layout.columns,
         f"{survey.nameless:,} posts name no author: each has one of its own"),
        (survey.zoneless and options.time_zone == "UTC",
         "times name no zone and are taken for UTC; another: --set time_zone=Europe/Berlin"),
        (layout.encoding == "cp1252" and not options.encoding,
         "not UTF-8: read as cp1252 (Western Europe); another: --set encoding=NAME"),
        (strange,
         f"{strange.total():,} posts name a language that is none ({names}): taken for unknown"),
    ):  # fmt: skip
        if holds:
            yield Advice(text)
    for text in count_faults(survey):
        yield Advice(printable(text))
    for code, number in sorted(survey.repairs.items()):
        yield Advice(f"{number:,} times {REPAIRS[code]} ({code})")


def _column_advice(found: Preview) -> Iterator[Advice]:
    layout = found.survey.layout
    has = {*layout.columns, *found.options.constants}
    missing = [name for name in ("time", "author") if name not in has]
    if layout.format == "raw" or not missing:
        return
    then = "; ".join(_WITHOUT[name] for name in missing)
    ways = " ".join(f"--set columns.{name}=NAME" for name in missing)
    yield Advice(
        f"no {' and no '.join(missing)} found among {_listed(layout.names, 12)}. Without: {then}. "
        f"If one of them is it: {ways}",
        tuple(f"columns.time={name}" for name in found.survey.likely_times),
    )


def _labelled(facts: Iterator[tuple[str, str]]) -> Iterator[str]:
    for label, text in facts:
        yield from _wrapped(f"{label:<{_LABEL_CHARS}}", text)


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        printable(text), WIDTH, initial_indent=start, subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    )  # fmt: skip


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
