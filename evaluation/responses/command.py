"""What `groundswell models evaluate` fetches before replies are measured."""

from __future__ import annotations

from pathlib import Path

from services.local.encoder_files import fetch_chinese_encoder


def prepare(what: str, data: Path, server_python: Path) -> str:
    """Fetch the Chinese encoder, once, if the reward of Chinese replies is measured; return `what`.

    Args:
        what: What is measured; only `popalm` needs it.
        data: The folder of the data sets.
        server_python: The interpreter that would run it; without one nothing is fetched.
    """
    if what == "popalm" and (data / "responses_popalm").is_dir() and server_python.exists():
        fetch_chinese_encoder()
    return what
