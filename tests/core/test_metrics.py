import socket

import pytest
from prometheus_client import generate_latest

from core.errors import ConfigError
from core.metrics import Metrics

UNLABELLED = {
    "ingest": "groundswell_ingest_buffered_posts",
    "worker": "groundswell_scorer_up",
    "closer": "groundswell_closer_active",
    "forecaster": "groundswell_engagement_model_up",
    "responder": "groundswell_responder_active",
    "exporter": "groundswell_store_up",
    "console": "groundswell_console_sessions",
}


@pytest.mark.parametrize("role", UNLABELLED)
def test_a_process_exports_no_gauge_that_another_sets(role) -> None:
    page = generate_latest(Metrics(role=role).registry).decode()
    for owner, name in UNLABELLED.items():
        assert (f"\n{name} 0.0" in page) == (owner == role)


@pytest.mark.parametrize("role", ["ingest", "worker"])
def test_dead_posts_are_exported_by_all_who_bury(role) -> None:
    metrics = Metrics(role=role)
    metrics.dead_posts.labels(reason="too_large", stage=role).inc()
    page = generate_latest(metrics.registry).decode()
    assert f'groundswell_dead_posts_total{{reason="too_large",stage="{role}"}} 1.0' in page


def test_every_role_together_is_every_metric() -> None:
    def names(metrics: Metrics) -> set[str]:
        return {family.name for family in metrics.registry.collect()}

    assert set().union(*(names(Metrics(role=role)) for role in UNLABELLED)) == names(Metrics())


def test_a_page_that_cannot_be_served_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"metrics.port = {port}: .*in use"):
            Metrics(role="closer").serve("127.0.0.1", port)
