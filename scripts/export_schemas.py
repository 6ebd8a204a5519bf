"""Write `docs/schemas/*.json`: JSON Schema of every record on the wire and of what `--json` writes.

Run after changing `core/schemas.py` or `core/report.py`; a test fails while the files lag behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from core.report import Report
from core.schemas import SCHEMAS

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def schema_files() -> dict[str, bytes]:
    """Return file name -> content."""
    return {
        f"{name}.json": msgspec.json.format(
            msgspec.json.encode(msgspec.json.schema(kind)), indent=2
        )
        + b"\n"
        for name, kind in {**SCHEMAS, "report": Report}.items()
    }


def main() -> None:
    """Write the files and remove those of records that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = schema_files()
    for old in FOLDER.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
