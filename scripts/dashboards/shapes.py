"""What panels share: size, data source, legend, the way a query is written down."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from core.colours import CLASSES, STATES
from dashboards.console_links import address_variable, page_link, with_query_link

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
"""As provisioned by `deploy/grafana/provisioning/datasources`."""

WIDTH: Final = 24
"""Of a row, in Grafana's columns."""

SECONDS: Final = "s"
PER_SECOND: Final = "count:/s"
BYTES: Final = "bytes"
SHARE: Final = "percentunit"
COUNT: Final = "short"

Query = tuple[str, str]
"""(PromQL, legend)"""


def _targets(queries: tuple[Query, ...], *, instant: bool) -> list[prometheus.Dataquery]:
    targets: list[prometheus.Dataquery] = []
    for number, (promql, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(promql).ref_id(chr(ord("A") + number))
        if legend:
            target = target.legend_format(legend)
        targets.append(target.instant() if instant else target.range())
    return targets


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull"])
    )


def lines(
    title: str, why: str, unit: str, *queries: Query, span: int = 8, stacked: bool = False,
    nothing: str = "",
) -> timeseries.Panel:  # fmt: skip
    """Return a panel of lines over time.

    Args:
        title: unique on its dashboard; `docs/dashboards.md` has a row for it.
        why: shown when the pointer rests on the title.
        unit: of the axis, in Grafana's words.
        queries: PromQL and legend of each.
        span: columns.
        stacked: parts of a whole.
        nothing: what an empty panel says; empty is Grafana's "No data".
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .unit(unit)
        .height(8)
        .span(span)
        .fill_opacity(60 if stacked else 0)
        .line_width(0 if stacked else 2)
        .axis_soft_min(0)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .targets(list(_targets(queries, instant=False)))
    )
    if stacked:
        mode = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
        panel = panel.stacking(mode)
    panel = with_query_link(panel, queries)
    return panel.no_value(nothing) if nothing else panel


def number(
    title: str, why: str, unit: str, *queries: Query, bad_above: float | None = None,
    bad_below: float | None = None, span: int = 4, nothing: str = "",
) -> stat.Panel:  # fmt: skip
    """Return a panel of one number, or a few; in the colour of bad above, or below, where it is.

    A number that is neither good nor bad has the colour of text.

    Args:
        title: as of `lines`, like the next four.
        why: likewise.
        unit: likewise.
        queries: likewise.
        span: likewise.
        bad_above: bad from here on.
        bad_below: bad below this.
        nothing: as of `lines`.
    """
    usual = "text" if bad_above is None and bad_below is None else STATES["good"]
    colours: list[tuple[float | None, str]] = [(None, usual)]
    if bad_below is not None:
        colours = [(None, STATES["bad"]), (bad_below, usual)]
    if bad_above is not None:
        colours.append((bad_above, STATES["bad"]))
    panel = (
        stat.Panel()
        .title(title)
        .description(why)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(span)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds(colours))
        .targets(list(_targets(queries, instant=False)))
    )
    panel = with_query_link(panel, queries)
    return panel.no_value(nothing) if nothing else panel


def thresholds(colours: list[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    """Return (from this value on, colour), in rising order; the first has no value."""
    steps = [models.Threshold(value=value, color=colour) for value, colour in colours]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def coloured(panel: timeseries.Panel, colours: dict[str, str]) -> timeseries.Panel:
    """Give the lines of these names these colours."""
    for name, colour in colours.items():
        panel = panel.override_by_name(name, [fixed(colour)])
    return panel


def of_head(panel: timeseries.Panel, head: str) -> timeseries.Panel:
    """Give the lines that are named as the classes of a head the colours of these."""
    return coloured(panel, CLASSES[head])


def fixed(colour: str) -> models.DynamicConfigValue:
    """Return the override that gives a line a colour."""
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def board(
    title: str, uid: str, why: str, link: dashboard.DashboardLink | None = None
) -> dashboard.Dashboard:
    """Return an empty dashboard, with a link to the console: `link`, or one to its first page."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(why)
        .tags(["groundswell", "generated"])
        .readonly()
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("utc")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Groundswell")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["groundswell"])
            .as_dropdown(True)
            .keep_time(True)
        )
        .link(link or page_link())
        .with_variable(address_variable(SOURCE))
    )
