"""From closed windows to alerts: judged, remembered, published, told to Alertmanager.

`judging` runs the judge of shifts and saves its state together with what it said; `circumstances`
tells it when panes say nothing about the public; `topic` publishes alerts once; `delivery` tells
Alertmanager what fires and what is over, for as long as it takes. All of it lives in the closer.
"""
