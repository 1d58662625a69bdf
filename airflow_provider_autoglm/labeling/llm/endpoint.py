"""Where a language model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BEARER = "Authorization"
"""The header whose key is a bearer token."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint; the key is never shown.

    :param base_url: address up to the version, e.g. ``https://api.openai.com/v1``.
    :param headers: sent with each request beside the authorization.
    :param api_key_header: header that carries the key; ``Authorization`` carries it as a bearer token.
    :param conn_id: Airflow connection it comes from, for messages.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_key_header: str = BEARER
    conn_id: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        named = f" (connection {self.conn_id})" if self.conn_id else ""
        return f"the endpoint {self.base_url}{named}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the key; none without a key."""
        if not self.api_key:
            return {}
        return {self.api_key_header: f"Bearer {self.api_key}" if self.api_key_header == BEARER else self.api_key}
