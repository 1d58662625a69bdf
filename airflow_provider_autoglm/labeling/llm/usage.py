"""Tokens of language models, and what they cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_BYTES_OF_A_TOKEN = 3
_TOKENS_OF_A_FRAME = 20
_TOKENS_OF_AN_ANSWER = 20
_MILLION = 1_000_000


class Usage(BaseModel):
    """Tokens sent and received in ``requests`` answered requests."""

    model_config = ConfigDict(frozen=True)

    requests: int = Field(default=0, ge=0)
    sent: int = Field(default=0, ge=0)
    received: int = Field(default=0, ge=0)

    @property
    def tokens(self) -> int:
        """Both ways."""
        return self.sent + self.received

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            sent=self.sent + other.sent,
            received=self.received + other.received,
        )

    def cost(self, price_sent: float, price_received: float) -> float:
        """What it costs, by prices for a million tokens."""
        return (self.sent * price_sent + self.received * price_received) / _MILLION


def estimated_usage(sent: str, received: str | None = None) -> Usage:
    """Tokens of one request, from the bytes of its texts, rather too many than too few.

    Three bytes a token: English has about four, Chinese three. ``received`` None is an answer not yet known.
    """
    answer = _TOKENS_OF_AN_ANSWER if received is None else _tokens(received)
    return Usage(requests=1, sent=_tokens(sent) + _TOKENS_OF_A_FRAME, received=answer)


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_OF_A_TOKEN)
