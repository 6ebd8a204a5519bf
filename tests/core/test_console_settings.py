"""Where people reach the console: an address that is none is refused by name."""

import pytest

from core.config import load
from core.console_settings import ConsoleSettings
from core.errors import ConfigError

GOOD = ("", "http://a", "https://pulse.example", "https://pulse.example:8443/", "http://[::1]:80")
BAD = (
    "http://[", "http://[::1", "https://", "https://:80", "https://a:b", "https://a:99999",
    "https://a/b", "https://a?b", "https://a#b", "https://u:p@a", "https://a b", "ftp://a",
    "pulse.example", "https://a\r\nX: 1", "https://a\\b",
)  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_the_address_of_a_site_is_taken(url: str) -> None:
    assert ConsoleSettings(public_url=url, grafana_url=url).faults() == []


@pytest.mark.parametrize("key", ["public_url", "grafana_url"])
@pytest.mark.parametrize("url", BAD)
def test_what_is_no_address_of_a_site_is_named(url: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"console\.{key} = .*: expected http"):
        load(environ={f"GROUNDSWELL__CONSOLE__{key.upper()}": url})
