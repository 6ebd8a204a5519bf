"""The pages for people: made on the server, whole without script, which only keeps them fresh."""

from services.console.pages import alerts, assets, sign_in

ROUTERS = (assets.router, sign_in.router, alerts.router)
