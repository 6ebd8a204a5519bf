"""The oracle: a plain program that recounts everything from what was produced.

It shares no code with the pipeline: the standard library alone, one post after the other, its own
reading of JSON, its own clamp of event times, its own list of counters. It is given bytes (`Books`)
and says what does not add up. Scores and matched queries are taken from `scored-posts`; that every
accepted post was scored, in which pane it belongs, and every sum, it works out itself.
"""

from __future__ import annotations

from testkit.chaos.answers_audit import check_answers
from testkit.chaos.books import Audit, Books
from testkit.chaos.dead_audit import DeadAudit
from testkit.chaos.forecast_audit import ForecastAudit
from testkit.chaos.produced import sort_produced
from testkit.chaos.response_audit import ResponseAudit
from testkit.chaos.sums_audit import SumsAudit
from testkit.chaos.waits import wait_figures


def recount(books: Books) -> Audit:
    """Recount the books and return what does not add up."""
    audit = Audit()
    produced = sort_produced(books, audit)
    DeadAudit(books, produced, audit).check()
    check_answers(books, produced, audit)
    audit.figures |= wait_figures(books)
    SumsAudit(books, produced, audit).check()
    if books.forecasts is not None:
        ForecastAudit(books, books.forecasts, audit).check()
    if books.responses is not None:
        ResponseAudit(books, books.responses, audit).check()
    return audit
