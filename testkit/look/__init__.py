"""Looks at the Grafana dashboards without Grafana: draws them with its own components.

`page/` is the page (JavaScript, bundled by `bundle`), `made_up` half an hour of every metric and
`series` a Prometheus that has it, `boards` what Chromium draws and what is found wrong with it,
`command` what `make look` runs.
"""
