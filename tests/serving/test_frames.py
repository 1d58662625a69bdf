from __future__ import annotations

import struct

import numpy as np
import pytest

from airflow_provider_autoglm.serving.frames import (
    PREFIX_BYTES,
    BrokenFrameError,
    Failed,
    Loaded,
    LoadFailed,
    Message,
    Output,
    Request,
    decode,
    decode_prefix,
    encode,
)


def _read(frame: bytes) -> Message:
    header_bytes, body_bytes = decode_prefix(frame[:PREFIX_BYTES])
    header, body = frame[PREFIX_BYTES : PREFIX_BYTES + header_bytes], frame[PREFIX_BYTES + header_bytes :]
    assert len(body) == body_bytes
    return decode(header, body)


@pytest.mark.parametrize(
    "message",
    [
        Request(7, ("plain", "中文 ☃", "half a pair \ud800", "")),
        Loaded(("web", "tables")),
        LoadFailed("no such file"),
        Failed(3, "error", "ValueError in model.py:3"),
        Failed(4, "invalid_output", "no dict"),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert _read(encode(message)) == message


def test_arrays_arrive_with_their_shapes_and_every_value() -> None:
    logits = np.array([[1.5, np.nan], [np.inf, -0.0], [3e38, 1e-40]], np.float32)
    embedding = np.arange(12, dtype=np.float32).reshape(3, 4)
    output = _read(encode(Output(9, ("a", "b", "c"), logits, embedding)))
    assert isinstance(output, Output)
    assert (output.id, output.label) == (9, ("a", "b", "c"))
    assert output.logits.tobytes() == logits.tobytes()
    assert output.logits.shape == (3, 2)
    np.testing.assert_array_equal(output.embedding, embedding)


def test_arrays_that_are_views_arrive_in_order() -> None:
    logits = np.arange(6, dtype=np.float32).reshape(2, 3).T
    output = _read(encode(Output(1, (), logits, logits[:, ::-1])))
    assert isinstance(output, Output)
    np.testing.assert_array_equal(output.logits, logits)
    np.testing.assert_array_equal(output.embedding, logits[:, ::-1])


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"", b""),
        (b"\xff", b""),
        (b"[]", b""),
        (b"null", b""),
        (b"[" * 100_000, b""),
        (b'{"kind": "Shutdown"}', b""),
        (b'{"kind": []}', b""),
        (b'{"kind": "Loaded"}', b""),
        (b'{"kind": "Loaded", "labels": "web"}', b""),
        (b'{"kind": "Loaded", "labels": [1]}', b""),
        (b'{"kind": "Failed", "id": "1", "status": "error", "detail": ""}', b""),
        (b'{"kind": "Output", "id": 1, "label": [], "shapes": [[1, 1]]}', b"0000"),
        (b'{"kind": "Output", "id": 1, "label": [], "shapes": [[1, -1], [1, 1]]}', b"0000"),
        (b'{"kind": "Output", "id": 1, "label": [], "shapes": [[1, 1], [1, 1]]}', b"0000"),
        (b'{"kind": "Output", "id": 1, "label": [], "shapes": [[1, 1], [1, 1]]}', b"000000000"),
        (b'{"kind": "Output", "id": 1, "label": [], "shapes": [[1, 1], [1, 1]]}', b"000000000000"),
    ],
)
def test_what_says_nothing_known_is_a_broken_frame(header: bytes, body: bytes) -> None:
    with pytest.raises(BrokenFrameError, match="says nothing known"):
        decode(header, body)


@pytest.mark.parametrize("prefix", [b"", b"aglm", struct.pack("<4sQQ", b"HTTP", 1, 1)])
def test_what_is_no_prefix_is_a_broken_frame(prefix: bytes) -> None:
    with pytest.raises(BrokenFrameError, match="no frame"):
        decode_prefix(prefix)


def test_a_frame_that_announces_too_much_is_broken() -> None:
    prefix = struct.pack("<4sQQ", b"aglm", 60, 41)
    assert decode_prefix(prefix, max_bytes=101) == (60, 41)
    with pytest.raises(BrokenFrameError, match="101 bytes, more than 100"):
        decode_prefix(prefix, max_bytes=100)
