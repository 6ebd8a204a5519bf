"""Scores the labelled streams by the built model, in the model server's environment.

    .venv-server/bin/python -m evaluation.alerts.model_scores FOLDER_OF_THE_DATA > scores.json
    groundswell backtest --data FOLDER_OF_THE_DATA --model-scores scores.json

The same weights and engine as in the stack, in this process. What is written are numbers
in the order of the files, no texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from core.heads import HEADS
from core.settings import ScorerSettings
from evaluation.alerts.labelled import STREAMS, read_rows
from models.scorers.openvino_scorer import FIRST_VERSION
from models.serving.post_encoder import open_service

_BATCH: Final = 1_024
_POSITIVE: Final = HEADS["sentiment"].index("positive")
_NEGATIVE: Final = HEADS["sentiment"].index("negative")


def main(data: Path) -> None:
    """Write stream -> positive less negative of each post; null where it is not rated."""
    settings = ScorerSettings()
    folder = Path(settings.repository) / settings.model / FIRST_VERSION
    service = open_service(folder, settings.threads)
    found: dict[str, list[float | None]] = {}
    for name in STREAMS:
        rows = read_rows(data / "streams" / f"{name}.csv.gz")
        scores: list[float | None] = []
        for first in range(0, len(rows), _BATCH):
            some = rows[first : first + _BATCH]
            scored = service.score([row["text"] for row in some], ["en"] * len(some))
            shares = scored.heads["sentiment"]
            values = (shares[:, _POSITIVE] - shares[:, _NEGATIVE]).round(4).tolist()
            scores += [v if rated else None for v, rated in zip(values, scored.rated, strict=True)]
        found[name] = scores
    json.dump({"model": service.version, "streams": found}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
