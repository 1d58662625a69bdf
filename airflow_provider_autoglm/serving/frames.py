"""What a gateway and a model host say to each other: a JSON header and raw float32 bytes a frame, never pickle.

A frame is 4 bytes of magic, the lengths of header and body (uint64 each), the header, the body.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAX_ANSWER_BYTES = 256 * 1024**2
"""Header and body of one answer; a host that announces more is broken."""

_MAGIC = b"aglm"
_PREFIX = struct.Struct("<4sQQ")
PREFIX_BYTES = _PREFIX.size
_FLOAT = np.dtype("<f4")
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class BrokenFrameError(Exception):
    """The bytes are no frame, so nothing that follows on this pipe can be trusted. Fatal for the host."""


@dataclass(frozen=True)
class Request:
    """The gateway asks about texts; ``id`` comes back with the answer."""

    id: int
    texts: tuple[str, ...]

    def header(self) -> Mapping[str, Any]:
        """The fields that JSON can say."""
        return {"id": self.id, "texts": self.texts}

    @classmethod
    def parse(cls, header: Mapping[str, Any], body: bytes) -> Self:
        """The message of a frame."""
        return cls(_integer(header["id"]), _strings(header["texts"]))


@dataclass(frozen=True)
class Loaded:
    """The model is loaded and warm; ``labels`` name its classes in the order of its logits."""

    labels: tuple[str, ...]

    def header(self) -> Mapping[str, Any]:
        """The fields that JSON can say."""
        return {"labels": self.labels}

    @classmethod
    def parse(cls, header: Mapping[str, Any], body: bytes) -> Self:
        """The message of a frame."""
        return cls(_strings(header["labels"]))


@dataclass(frozen=True)
class LoadFailed:
    """The model cannot be loaded; the host ends after this."""

    detail: str

    def header(self) -> Mapping[str, Any]:
        """The fields that JSON can say."""
        return {"detail": self.detail}

    @classmethod
    def parse(cls, header: Mapping[str, Any], body: bytes) -> Self:
        """The message of a frame."""
        return cls(str(header["detail"]))


@dataclass(frozen=True)
class Failed:
    """The model raised (``error``) or returned something that is not an answer (``invalid_output``)."""

    id: int
    status: Literal["error", "invalid_output"]
    detail: str

    def header(self) -> Mapping[str, Any]:
        """The fields that JSON can say."""
        return {"id": self.id, "status": self.status, "detail": self.detail}

    @classmethod
    def parse(cls, header: Mapping[str, Any], body: bytes) -> Self:
        """The message of a frame."""
        status: Literal["error", "invalid_output"] = "error" if header["status"] == "error" else "invalid_output"
        return cls(_integer(header["id"]), status, str(header["detail"]))


@dataclass(frozen=True, eq=False)
class Output:
    """What the model returned, unchecked: a label for each text, and two arrays of any shape."""

    id: int
    label: tuple[str, ...]
    logits: Floats
    embedding: Floats

    def header(self) -> Mapping[str, Any]:
        """The fields that JSON can say."""
        return {"id": self.id, "label": self.label, "shapes": [self.logits.shape, self.embedding.shape]}

    @classmethod
    def parse(cls, header: Mapping[str, Any], body: bytes) -> Self:
        """The message of a frame; the body holds the logits and after them the embedding."""
        logits, embedding = (tuple(_integer(size) for size in shape) for shape in header["shapes"])
        floats = np.frombuffer(body, _FLOAT)
        border = math.prod(logits)
        return cls(
            id=_integer(header["id"]),
            label=_strings(header["label"]),
            logits=floats[:border].reshape(logits),
            embedding=floats[border:].reshape(embedding),
        )


Message = Request | Loaded | LoadFailed | Failed | Output

_KINDS: Mapping[str, type[Message]] = {kind.__name__: kind for kind in (Request, Loaded, LoadFailed, Failed, Output)}


def encode(message: Message) -> bytes:
    """The message as a frame."""
    # Escaped to ASCII, since a text may hold half a surrogate pair, which UTF-8 cannot say.
    header = json.dumps({"kind": type(message).__name__, **message.header()}).encode("ascii")
    body = b""
    if isinstance(message, Output):
        body = b"".join(part.astype(_FLOAT, copy=False).tobytes() for part in (message.logits, message.embedding))
    return _PREFIX.pack(_MAGIC, len(header), len(body)) + header + body


def decode_prefix(prefix: bytes, *, max_bytes: int | None = None) -> tuple[int, int]:
    """Bytes of the header and of the body that follow.

    :raises BrokenFrameError: if this is no prefix, or they are more than ``max_bytes`` together.
    """
    if len(prefix) != PREFIX_BYTES or not prefix.startswith(_MAGIC):
        raise BrokenFrameError("what came is no frame")
    _, header_bytes, body_bytes = _PREFIX.unpack(prefix)
    if max_bytes is not None and header_bytes + body_bytes > max_bytes:
        raise BrokenFrameError(f"a frame of {header_bytes + body_bytes} bytes, more than {max_bytes}")
    return header_bytes, body_bytes


def decode(header: bytes, body: bytes) -> Message:
    """The message of a frame.

    :raises BrokenFrameError: if it is none.
    """
    try:
        fields = json.loads(header)
        return _KINDS[fields["kind"]].parse(fields, body)
    except _MALFORMED as error:
        raise BrokenFrameError(f"a frame that says nothing known ({type(error).__name__})") from error


def _integer(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(value)
    return tuple(value)
