"""``groundswell worker``, ``closer``, ``forecaster``, ``exporter``, ``heartbeat``: a process each.

The same in the local stack, in compose and in a cluster.
"""

from __future__ import annotations

import typer

from services.cli.settings import load_settings


def worker() -> None:
    """Score posts and count them in panes, until SIGTERM.

    Run as many as there are partitions; Kafka shares them out. Each needs a `worker.data_dir` and a
    `metrics.port` of its own.

    Example: GROUNDSWELL__METRICS__PORT=9110 groundswell worker
    """
    from services.worker import main

    main(load_settings())


def closer() -> None:
    """Close panes and publish windows, until SIGTERM.

    A second one stands by and takes over when the first dies.

    Example: groundswell --config configs/default.toml closer
    """
    from services.closer.process import main

    main(load_settings())


def forecaster() -> None:
    """Forecast how far posts go, and learn from what came of them, until SIGTERM.

    Several share the partitions. Nobody waits for it: windows are the same without.

    Example: GROUNDSWELL__METRICS__PORT=9105 groundswell forecaster
    """
    from services.forecaster.process import main

    main(load_settings())


def heartbeat() -> None:
    """Send a post of our own to every partition each few seconds, until SIGTERM.

    They are counted where nobody sees them; the exporter says how old the last one is.

    Example: GROUNDSWELL__METRICS__PORT=9104 groundswell heartbeat
    """
    from services.heartbeat import main

    status = main(load_settings())
    if status:
        raise typer.Exit(status)


def exporter() -> None:
    """Export the last closed windows to Prometheus, until SIGTERM.

    Example: GROUNDSWELL__METRICS__PORT=9103 groundswell exporter
    """
    from services.exporter.process import main

    main(load_settings())
