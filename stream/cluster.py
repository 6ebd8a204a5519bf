"""Which Kafka cluster a process belongs to: the names it uses there, and the refusal of another."""

from __future__ import annotations

from core.errors import ConfigError


def group_in(group: str, cluster_id: str) -> str:
    """Return the name of a consumer group in a cluster.

    Whoever is led to another cluster's broker joins a group of its own there, and takes no
    partitions from anybody.

    Example:
        >>> group_in("groundswell-worker", "gkZx"), group_in("groundswell-worker", "")
        ('groundswell-worker-gkZx', 'groundswell-worker')
    """
    return f"{group}-{cluster_id}" if cluster_id else group


def check_cluster(answered: str, expected: str) -> None:
    """Return if a broker is of the cluster that is meant; "" is not known, and passes.

    Raises:
        ConfigError: it is of another.
    """
    if answered and expected and answered != expected:
        raise ConfigError(
            f"kafka.bootstrap_servers: a broker of the cluster {answered!r} answers there, and "
            f"{expected!r} is expected (kafka.cluster_id): another stack has its address, or the "
            "broker was made anew"
        )
