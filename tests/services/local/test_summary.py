import io
from dataclasses import replace

import pytest
from rich.console import Console

from services.local.accounting import Accounting
from services.local.forecast_tally import ForecastTally
from services.local.machine import bottleneck
from services.local.summary import RunSummary, render_summary

BOOKS = Accounting(
    accepted=1000,
    unread=0,
    counted=900,
    removed=20,
    in_panes=880,
    dead=100,
    dead_by_reason={"duplicate": 90, "not_json": 10},
    windows_closed=12,
    corrections=1,
)
SUMMARY = RunSummary(BOOKS, 9.0, 0.1, 0.4, {"triton": 1.5, "kafka": 0.2}, {"worker-1": 2})


def test_books_that_balance_have_no_fault() -> None:
    assert SUMMARY.faults() == []
    assert SUMMARY.posts_per_s == 100.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"counted": 899, "in_panes": 879}, "1,000 records were accepted, but 899 were counted"),
        ({"counted": 901, "in_panes": 881}, "1,000 records were accepted, but 901 were counted"),
        ({"unread": 5}, "5 records were not read"),
        ({"in_panes": 881}, "the panes hold 881"),
        ({"dead_by_reason": {"duplicate": 99}}, "the topic dead-posts holds 99"),
        (
            {"dead_by_reason": {"duplicate": 79, "not_json": 21}},
            "2.1% of the posts were not",
        ),
        (
            {"refused_by_reason": {"unmappable": 30}},
            "3.9% of the posts were not counted (30 unmappable, 10 ",
        ),
        ({"dead_by_reason": {"dropped_late": 100}}, "(100 dropped_late); up to 2.0% would pass"),
        (
            {"counted": 300, "in_panes": 280, "dead": 700, "dead_by_reason": {"duplicate": 700}},
            "700 of 1,000 posts have an id that another has",
        ),
    ],
)
def test_books_that_do_not_balance_say_why(wrong: dict[str, object], words: str) -> None:
    faults = replace(BOOKS, **wrong).faults()  # type: ignore[arg-type]
    assert len(faults) == 1
    assert words in faults[0]


def test_what_kept_the_run_from_ending_well_counts_as_a_fault() -> None:
    assert replace(SUMMARY, trouble=("worker-1 was down",)).faults() == ["worker-1 was down"]


def test_the_share_that_may_be_lost_is_the_callers_choice() -> None:
    lost = replace(BOOKS, dead_by_reason={"duplicate": 50, "dropped_late": 50})
    assert lost.uncounted_share == 0.05
    assert replace(SUMMARY, books=lost, most_uncounted=0.05).faults() == []
    assert len(replace(SUMMARY, books=lost, most_uncounted=0.049).faults()) == 1


def test_a_run_without_a_closed_window_is_none_unless_it_may_be_as_short_as_that() -> None:
    short = replace(SUMMARY, books=replace(BOOKS, windows_closed=0))
    assert short.faults() == ["no window has closed"]
    assert replace(short, must_close=False).faults() == []


def test_a_file_of_which_ingest_refused_everything_says_so() -> None:
    books = Accounting(0, 0, 0, 0, 0, 0, refused_by_reason={"unmappable": 7})
    assert books.faults()[0] == "nothing was accepted"
    assert books.faults()[1].startswith("100.0% of the posts were not counted (7 unmappable)")
    assert replace(SUMMARY, books=books).figures()["refused.unmappable"] == 7


def test_an_empty_run_is_no_success() -> None:
    nothing = Accounting(accepted=0, unread=0, counted=0, removed=0, in_panes=0, dead=0)
    assert nothing.faults() == ["nothing was accepted"]


@pytest.mark.parametrize("width", [80, 140])
def test_the_summary_shows_its_figures_and_its_verdict(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_summary(SUMMARY))
    text = console.export_text()
    for figure in ("1,000", "900", "90", "not_json 10", "12", "100", "0.10 s / 0.40 s",
                   "triton, with 1.5 of", "worker-1 2", "✓ every accepted post"):  # fmt: skip
        assert figure in text
    assert max(map(len, text.splitlines())) <= width


def test_the_figures_are_flat_numbers() -> None:
    figures = SUMMARY.figures()
    assert all(isinstance(value, int | float) for value in figures.values())
    assert figures["dead.not_json"] == 10
    assert figures["cores.triton"] == 1.5
    assert figures["restarts.worker-1"] == 2
    assert figures["faults"] == 0


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (ForecastTally(1_234), ("1,234", "posts; outcomes not yet known")),
        (ForecastTally(9, 1, None, 0.8), ("1 outcome, skill not yet known, coverage 0.80",)),
        (
            ForecastTally(12_345_678, 1_234_567, -0.123, 0.7951),
            ("12,345,678", "1,234,567 outcomes, skill -0.12, coverage 0.80"),
        ),
        (ForecastTally(0), ("posts; outcomes not yet known",)),
    ],
)
def test_the_summary_says_what_forecasts_came_to(
    tally: ForecastTally, words: tuple[str, ...]
) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_summary(replace(SUMMARY, forecasts=tally)))
    text = console.export_text()
    said = " ".join(text.split())  # it is folded where it is too wide
    assert f" forecast {tally.posts:,} posts; " in said
    assert all(word in said for word in words)
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_without_a_forecaster_says_nothing_of_forecasts() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_summary(SUMMARY))
    assert "forecast" not in console.export_text()
    assert not [name for name in SUMMARY.figures() if name.startswith("forecast")]


def test_figures_of_forecasts_have_what_is_known() -> None:
    unknown = replace(SUMMARY, forecasts=ForecastTally(7)).figures()
    assert (unknown["forecasts"], unknown["forecast_outcomes"]) == (7, 0)
    assert not {"forecast_skill", "forecast_coverage"} & unknown.keys()
    known = replace(SUMMARY, forecasts=ForecastTally(7, 5, 0.1, 0.8)).figures()
    assert (known["forecast_skill"], known["forecast_coverage"]) == (0.1, 0.8)


def test_a_machine_that_was_not_busy_has_no_bottleneck() -> None:
    assert bottleneck({"triton": 0.2}, available=2).startswith("none")
    assert bottleneck({}, available=2).startswith("none")
    assert bottleneck({"triton": 1.5, "kafka": 0.3}, available=2).startswith("triton")
