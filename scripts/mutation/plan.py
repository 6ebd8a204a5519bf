"""What is mutated, and which tests concern each file: fastest first, as one failure ends the run.

Tests that start a broker or a whole stack are left to `make test`: a run of them takes longer than
all the others together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_STORE: Final = "tests/stream/store"
_WORKER: Final = "tests/stream/worker/test_*.py"
_STEPS: Final = "tests/stream/worker/steps"
_WINDOWS: Final = "tests/stream/windows"
_ENGINE: Final = "tests/stream/worker/test_flows.py"
_CLOSING: Final = "tests/services/closer/test_closing*.py"
_INGEST: Final = "tests/services/ingest"
_SOURCES: Final = f"{_INGEST}/sources"
_LIVE: Final = f"{_SOURCES}/test_live*.py"
_RSS: Final = f"{_SOURCES}/rss"
_REDDIT: Final = f"{_SOURCES}/reddit"
_WEBHOOK: Final = f"{_SOURCES}/webhook"
_ALERTS: Final = "tests/services/alerting/test_deaths.py"

_SLOW: Final = (
    _ENGINE, "tests/stream/runtime/test_transport.py", "tests/stream/worker/test_text_stays_out.py",
    "tests/services/closer/test_process.py",
)  # fmt: skip
"""Of those that a pattern finds: run last, or, but for the first, not at all."""


def _under(folder: str, tests: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return file -> tests, with each file's own tests before those named."""
    mirrored = f"tests/{folder}"
    return {
        f"{folder}/{name}": (f"{mirrored}/test_{Path(name).stem}*.py", *others)
        for name, others in tests.items()
    }


PLAN: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "store": _under("stream/store", {
        "apply.lua": (_STORE, _ENGINE),
        "seen.lua": (_STORE, _ENGINE),
        "clean.lua": (_STORE, _CLOSING),
        "close.lua": (_STORE, _CLOSING),
        "publish.lua": (_STORE, _CLOSING),
        "judged.lua": (_STORE, _ALERTS),
        "redis_store.py": (_STORE, _CLOSING, _ENGINE),
        "increments.py": (_STORE, _CLOSING, _ENGINE),
        "alert_state.py": (_STORE, _ALERTS),
        "health.py": (_STORE,),
    }),
    "worker": _under("stream/worker", {
        "flow.py": (_WORKER,),
        "waiting.py": (_WORKER,),
        "running.py": (_WORKER, _STEPS),
        "batch.py": (_WORKER, _STEPS),
        "scoring.py": (_WORKER,),
        "batching.py": (_WORKER, "stream/worker/batching.py"),
        "flows.py": (_WORKER,),
    }) | _under("stream/worker/steps", {
        name: (_STEPS, _WORKER)
        for name in (
            "amend.py", "apply.py", "compare_shadow.py", "count.py", "decode_events.py",
            "decode_posts.py", "deduplicate.py", "drop_unscored.py", "match.py", "measure.py",
            "place_in_time.py", "render.py", "score.py", "send_dead.py", "send_progress.py",
            "send_scored.py", "tell.py",
        )
    }),
    "windows": _under("stream/windows", {
        "increments.py": (_WINDOWS, "tests/stream/worker/steps/test_count.py"),
        "layout.py": (_WINDOWS, "stream/windows/layout.py"),
        "strata.py": (_WINDOWS, "stream/windows/strata.py"),
        "summary.py": (_WINDOWS, "stream/windows/summary.py"),
        "watermark.py": (_WINDOWS, "stream/windows/watermark.py", "tests/stream/test_heartbeat.py"),
        "closer.py": (_WINDOWS, "stream/windows/closer.py", _CLOSING),
    }),
    "closing": _under("services/closer", {
        "closing.py": (),
        "process.py": ("tests/services/closer/test_loop.py",),
    }),
    "sources": _under("services/ingest/sources", {
        "base.py": (f"{_SOURCES}/replay", f"{_SOURCES}/synthetic", _LIVE),
        "live.py": (_RSS, _REDDIT, _WEBHOOK),
        "inlet.py": (_LIVE, _WEBHOOK),
        "memory.py": (_REDDIT, _WEBHOOK, _LIVE),
        "remembering.py": (_REDDIT, _WEBHOOK, _RSS),
        "options.py": (f"{_SOURCES}/test_configs.py", _REDDIT),
        "listener.py": ("tests/testkit/platforms/test_site.py", _RSS, _WEBHOOK),
        "pacing.py": (_LIVE, _RSS),
        "web.py": (_RSS, _REDDIT),
    }) | _under("services/ingest", {
        "outbox.py": (f"{_INGEST}/test_runner.py",),
        "cursor_store.py": (f"{_INGEST}/test_runner.py",),
    }),
}  # fmt: skip
"""Group -> file -> patterns of what pytest is given."""


def expand_patterns(tree: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the patterns find in a tree, each once, the slow ones last."""
    found = dict.fromkeys(
        str(path.relative_to(tree)) for pattern in patterns for path in sorted(tree.glob(pattern))
    )
    quick = tuple(name for name in found if name not in _SLOW)
    return (*quick, _ENGINE) if _ENGINE in found else quick
