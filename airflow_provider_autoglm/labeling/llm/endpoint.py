"""Where a language model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint; the key is never shown.

    :param base_url: address up to the version, e.g. ``https://api.openai.com/v1``.
    :param headers: sent with each request beside the authorization.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
