"""The settings that every process of a chaos run is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from services.local.paths import PROJECT_ROOT
from services.local.ports import LOOPBACK

if TYPE_CHECKING:
    from testkit.chaos.stack import StackOptions

AHEAD_S: Final = 62
"""A little more than what a claim of the future is clamped to."""
NEVER_S: Final = 100_000
"""What is shed cannot be told apart from what is lost, so nothing is."""
_RESPONDER: Final = {
    "kind": "fake", "every_s": 0.5, "max_events": 100_000, "kept_events": 100_000,
    "generated_per_minute": 10_000, "shed_after_s": NEVER_S,
}  # fmt: skip


def settings_tree(options: StackOptions, ports: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return the settings: short time-outs, small batches, short panes; the rest is usual.

    Args:
        options: What is run.
        ports: `kafka`, `redis` and the names of the scorers -> the port of the proxy before it.
    """
    stand_in = options.scorer == "fake"
    scorers = [port for name, port in ports.items() if name.startswith("scorer")]
    forecasts = {"kind": "fake", "batch_posts": 32, "ages_s": "10,60", "shed_after_s": NEVER_S}
    tree: dict[str, dict[str, Any]] = {
        "kafka": {
            "bootstrap_servers": f"{LOOPBACK}:{ports['kafka']}",
            "session_timeout_s": 4,
            "request_timeout_s": 8,
        },
        "redis": {"url": f"redis://{LOOPBACK}:{ports['redis']}/0", "timeout_s": 3},
        "scorer": {
            "kind": "triton",
            "url": ",".join(f"{LOOPBACK}:{port}" for port in scorers),
            "timeout_s": 4 if stand_in else 8,
        },
        "worker": {"max_batch_posts": 64},
        "windows": {"pane_s": 10, "allowed_lateness_s": 5},
        "ingest": {"cursor_dir": str(options.root / "ingest")},
        "forecasts": forecasts | {"horizon_s": _horizon_s(options)},
        "responder": dict(_RESPONDER),
        "queries": {"path": str(PROJECT_ROOT / "configs" / "queries.toml")},
    }
    for name, value in options.settings.items():
        section, _, key = name.partition(".")
        tree.setdefault(section, {})[key] = value
    return tree


def _horizon_s(options: StackOptions) -> int:
    """Return a horizon that is short, and at which few posts come when they are over already.

    A claim of the future moves a partition's time to a minute after it was ingested, while
    event time itself falls behind the wall clock, by the length of the run at its end.
    """
    return AHEAD_S + math.ceil(options.posts / options.posts_per_s)
