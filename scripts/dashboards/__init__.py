"""The Grafana dashboards as code: one panel is one small function.

`names` turns metrics of `core.metrics` into the names that Prometheus has, so that no name is
written twice; `shapes` has what panels share, `console_links` the links to the console;
`pipeline` (with `servers`), `conversation` (with `head_panels` and `reach_panels`), `sources`,
`alerts` and `forecasts` (with `forecaster_panels`) are the dashboards.
"""
