"""The pages for people: made on the server, whole without script, which only keeps them fresh."""

from services.console.pages import alerts, assets, now, pipeline, quality, queries, sign_in

ROUTERS = (
    assets.router,
    sign_in.router,
    now.router,
    alerts.router,
    queries.router,
    quality.router,
    pipeline.router,
)
