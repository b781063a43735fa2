"""Who calls, as far as an address tells: a proxy's callers are told apart by what it says of them."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
FORWARDED = b"x-forwarded-for"
# What one subscriber has of IPv6: who has one address there has all of them.
IPV6_PREFIX = 64


class Callers:
    """Only what a proxy among ``proxies`` says of its own caller is believed; anybody else may say anything."""

    def __init__(self, proxies: Sequence[Network]) -> None:
        self._proxies = tuple(proxies)

    def name(self, scope: Scope) -> str:
        """A name for whoever sent the request: the last address on its way here that is no proxy of ours."""
        peer = (scope.get("client") or ("",))[0]
        if not self._proxies:
            return _name(peer)
        caller = peer
        given = b",".join(value for name, value in scope["headers"] if name == FORWARDED).decode("latin-1")
        hops = reversed(given.split(","))
        while self._is_proxy(caller):
            before = _without_port(next(hops, ""))
            if _read(before) is None:
                break  # nobody knows who that was
            caller = before
        return _name(caller)

    def _is_proxy(self, text: str) -> bool:
        address = _read(text)
        return address is not None and any(address in network for network in self._proxies)


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    """Of an IPv6 address its network. What is no address is a name like any other."""
    address = _read(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), IPV6_PREFIX), strict=False))
    return str(address or text)


def _read(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    """``1.2.3.4:80`` and ``[::1]:80`` are written by some."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.partition(":")
    return host if port.isdecimal() and "." in host else text
