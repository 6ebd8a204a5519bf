"""Links from the dashboards to the console: from each page, and from what is of one query.

Where people reach the console it says itself, in the label `address` of a metric: Grafana puts no
variable of the environment into the files of dashboards, and has no other way to learn it.
"""

from __future__ import annotations

from typing import Final, TypeVar

from grafana_foundation_sdk.builders import dashboard, stat, timeseries
from grafana_foundation_sdk.models import dashboard as models

from dashboards.names import METRICS, name_of

VARIABLE: Final = "console"
"""Hidden, and never taken from the address of a page: a link to Grafana cannot bend it."""
BASE: Final = f"${{{VARIABLE}:raw}}"
"""Without a slash at its end."""

_CHOSEN: Final = 'query="$query"'
_OF_CHOSEN: Final = f"{BASE}/queries/${{query:percentencode}}"
_OF_SERIES: Final = f"{BASE}/queries/${{__field.labels.query:percentencode}}"
_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel)


def address_variable(source: models.DataSourceRef) -> dashboard.QueryVariable:
    """Return the variable that holds where people reach the console; empty if none runs."""
    return (
        dashboard.QueryVariable(VARIABLE)
        .datasource(source)
        # What is said now: a console that moved has said another address before.
        .query(f"query_result({name_of(METRICS.console_info)})")
        .regex('/address="([^"]+)"/')
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .hide(models.VariableHide.HIDE_VARIABLE)
    )


def page_link(path: str = "/now") -> dashboard.DashboardLink:
    """Return the link at the top of a page."""
    return (
        dashboard.DashboardLink("Console")
        .type(models.DashboardLinkType.LINK)
        .icon("external link")
        .tooltip("Alerts, the posts behind them, and the windows of each query")
        .url(f"{BASE}{path}")
        .target_blank(True)
    )


def chosen_query_link() -> dashboard.DashboardLink:
    """Return the link at the top of a page of one query."""
    return page_link("/queries/${query:percentencode}")


def with_query_link(panel: _Panel, queries: tuple[tuple[str, str], ...]) -> _Panel:
    """Return a panel whose values lead to the page of their query, if they are of one.

    Args:
        panel: As it is drawn.
        queries: PromQL and legend of each.
    """
    if all("{{query}}" in legend for _, legend in queries):
        url = _OF_SERIES
    elif all(_CHOSEN in promql for promql, _ in queries):
        url = _OF_CHOSEN
    else:
        return panel
    link = dashboard.DashboardLink("The query in the console").url(url).target_blank(True)
    return panel.data_links([link])
