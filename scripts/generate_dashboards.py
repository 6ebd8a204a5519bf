"""Write the Grafana dashboards to `deploy/grafana/dashboards/`, or check that they are as written.

Usage: python scripts/generate_dashboards.py [--check] [--output FOLDER]

Exit status: 0 written, or nothing differs; 1 something differs (`--check`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from dashboards import alerts, conversation, forecasts, pipeline, sources
from dashboards.console_links import VARIABLE
from grafana_foundation_sdk.cog.encoder import JSONEncoder

OUTPUT: Final = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "dashboards"
_BOARDS: Final = {
    "pipeline": pipeline.make,
    "conversation": conversation.make,
    "sources": sources.make,
    "alerts": alerts.make,
    "forecasts": forecasts.make,
}


def render() -> dict[str, str]:
    """Return file name -> text, the same whenever and wherever it is run."""
    return {f"{name}.json": _text(make().build()) for name, make in _BOARDS.items()}


def _text(board: Any) -> str:
    tree = json.loads(json.dumps(board, cls=JSONEncoder))
    for number, panel in enumerate(tree["panels"], start=1):
        panel["id"] = number
    for variable in tree["templating"]["list"]:
        if variable["name"] == VARIABLE:
            # Else a link to Grafana could say where the links of the page lead.
            variable["skipUrlSync"] = True
    for annotation in tree.get("annotations", {}).get("list", ()):
        # What Grafana shows of one; the builder has no words for it.
        annotation |= conversation.ANNOTATION_FORMAT
    return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differing(folder: Path) -> list[str]:
    """Return the names of files that are missing, differ, or are there and not generated."""
    wanted = render()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted | found if wanted.get(name) != found.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description="Generate the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if files differ")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the dashboards")
    asked = parser.parse_args(arguments)
    if asked.check:
        changed = differing(asked.output)
        for name in changed:
            print(f"{asked.output / name} is not as generated: make dashboards", file=sys.stderr)
        return 1 if changed else 0
    asked.output.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (asked.output / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
