"""The settings of the console; see `core.settings`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from core.server_settings import Positive, Seconds, Secret


def is_loopback(address: str) -> bool:
    """Tell whether only this machine reaches what listens on an address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def is_site(url: str) -> bool:
    """Tell whether an address is that of a site: a scheme of the web, a name, a port or none.

    Example:
        >>> [is_site(one) for one in ("https://pulse.example/", "http://[::1]:8080")]
        [True, True]
        >>> [is_site(one) for one in ("http://[", "https://", "https://a:b", "https://a/b", "a")]
        [False, False, False, False, False]
    """
    try:
        parts = urlsplit(url)
        is_named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    alone = parts.path in ("", "/") and not parts.query and not parts.fragment
    has_user = "@" in parts.netloc
    plain = url.isascii() and url.isprintable() and not any(one in url for one in " \\?#")
    return parts.scheme in ("http", "https") and is_named and alone and plain and not has_user


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """The API and the page for people."""

    address: str = "127.0.0.1"
    """Where to listen."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0 takes a free one."""
    public_url: str = ""
    """Where people reach it, if not where it listens; with `https` cookies are secure."""
    grafana_url: str = ""
    """Where people reach Grafana: the page of a query leads to its dashboard; empty: no link."""
    operator_key: Secret = Secret()
    """A key of an operator beside those that are kept, for a deployment that makes its own."""
    data_dir: str = ".groundswell/console"
    """Folder of the hashed keys, of the key of cursors, and of the local stack's link."""
    local_link: bool = False
    """A link that is good once lets a browser in as operator; on loopback only."""
    session_s: Positive = 43_200
    """A browser is signed in for so long; not beyond a restart."""
    deadline_s: Seconds = 10.0
    """A request without its answer for so long is answered with status 503."""
    refresh_s: Seconds = 2.0
    """Alerts and posts that were read are shown for so long; a deletion is seen that much later."""
    viewers_see_posts: bool = False
    """Also show viewers the posts behind an alert, and its terms; else analysts and operators."""
    requests_per_minute: Positive = 600
    """Of one client, all of them at once too; more are answered with status 429."""

    @property
    def is_local(self) -> bool:
        """Whether people reach it on loopback only: there it listens, or is published."""
        return is_loopback(self.address) or is_loopback(urlsplit(self.public_url).hostname or "")

    def faults(self) -> list[str]:
        """Return what does not go together, a sentence each."""
        faults: list[str] = []
        if self.local_link and not is_loopback(self.address):
            faults.append(
                f"console.local_link is on with console.address = {self.address!r}: expected an "
                "address of loopback, or keys (groundswell console keys add) and no link"
            )
        for key, url in (("public_url", self.public_url), ("grafana_url", self.grafana_url)):
            if url and not is_site(url):
                faults.append(
                    f"console.{key} = {url!r}: expected http:// or https:// and a name, with a "
                    "port if it is another, and nothing after it (https://pulse.example)"
                )
        return faults
