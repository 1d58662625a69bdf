"""Which addresses of the network a crawl may connect to: public ones, and those that are listed."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
    IPv6Network("fec0::/10"),  # site-local (RFC 3879)
)
"""What the tables of some Python versions call global."""

_LAST_32_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class AddressGuard:
    """Decides on addresses, not on names: what a name resolves to may change between two looks.

    Refused are loopback, private, link-local, site-local, shared (RFC 6598), multicast, reserved and unspecified
    addresses (Teredo and IPv4-compatible ones are reserved), those of documentation and tests, also when an IPv6
    address carries them, unless ``allowed`` has a network that holds them.
    """

    allowed: tuple[Network, ...] = field(default=())

    @classmethod
    def of(cls, networks: Sequence[str]) -> AddressGuard:
        """:raises ValueError: if one of ``networks`` is neither an address nor a network in CIDR notation."""
        return cls(tuple(ip_network(network, strict=False) for network in networks))

    def allows(self, address: str) -> bool:
        """Whether a connection to ``address``, a number and not a name, may be made."""
        given = ip_address(address.partition("%")[0])
        carried = _carried_by(given)
        return self._is_listed(given) or (carried is not None and self._is_listed(carried)) or _is_public(given)

    def _is_listed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed)


def literal_address(host: str) -> str | None:
    """The address that ``host`` writes as numbers, in any spelling that resolvers take; None for a name.

    ``0x7f000001``, ``2130706433``, ``0177.1`` and ``127.1`` are 127.0.0.1.
    """
    host = host.removesuffix(".")
    try:
        return str(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host.isascii() and " " not in host else None
    except (OSError, ValueError):
        return None


def _is_public(address: Address) -> bool:
    carried = _carried_by(address)
    if carried is not None:
        return _is_public(carried)
    is_listed = any(address.version == network.version and address in network for network in _NOT_PUBLIC)
    return address.is_global and not (address.is_multicast or address.is_reserved or is_listed)


def _carried_by(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4 or NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & _LAST_32_BITS) if address in _NAT64 else None
