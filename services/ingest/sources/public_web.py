"""Connections to public addresses only: what a feed or a redirect names is not to be trusted.

The address that was checked is the one that is connected to: a name is resolved once for each
connection, and the connector is given the checked addresses.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class NotPublic(OSError):
    """The address is of this machine or of a private network."""


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet.

    Example:
        >>> is_public("1.1.1.1"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
        (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not (
        found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback
    )


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses; a name that has others too is refused as a whole."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            NotPublic: one of them is not public.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        results: list[ResolveResult] = []
        for kind, _, proto, _, place in found:
            address = str(place[0])
            if not is_public(address):
                raise NotPublic(f"{host} is at {address}, which is not public")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is held."""


def check_target(url: URL, *, allow_private: bool) -> None:
    """Refuse an address before it is asked for; again for every redirect.

    Raises:
        NotPublic: the host is written as an address that is not public, or the scheme is none of
            the web's.
    """
    if url.scheme not in ("http", "https") or not url.host:
        raise NotPublic(f"{url.scheme or 'no'} scheme: expected http or https")
    if allow_private:
        return
    try:
        ipaddress.ip_address(url.host.partition("%")[0])
    except ValueError:
        return  # a name: the resolver looks at what it leads to
    if not is_public(url.host):
        raise NotPublic(f"{url.host} is not public")


def public_session(*, allow_private: bool, timeout_s: float) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, uses no proxy and does not decompress by itself."""
    connector = aiohttp.TCPConnector(
        limit=8,
        use_dns_cache=False,
        resolver=None if allow_private else PublicResolver(),
        # A connection that was checked for one name must not serve another check.
        force_close=True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
        trust_env=False,
    )
