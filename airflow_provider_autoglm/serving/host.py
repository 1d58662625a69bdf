"""A model host: the child process that holds one packaged model and answers its gateway over one socket.

``python -m airflow_provider_autoglm.serving.host FOLDER FD PID``: the model's folder, the inherited end of the socket,
and the gateway's process id. It ends with its gateway, whichever way that ends. Imports little: each version that a
gateway serves pays for it in memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_autoglm.serving.frames import (
    PREFIX_BYTES,
    Failed,
    Loaded,
    LoadFailed,
    Output,
    Request,
    decode,
    decode_prefix,
    encode,
)

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

FORMAT_VERSION = 1
"""The layout of packaged models that this host reads, as their ``MLmodel`` file says it."""

_PR_SET_PDEATHSIG = 1
_WARM_TEXTS = ("warm", "warm up " * 16, "warm up " * 128)


def main(folder: str, descriptor: int, parent: int) -> int:
    """Load the model, say so, and answer until the gateway closes the socket; returns the exit status."""
    end_with_parent(parent)
    # A service manager signals every process of the service; the gateway still has requests to answer.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)  # what a model starts must not hold the gateway's socket open
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rb") as requests:
        try:
            model, labels = load(folder)
        except Exception as error:
            traceback.print_exc()
            connection.sendall(encode(LoadFailed(f"{type(error).__name__}: {error}")))
            return 1
        connection.sendall(encode(Loaded(labels)))
        while (request := _receive(requests)) is not None:
            connection.sendall(encode(answer(model, request)))
    return 0


def end_with_parent(parent: int) -> None:
    """Be killed when the process ``parent`` ends, however busy this one is; end now if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def load(folder: str) -> tuple[PyFuncModel, tuple[str, ...]]:
    """The packaged model in ``folder``, asked a few texts of several lengths, and the names of its classes.

    Whether the answers make sense is for the gateway to say.

    :raises ValueError: if it is no packaged model of :data:`FORMAT_VERSION`.
    """
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(folder)
    packaged: dict[str, Any] = (model.metadata.metadata or {}).get("autoglm", {})
    if packaged.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"the model has format version {packaged.get('format_version')}, this gateway reads {FORMAT_VERSION}"
        )
    for text in _WARM_TEXTS:
        _predict(model, (text,))
    _predict(model, _WARM_TEXTS)
    return model, tuple(packaged["labels"])


def answer(model: PyFuncModel, request: Request) -> Output | Failed:
    """What the model says. Failures name the place in its code and not the message, which may quote a text."""
    import numpy as np

    try:
        raw = _predict(model, request.texts)
    except Exception as error:
        return Failed(request.id, "error", _place(error))
    try:
        return Output(
            id=request.id,
            label=tuple(str(label) for label in raw["label"]),
            logits=np.asarray(raw["logits"], np.float32),
            embedding=np.asarray(raw["embedding"], np.float32),
        )
    except Exception as error:
        return Failed(request.id, "invalid_output", f"no dict of label, logits and embedding ({_place(error)})")


def _predict(model: PyFuncModel, texts: tuple[str, ...]) -> Any:
    import pandas as pd

    # A client may send half a surrogate pair, which is no text to pandas and tokenizers: not the model's failure.
    valid = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return model.predict(pd.DataFrame({"text": valid}))


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(last.filename)}:{last.lineno}"


def _receive(requests: IO[bytes]) -> Request | None:
    prefix = requests.read(PREFIX_BYTES)
    if not prefix:
        return None
    header_bytes, body_bytes = decode_prefix(prefix)
    message = decode(requests.read(header_bytes), requests.read(body_bytes))
    return message if isinstance(message, Request) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
