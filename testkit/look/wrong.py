"""A dashboard in which everything is wrong that a look should find: a check of the check."""

from __future__ import annotations

from typing import Any, Final

from testkit.look.boards import BoardSeen

_PANELS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any], str]]] = {
    "Refused": ("groundswell_store_up +", {}, {}, "parse error"),
    "Blank": ("0 * groundswell_store_up / 0", {}, {}, "blank, with"),
    "Unit": ("groundswell_store_up", {"unit": "postsps"}, {}, 'unit = "postsps"'),
    "Field": ("groundswell_store_up", {"treshold": 1}, {}, "fieldConfig.treshold"),
    "Option": ("groundswell_store_up", {}, {"legends": True}, "options.legends"),
}
"""Title -> query, defaults of the fields, options, and what has to be said of it."""


def wrong_board() -> dict[str, Any]:
    """Return the dashboard."""
    legend = {"legend": {"displayMode": "list", "placement": "bottom", "calcs": []}}
    return {
        "title": "Wrong",
        "panels": [
            {
                "type": "timeseries",
                "title": title,
                "gridPos": {"x": 0, "y": 8 * at, "w": 12, "h": 8},
                "targets": [{"refId": "A", "expr": query, "legendFormat": "one"}],
                "fieldConfig": {"defaults": defaults, "overrides": []},
                "options": legend | options,
            }
            for at, (title, (query, defaults, options, _)) in enumerate(_PANELS.items())
        ],
    }


def overlooked(seen: BoardSeen) -> list[str]:
    """Return the panels of `wrong_board` of which a look has not said what is wrong."""
    faults = seen.faults()
    return [
        title
        for title, (*_, said) in _PANELS.items()
        if not any(f"/ {title}: " in fault and said in fault for fault in faults)
    ]
