"""Bodies of HTTP answers as archives keep them: in chunks and packed, or already not, whatever the header says."""

from __future__ import annotations

import re
import zlib

import pyarrow as pa

_CODECS = {"gzip": "gzip", "x-gzip": "gzip", "br": "brotli", "zstd": "zstd"}
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,200}\r?\n")
_BLOCK_BYTES = 64 * 1024


def decoded_body(body: bytes, transfer_encoding: str, content_encoding: str, max_bytes: int) -> bytes:
    """``body`` without chunks and unpacked, at most ``max_bytes`` of it.

    Many archives keep bodies unpacked beside the old header: what does not look or read like the encoding is left.
    """
    if "chunked" in transfer_encoding.lower():
        body = _without_chunks(body)
    encoding = content_encoding.strip().lower()
    if encoding == "deflate":
        return _inflated(body, max_bytes)
    codec = _CODECS.get(encoding)
    if codec is None or not body.startswith(_MAGIC.get(codec, b"")):
        return body
    unpacked: list[bytes] = []
    missing = max_bytes
    try:
        stream = pa.CompressedInputStream(pa.BufferReader(body), codec)
        while missing and (block := stream.read(min(missing, _BLOCK_BYTES))):
            unpacked.append(block)
            missing -= len(block)
    except OSError:
        # A body that was cut off while it was fetched still has its beginning.
        return b"".join(unpacked) or body[:max_bytes]
    return b"".join(unpacked)


def _without_chunks(body: bytes) -> bytes:
    chunks: list[bytes] = []
    at = 0
    while head := _CHUNK_HEAD.match(body, at):
        size = int(head[1], 16)
        if size == 0:
            return b"".join(chunks)
        chunks.append(body[head.end() : head.end() + size])
        at = head.end() + size
        at += body.startswith(b"\r", at)
        at += body.startswith(b"\n", at)
    # No last chunk: cut off if all was chunks, else never in chunks.
    return b"".join(chunks) if chunks and at >= len(body) else body


def _inflated(body: bytes, max_bytes: int) -> bytes:
    """Deflate is sent with and without the header that it should have."""
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window).decompress(body, max_bytes)
        except zlib.error:
            continue
    return body
