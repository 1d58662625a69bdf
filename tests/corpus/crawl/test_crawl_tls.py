"""Certificates of sites are checked."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.exceptions import NothingCrawledError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.crawl.conftest import FAST, Site, serve


@pytest.fixture
def self_signed(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_site_with_a_certificate_nobody_vouches_for_is_not_read(self_signed: Path, tmp_path: Path) -> None:
    site = Site()
    site.add("/")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed)
    server = serve(site)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    try:
        with pytest.raises(NothingCrawledError, match="connection_failed"):
            crawl([site.url.replace("http://", "https://")], str(tmp_path / "crawl"), CrawlSettings(**FAST))
    finally:
        server.shutdown()
        server.server_close()
    assert site.served == []
