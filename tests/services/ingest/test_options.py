"""Options of a source that cannot be meant are refused by name."""

from pathlib import Path

import pytest

from core.errors import ConfigError
from services.ingest.options import load_options
from services.ingest.sources.webhook.options import WebhookOptions


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_option_without_an_end_is_named_with_what_was_expected(tmp_path: Path, value: str) -> None:
    options = tmp_path / "webhook.toml"
    options.write_text(f"tolerance_s = {value}\n")
    said = rf"{options}: tolerance_s = {value}: expected a finite number"
    with pytest.raises(ConfigError, match=said):
        load_options(WebhookOptions, options)
    options.write_text(f"[limits]\nidle_max_s = {value}\n")
    with pytest.raises(ConfigError, match=rf"limits\.idle_max_s = {value}: expected"):
        load_options(WebhookOptions, options)
