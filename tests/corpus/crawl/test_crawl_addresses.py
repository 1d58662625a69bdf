"""Which addresses may be connected to, in whatever spelling, and which spellings of an URL are taken at all."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard, literal_address
from airflow_provider_autoglm.corpus.crawl.urls import normalise_url, resolve_url, site_of, without_credentials

GUARD = AddressGuard()

SPECIAL = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
"""The special-purpose registries of IANA, what was withdrawn of them, and multicast."""

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

GLOBAL_UNICAST, NAT64, MAPPED = map(IPv6Network, ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96"))


def within(network: str) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    known = ip_network(network)
    first, last = int(known.network_address), int(known.broadcast_address)
    family = IPv4Address if known.version == 4 else IPv6Address
    return st.sampled_from([first, last]).map(family) | st.integers(first, last).map(family)


def carriers(address: IPv4Address) -> list[str]:
    """IPv6 addresses that stand for an IPv4 one: mapped, compatible, NAT64, 6to4, translated and Teredo."""
    number = int(address)
    return [
        str(IPv6Address(0xFFFF << 32 | number)),
        str(IPv6Address(number)),
        str(IPv6Address(0x64FF9B << 96 | number)),
        str(IPv6Address(0x2002 << 112 | number << 80 | 1)),
        str(IPv6Address(0xFFFF << 48 | number)),
        str(IPv6Address(0x2001 << 112 | number ^ 0xFFFFFFFF)),
    ]


@given(st.sampled_from(SPECIAL).flatmap(within))
def test_no_address_of_a_special_network_is_allowed(address: IPv4Address | IPv6Address) -> None:
    assert not GUARD.allows(str(address))
    if isinstance(address, IPv4Address):
        assert not any(GUARD.allows(carrier) for carrier in carriers(address))
    else:
        assert not GUARD.allows(f"{address}%eth0")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert GUARD.allows(address)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_allowed_if_it_is_global_and_of_no_special_network(number: int) -> None:
    address = IPv4Address(number)
    is_special = any(address in ip_network(network) for network in SPECIAL if "." in network)

    assert GUARD.allows(str(address)) == (not is_special)
    assert is_special or address.is_global


@given(st.ip_addresses(v=6))
def test_what_python_calls_private_is_never_allowed(address: IPv6Address) -> None:
    if GUARD.allows(str(address)):
        assert any(address in network for network in (GLOBAL_UNICAST, NAT64, MAPPED))
        assert address.is_global
        assert not address.is_multicast


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.lists(st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "0x000{:x}", "000{:o}"]), min_size=4, max_size=4),
    st.sampled_from(["", "."]),
)
@example(0x7F000001, 1, ["0x{:x}"] * 4, "")
def test_every_spelling_of_an_ipv4_address_is_that_address(
    number: int, parts: int, spellings: list[str], end: str
) -> None:
    leading = [number >> shift & 0xFF for shift in (24, 16, 8)[: parts - 1]]
    last = number & (1 << 8 * (5 - parts)) - 1
    spelled = [spelling.format(part) for spelling, part in zip(spellings, [*leading, last], strict=False)]

    assert literal_address(".".join(spelled) + end) == str(IPv4Address(number))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0", "0.0.0.0"),
        ("127.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("fe80::1%25eth0", "fe80::1"),
        ("localhost", None),
        ("localhost.", None),
        ("metadata.google.internal", None),
        ("127.0.0.1.example.org", None),
        ("256.1.1.1", None),
        ("4294967296", None),
        ("127.0.0.1 8.8.8.8", None),
        ("١٢٧.0.0.1", None),
        ("", None),
    ],
)
def test_names_are_told_from_addresses(host: str, address: str | None) -> None:
    found = literal_address(host)

    assert found == address or (found and address and ip_address(found) == ip_address(address))


@pytest.mark.parametrize("dot", [".", "\u3002", "\uff0e", "\uff61"])
@pytest.mark.parametrize(
    "digits", ["127", "\uff11\uff12\uff17", "\u2460\u2461\u2466", "\U0001d7cf\U0001d7d0\U0001d7d5"]
)
def test_an_address_in_digits_of_other_scripts_is_seen_for_what_it_is(digits: str, dot: str) -> None:
    url = normalise_url(f"http://{digits}{dot}0{dot}0{dot}1/")

    assert url is not None
    assert literal_address(urlsplit(url).hostname or "") == "127.0.0.1"


@pytest.mark.parametrize(
    ("listed", "address", "is_allowed"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("10.1.2.3/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.0.0/16", "::ffff:10.1.0.9", True),
        ("10.1.0.0/16", "64:ff9b::a01:9", True),
        ("fd00::/8", "fd12::1", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("::1", "127.0.0.1", False),
        ("::/0", "10.0.0.1", False),
    ],
)
def test_listed_networks_are_allowed_and_nothing_beside_them(listed: str, address: str, is_allowed: bool) -> None:
    guard = AddressGuard.of([listed])

    assert guard.allows(address) is is_allowed
    assert guard.allows("8.8.8.8")
    assert not guard.allows("192.168.0.1")


def test_a_network_that_is_none_is_an_error() -> None:
    assert AddressGuard.of(["10.0.0.1"]).allowed == (IPv4Network("10.0.0.1/32"),)
    with pytest.raises(ValueError, match="intranet"):
        AddressGuard.of(["intranet"])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/",
        "data:text/html,hello",
        "s3://bucket/key",
        "gopher://127.0.0.1:6379/_",
        "javascript:alert(1)",
        "mailto:someone@example.org",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "http://@example.org/",
        "http://127.0.0.1 example.org/",
        "http://exa<mple.org/",
        "http://example.org:99999/",
        "http://[::1/",
        "",
    ],
)
def test_what_is_no_web_address_without_credentials_is_not_visited(url: str) -> None:
    assert normalise_url(url) is None
    assert resolve_url("http://example.org/page", url or "http:") in (None, "http://example.org/page")


@given(
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["http://", "https://", "HTTP:\\\\", "//", "http:/"]),
        st.text("ab:@[]/\\%. \t\n#?é\uff11\u3002", max_size=12),
        st.sampled_from(["", "@", ":80", ":secret@", "\\@"]),
        st.sampled_from(["example.org", "127.0.0.1", "[::1]", "\uff11\uff12\uff17\uff0e0.0.1"]),
        st.text("ab:@/\\%. #?é", max_size=8),
    )
)
def test_a_normalised_address_is_ascii_without_credentials_and_stays_as_it_is(url: str) -> None:
    found = resolve_url("http://example.org/a/b", url)

    if found is not None:
        parts = urlsplit(found)
        assert found.isascii()
        assert parts.scheme in ("http", "https")
        assert "@" not in parts.netloc
        assert parts.hostname
        assert normalise_url(found) == found
        assert site_of(found)


def test_credentials_are_taken_out_of_an_address() -> None:
    assert without_credentials("http://user:se@cret@h.example:80/a@b?c=d@e") == "http://h.example:80/a@b?c=d@e"
    assert without_credentials("http://[::1]:80/") == "http://[::1]:80/"
