"""Where a language model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

BEARER = "Authorization"
"""The header whose key is a bearer token."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint; the key is never shown.

    :param base_url: address up to the version, e.g. ``https://api.openai.com/v1``.
    :param headers: sent with each request beside the authorization.
    :param api_key_header: header that carries the key; ``Authorization`` carries it as a bearer token.
    :param conn_id: Airflow connection it comes from, for messages.
    :param query: sent with each request; Azure's dated interface wants ``api-version``.
    :param has_deployments: each model has an address of its own, as in Azure's dated interface.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_key_header: str = BEARER
    conn_id: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    has_deployments: bool = False

    def url(self, path: str, *, model: str = "") -> str:
        """The address of ``path`` for a request to ``model``; without a model, the one that all models share."""
        deployment = f"/deployments/{quote(model, safe='')}" if self.has_deployments and model else ""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.base_url}{deployment}/{path}{query}"

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
