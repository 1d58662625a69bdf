"""The child process of a model host as its gateway holds it: started, spoken to, listened to, and never left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

from airflow_provider_autoglm.serving.frames import (
    MAX_ANSWER_BYTES,
    PREFIX_BYTES,
    Message,
    decode,
    decode_prefix,
)
from airflow_provider_autoglm.settings.base import redact_userinfo

log = logging.getLogger(__name__)

SECONDS_TO_STOP = 5.0
_SECONDS_FOR_LAST_LINES = 1.0
_MODULE = "airflow_provider_autoglm.serving.host"
_CHARACTERS_OF_A_LINE = 300
# A model's code is trusted with texts, not with the gateway's secrets: the child gets these and nothing else.
_INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_INHERITED_PREFIXES = ("LC_", "PYTHON", "COVERAGE_")
# One thread a process, processes = cores: more threads make a busy machine several times slower.
_OWN = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class HostProcess:
    """Both ends of one child; made by :meth:`spawn`."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        relay: asyncio.Task[None],
    ) -> None:
        self._name = name
        self._process = process
        self._reader = reader
        self._writer = writer
        self._relay = relay

    @classmethod
    async def spawn(cls, folder: str, *, name: str) -> HostProcess:
        """Start a child for the model in ``folder``; ``name`` is what its lines in the log begin with."""
        ours, theirs = socket.socketpair()
        lines, printed = os.pipe()
        try:
            process = await _start(folder, theirs.fileno(), printed)
        except BaseException:
            ours.close()
            os.close(lines)
            raise
        finally:
            theirs.close()
            os.close(printed)
        relay = asyncio.create_task(_relay_lines(lines, name))
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            process.kill()
            raise
        return cls(name, process, reader, writer, relay)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def send(self, frame: bytes) -> None:
        """Write an encoded message.

        :raises OSError: if the child has closed its end.
        """
        self._writer.write(frame)
        await self._writer.drain()

    async def receive(self) -> Message:
        """The next message.

        :raises EOFError: if the child has closed its end.
        :raises BrokenFrameError: if what it sent is no message.
        """
        prefix = await self._reader.readexactly(PREFIX_BYTES)
        header_bytes, body_bytes = decode_prefix(prefix, max_bytes=MAX_ANSWER_BYTES)
        return decode(await self._reader.readexactly(header_bytes), await self._reader.readexactly(body_bytes))

    async def wait(self) -> str:
        """Wait for its end; returns it in words, such as ``SIGKILL`` or ``exit status 1``."""
        code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """End it now; :meth:`wait` returns soon after."""
        # Process.kill() polls first, and so may take the exit status away from the watcher that wait() relies on.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Close the pipe, which lets it end by itself, and kill it if it does not within :data:`SECONDS_TO_STOP`."""
        self._writer.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_STOP):
                    await self._process.wait()
        finally:
            self.kill()
            await self._process.wait()
            # What it started may hold its output open, so the last lines are waited for only so long.
            await asyncio.wait([self._relay], timeout=_SECONDS_FOR_LAST_LINES)
            self._relay.cancel()


async def _start(folder: str, descriptor: int, printed: int) -> asyncio.subprocess.Process:
    inherited = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing in the working directory shadows a module of the child
        "-B",  # the model's folder keeps its digest: no __pycache__ in it
        "-m",
        _MODULE,
        folder,
        str(descriptor),
        str(os.getpid()),
        pass_fds=(descriptor,),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=printed,
        stderr=printed,
        env=inherited | _OWN,
        start_new_session=True,  # Ctrl-C on the gateway: its hosts still answer what runs
    )


async def _relay_lines(descriptor: int, name: str) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        while not reader.at_eof():
            try:
                line = await reader.readline()
            except ValueError:  # longer than the reader holds
                continue
            if text := redact_userinfo(line.decode("utf-8", "replace").strip())[:_CHARACTERS_OF_A_LINE]:
                log.info("%s: %s", name, text)
    finally:
        transport.close()
