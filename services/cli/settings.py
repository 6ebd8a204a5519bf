"""How a command finds its settings: file, environment, and the local stack if one runs."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Final

from core import config
from core.settings import Settings

config_file: Final[ContextVar[Path | None]] = ContextVar("config_file", default=None)
"""What `groundswell --config FILE` named."""


def load_settings(*, find_stack: bool = False) -> Settings:
    """Return the settings of this command.

    Args:
        find_stack: also take the addresses of the running local stack, where neither the
            environment nor a chosen file says otherwise. For commands that look, never for the
            processes of a deployment.

    Raises:
        ConfigError: as `core.config.load`.
    """
    fallback: dict[str, str] = {}
    if find_stack:
        from services.local.runfile import read_run

        run = read_run()
        fallback = run.environment if run is not None else {}
    return config.load(config_file.get(), fallback=fallback)
