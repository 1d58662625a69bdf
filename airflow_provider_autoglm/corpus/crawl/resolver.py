"""Names to addresses, where refused addresses are left out: what is checked is what is connected to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from scrapy.resolver import CachingHostnameResolver
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from zope.interface import implementer

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard

log = logging.getLogger(__name__)


@implementer(IHostnameResolver)
class GuardedResolver(CachingHostnameResolver):  # type: ignore[misc]
    """Scrapy's resolver for IPv4 and IPv6, behind an :class:`AddressGuard`.

    Twisted asks it for addresses written as numbers too. ``refused`` are the hosts of which no address was left.
    """

    refused: set[str]

    def __init__(self, reactor: Any, cache_size: int, guard: AddressGuard) -> None:
        super().__init__(reactor, cache_size)
        self.refused = set()
        self._guard = guard

    @classmethod
    def from_crawler(cls, crawler: Any, reactor: Any) -> GuardedResolver:
        """Build it from the networks in ``AUTOGLM_ALLOW_NETWORKS``."""
        guard = AddressGuard.of(crawler.settings.getlist("AUTOGLM_ALLOW_NETWORKS"))
        return cls(reactor, crawler.settings.getint("DNSCACHE_SIZE"), guard)

    def resolveHostName(  # noqa: N802 - the interface is Twisted's
        self,
        resolutionReceiver: Any,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[Any]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> Any:
        """Resolve a name; the receiver hears of allowed addresses alone."""
        receiver = _AllowedAddresses(resolutionReceiver, hostName, self._guard, self.refused)
        return super().resolveHostName(receiver, hostName, portNumber, addressTypes, transportSemantics)


@implementer(IResolutionReceiver)
class _AllowedAddresses:
    def __init__(self, receiver: Any, host: str, guard: AddressGuard, refused: set[str]) -> None:
        self._receiver = receiver
        self._host = host
        self._guard = guard
        self._refused = refused
        self._is_one_refused = self._is_one_allowed = False

    def resolutionBegan(self, resolution: Any) -> None:  # noqa: N802
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        if self._guard.allows(address.host):
            self._is_one_allowed = True
            self._receiver.addressResolved(address)
        else:
            self._is_one_refused = True

    def resolutionComplete(self) -> None:  # noqa: N802
        if self._is_one_refused and not self._is_one_allowed and self._host not in self._refused:
            self._refused.add(self._host)
            log.warning("%s is at a private address that crawl.allow_networks does not list", self._host)
        self._receiver.resolutionComplete()
