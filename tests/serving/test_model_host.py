from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from airflow_provider_autoglm.serving.frames import Output
from airflow_provider_autoglm.serving.model_host import Answer, HostFailure, ModelHost, QueueFull, checked
from airflow_provider_autoglm.state.replicas import VersionStatus
from tests.serving.hosts import DEADLINE_S, TinyModels, hosted, is_alive, until, wait_until

pytestmark = pytest.mark.usefixtures("measured_children")

LABELS = ("web", "tables")
_FIND_THE_SOCKET = "descriptor = int(__import__('sys').argv[2])\n"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return TinyModels(tmp_path_factory.mktemp("models"))


_CODE_OF_MANY_FAILURES = """\
time.sleep(0.5 if "long" in texts[0] else 0)
assert "secret" not in texts[0], texts[0]
if "odd" in texts[0]: return {"label": []}
if "talk" in texts[0]: print("x" * 200_000 + "\\nmodel says hello", flush=True)
"""


@dataclass
class Shared:
    """A host that outlives the tests which do it no harm, and the event loop it is on."""

    loop: asyncio.Runner
    host: ModelHost
    outcomes: list[str]

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        self.outcomes.clear()
        self.loop.run(test)


@pytest.fixture(scope="module")
def shared(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tiny.coded(tmp_path_factory.mktemp("shared") / "model", _CODE_OF_MANY_FAILURES)
    outcomes: list[str] = []
    host = ModelHost(folder, name="version 1", load_timeout_s=60, max_queue=60, on_outcome=outcomes.append)
    with asyncio.Runner() as loop:
        loop.run(host.start())
        yield Shared(loop, host, outcomes)
        loop.run(host.stop())


async def _outcome(request: Coroutine[Any, Any, Answer]) -> str:
    """``ok``, or the status of the failure."""
    try:
        await request
    except HostFailure as failure:
        return failure.status
    return "ok"


def _best(answer: Answer) -> list[str]:
    return [answer.labels[row] for row in answer.logits.argmax(axis=1)]


def test_texts_are_answered_in_order_with_the_labels_of_the_model(shared: Shared) -> None:
    async def ask() -> None:
        assert shared.host.status == VersionStatus("ready")
        texts = ["of tables", "the web", "half a pair \ud800", "中文 tables"]
        answer = await shared.host.predict(texts, timeout_s=30)
        assert answer.labels == LABELS
        assert _best(answer) == ["tables", "web", "web", "tables"]
        assert (answer.logits.dtype, answer.embedding.dtype, answer.embedding.shape) == ("float32", "float32", (4, 8))

    shared.run(ask())


def test_requests_at_once_get_each_their_own_answer(shared: Shared) -> None:
    async def ask() -> None:
        texts = [["web", "tables"] * (count % 3) + ["tables"] for count in range(40)]
        answers = await asyncio.gather(*(shared.host.predict(each, timeout_s=30) for each in texts))
        assert [_best(answer) for answer in answers] == texts

    shared.run(ask())


def test_an_answer_that_makes_no_sense_is_not_given_out(tiny: TinyModels) -> None:
    async def ask() -> None:
        outcomes: list[str] = []
        async with hosted(tiny("nan", when="bad"), on_outcome=outcomes.append) as host:
            assert await _outcome(host.predict(["good", "a bad one"], timeout_s=30)) == "invalid_output"
            assert _best(await host.predict(["tables"], timeout_s=30)) == ["tables"]
        assert outcomes == ["invalid_output", "ok"]

    asyncio.run(ask())


def _output(**changed: Any) -> Output:
    fields = {
        "label": ("tables", "web"),
        "logits": np.array([[0, 1], [1, 0]], np.float32),
        "embedding": np.ones((2, 3), np.float32),
    }
    return Output(id=1, **{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"logits": np.zeros((2, 3), np.float32)}, r"logits of shape \(2, 3\) and not \(2, 2\)"),
        ({"logits": np.zeros((1, 2), np.float32)}, "logits of shape"),
        ({"logits": np.zeros(4, np.float32)}, "logits of shape"),
        ({"logits": np.array([[0, 1], [1, np.inf]], np.float32)}, "logits that are no finite"),
        ({"embedding": np.zeros((1, 3), np.float32)}, "embedding of shape"),
        ({"embedding": np.zeros(2, np.float32)}, "embedding of shape"),
        ({"embedding": np.zeros((2, 0), np.float32)}, "embedding of shape"),
        ({"embedding": np.array([[1, 2], [np.nan, 1]], np.float32)}, "embedding that are no finite"),
        ({"label": ("web", "web")}, "labels that are not"),
        ({"label": ("tables",)}, "labels that are not"),
    ],
)
def test_shapes_values_and_labels_are_checked(changed: dict[str, Any], problem: str) -> None:
    assert checked(_output(), 2, LABELS).labels == LABELS
    with pytest.raises(HostFailure, match=problem) as caught:
        checked(_output(**changed), 2, LABELS)
    assert caught.value.status == "invalid_output"


def test_a_model_that_raises_fails_the_request_without_quoting_its_text(shared: Shared) -> None:
    async def ask() -> None:
        with pytest.raises(HostFailure, match=r"error: AssertionError in tiny_model.py:\d+$"):
            await shared.host.predict(["my secret"], timeout_s=30)
        assert _best(await shared.host.predict(["tables"], timeout_s=30)) == ["tables"]
        assert shared.outcomes == ["error", "ok"]

    shared.run(ask())


def test_a_model_that_returns_no_answer_at_all_is_invalid_output(shared: Shared) -> None:
    async def ask() -> None:
        with pytest.raises(HostFailure, match="invalid_output: no dict of label, logits and embedding"):
            await shared.host.predict(["odd"], timeout_s=30)

    shared.run(ask())


def test_a_crash_fails_the_request_and_all_that_wait_at_once(tiny: TinyModels) -> None:
    async def ask() -> None:
        outcomes: list[str] = []
        async with hosted(tiny("crash", when="boom"), on_outcome=outcomes.append) as host:
            requests = [host.predict([text], timeout_s=DEADLINE_S * 5) for text in ("boom", "web", "tables")]
            assert await asyncio.gather(*map(_outcome, requests)) == ["crash"] * 3
            failure = await host.ended()
            assert str(failure) == "crash: its process ended (exit status 139)"
            assert host.status == VersionStatus("failed", reason=str(failure))
            assert await _outcome(host.predict(["web"], timeout_s=30)) == "unavailable"
        assert outcomes == ["crash"] * 3 + ["unavailable"]

    asyncio.run(ask())


def test_a_killed_idle_host_is_noticed_without_a_request(tiny: TinyModels) -> None:
    async def ask() -> None:
        async with hosted(tiny()) as host:
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            assert str(await host.ended()) == "crash: its process ended (SIGKILL)"

    asyncio.run(ask())


def test_a_host_that_is_killed_while_it_works_fails_its_request(tiny: TinyModels) -> None:
    async def ask() -> None:
        async with hosted(tiny("slow", when="long", seconds=300)) as host:
            request = asyncio.create_task(_outcome(host.predict(["long"], timeout_s=300)))
            await until(lambda: host._running is not None)
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            assert await request == "crash"

    asyncio.run(ask())


def test_a_stuck_host_is_killed_after_the_timeout(tiny: TinyModels) -> None:
    async def ask() -> None:
        async with hosted(tiny()) as host:
            assert host.pid is not None
            os.kill(host.pid, signal.SIGSTOP)
            requests = [host.predict(["web" * 1_000_000], timeout_s=0.5), host.predict(["web"], timeout_s=300)]
            assert await asyncio.gather(*map(_outcome, requests)) == ["timeout", "timeout"]
            assert str(await host.ended()) == "timeout: no answer within 0.5 s"
            assert not is_alive(host.pid)

    asyncio.run(ask())


def test_a_request_that_waits_too_long_for_its_turn_does_not_end_the_host(shared: Shared) -> None:
    async def ask() -> None:
        requests = [shared.host.predict(["long tables"], timeout_s=30), shared.host.predict(["web"], timeout_s=0.1)]
        assert await asyncio.gather(*map(_outcome, requests)) == ["ok", "timeout"]
        assert _best(await shared.host.predict(["tables"], timeout_s=30)) == ["tables"]
        assert shared.host.status.state == "ready"

    shared.run(ask())


def test_a_full_queue_refuses_at_once_and_counts_against_nobody(tiny: TinyModels) -> None:
    async def ask() -> None:
        outcomes: list[str] = []
        async with hosted(tiny("slow", when="long", seconds=0.5), max_queue=1, on_outcome=outcomes.append) as host:
            await host.predict(["long"], timeout_s=30)
            requests = [asyncio.create_task(_outcome(host.predict(["long"], timeout_s=30))) for _ in range(2)]
            await until(lambda: host._running is not None and len(host._queue) == 1)
            with pytest.raises(QueueFull, match=r"try again in \d+ s") as refused:
                await host.predict(["web"], timeout_s=30)
            assert 1 <= refused.value.retry_after_s <= 60
            assert await asyncio.gather(*requests) == ["ok", "ok"]
            assert await _outcome(host.predict(["web"], timeout_s=30)) == "ok"
        assert outcomes == ["ok"] * 4

    asyncio.run(ask())


def test_a_request_whose_client_has_gone_does_not_give_its_answer_to_the_next(shared: Shared) -> None:
    async def ask() -> None:
        host = shared.host
        running = asyncio.create_task(host.predict(["long web", "web"], timeout_s=30))
        waiting = asyncio.create_task(host.predict(["web"], timeout_s=30))
        await until(lambda: host._running is not None and len(host._queue) == 1)
        following = asyncio.create_task(host.predict(["tables"], timeout_s=30))
        running.cancel()
        waiting.cancel()
        assert _best(await following) == ["tables"]
        assert running.cancelled()
        assert waiting.cancelled()
        assert shared.outcomes == ["ok"]

    shared.run(ask())


def test_a_client_that_goes_at_once_leaves_an_empty_queue(shared: Shared) -> None:
    async def ask() -> None:
        gone = asyncio.create_task(shared.host.predict(["web"], timeout_s=30))
        await asyncio.sleep(0)  # it is in the queue, and the host's task is woken but has not run
        gone.cancel()
        assert _best(await shared.host.predict(["tables"], timeout_s=30)) == ["tables"]

    shared.run(ask())


def test_an_abandoned_request_that_fails_fails_nobody_else(tiny: TinyModels) -> None:
    async def ask() -> None:
        async with hosted(tiny("slow", when="long", seconds=300)) as host:
            gone = asyncio.create_task(host.predict(["long"], timeout_s=1.0))
            await until(lambda: host._running is not None)
            gone.cancel()
            assert str(await host.ended()) == "timeout: no answer within 1 s"

    asyncio.run(ask())


def test_a_host_that_stops_answers_what_waits_and_refuses_what_comes(tiny: TinyModels) -> None:
    async def ask() -> None:
        async with hosted(tiny("slow", when="long", seconds=0.5)) as host:
            requests = [asyncio.create_task(_outcome(host.predict(["long"], timeout_s=30))) for _ in range(2)]
            await until(lambda: host._running is not None)
            stopping = asyncio.create_task(host.stop())
            await until(lambda: host._is_stopping)
            assert await _outcome(host.predict(["web"], timeout_s=30)) == "unavailable"
            assert await asyncio.gather(*requests) == ["ok", "ok"]
            await stopping
            assert not is_alive(host.pid)
            assert host.status == VersionStatus("failed", reason="unavailable: it was stopped")

    asyncio.run(ask())


def test_a_host_that_does_not_end_by_itself_is_killed(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_autoglm.serving.host_process.SECONDS_TO_STOP", 0.1)

    async def ask() -> None:
        async with hosted(tiny()) as host:
            assert host.pid is not None
            os.kill(host.pid, signal.SIGSTOP)
        assert not is_alive(host.pid)

    asyncio.run(ask())


def test_a_host_that_was_never_started_stops_and_is_not_ready() -> None:
    async def ask() -> None:
        host = ModelHost("/nowhere", name="version 1", load_timeout_s=1, max_queue=1)
        assert host.status == VersionStatus("loading")
        assert host.pid is None
        assert await _outcome(host.predict(["web"], timeout_s=1)) == "unavailable"
        await host.stop()

    asyncio.run(ask())


async def _failed_start(folder: str, load_timeout_s: float = DEADLINE_S) -> HostFailure:
    host = ModelHost(folder, name="version 1", load_timeout_s=load_timeout_s, max_queue=1)
    with pytest.raises(HostFailure) as caught:
        await host.start()
    assert not is_alive(host.pid)
    assert host.status == VersionStatus("failed", reason=str(caught.value))
    await host.stop()
    return caught.value


def test_a_model_that_cannot_be_loaded_says_why(tiny: TinyModels) -> None:
    failure = asyncio.run(_failed_start(tiny("unloadable")))
    assert failure.status == "error"
    assert "this model cannot be loaded" in failure.detail


def test_a_model_that_takes_too_long_to_load_is_given_up(tiny: TinyModels) -> None:
    failure = asyncio.run(_failed_start(tiny("slow_load", seconds=300), load_timeout_s=0.5))
    assert str(failure) == "timeout: not loaded and warm within 0.5 s"


def test_a_model_that_crashes_when_it_is_warmed_up_is_a_crash(tiny: TinyModels) -> None:
    failure = asyncio.run(_failed_start(tiny("crash")))
    assert str(failure) == "crash: it ended while it was loaded (exit status 139)"


def test_a_model_that_writes_garbage_while_it_is_warmed_up_is_a_crash(tiny: TinyModels, tmp_path: Path) -> None:
    folder = tiny.coded(tmp_path / "model", _FIND_THE_SOCKET + "os.write(descriptor, b'x' * 100)")
    assert str(asyncio.run(_failed_start(folder))) == "crash: while it was loaded: what came is no frame"


def test_a_model_of_another_format_is_refused(tiny: TinyModels, tmp_path: Path) -> None:
    folder = Path(tiny.coded(tmp_path / "model", ""))
    mlmodel = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(mlmodel.replace("format_version: 1", "format_version: 2"))
    assert "format version 2, this gateway reads 1" in asyncio.run(_failed_start(str(folder))).detail


def test_a_model_without_labels_is_refused(tiny: TinyModels, tmp_path: Path) -> None:
    folder = Path(tiny.coded(tmp_path / "model", ""))
    mlmodel = (folder / "MLmodel").read_text()
    without = mlmodel.replace("    labels:\n    - web\n    - tables\n    max", "    labels: []\n    max")
    assert without != mlmodel
    (folder / "MLmodel").write_text(without)
    assert asyncio.run(_failed_start(str(folder))).detail == "it names no labels"


def test_a_start_that_is_cancelled_leaves_no_process(tiny: TinyModels) -> None:
    async def ask() -> None:
        host = ModelHost(tiny("slow_load", seconds=300), name="version 1", load_timeout_s=300, max_queue=1)
        start = asyncio.create_task(host.start())
        await until(lambda: host.pid is not None)
        start.cancel()
        await asyncio.wait([start])
        assert not is_alive(host.pid)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("os.write(descriptor, b'printed by a library ' * 10)", "what came is no frame"),
        ("os.write(descriptor, __import__('struct').pack('<4sQQ', b'aglm', 2**40, 2**40))", "bytes, more than"),
        (
            "from airflow_provider_autoglm.serving.frames import Failed, encode\n"
            "os.write(descriptor, encode(Failed(999, 'error', '')))",
            "not the one to this request",
        ),
        ("__import__('socket').socket(fileno=os.dup(descriptor)).shutdown(1)\ntime.sleep(300)", "SIGKILL"),
        ("os.write(descriptor, b'aglm')\nos._exit(0)", "exit status 0"),
    ],
)
def test_a_host_that_breaks_the_pipe_has_crashed(tiny: TinyModels, tmp_path: Path, code: str, problem: str) -> None:
    body = textwrap.indent(_FIND_THE_SOCKET + code, "    ")
    folder = tiny.coded(tmp_path / "model", f"if 'break' in texts[0]:\n{body}")

    async def ask() -> None:
        async with hosted(folder) as host:
            requests = [host.predict([text], timeout_s=300) for text in ("break", "web")]
            assert await asyncio.gather(*map(_outcome, requests)) == ["crash", "crash"]
            assert problem in str(await host.ended())
            assert not is_alive(host.pid)

    asyncio.run(ask())


def test_a_host_whose_child_keeps_the_socket_open_is_noticed_when_it_dies(tiny: TinyModels, tmp_path: Path) -> None:
    folder = tiny.coded(tmp_path / "model", "if 'fork' in texts[0]:\n    os.fork() or time.sleep(2)\n    os._exit(7)")

    async def ask() -> None:
        async with hosted(folder) as host:
            assert await _outcome(host.predict(["fork"], timeout_s=300)) == "crash"
            assert str(await host.ended()) == "crash: its process ended (exit status 7)"

    asyncio.run(ask())


def test_what_a_model_prints_is_in_the_log_of_the_gateway(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        await shared.host.predict(["talk"], timeout_s=30)
        await until(lambda: "version 1: model says hello" in caplog.messages)

    with caplog.at_level(logging.INFO):
        shared.run(ask())
    assert max(map(len, caplog.messages)) < 400


def test_a_host_has_nothing_of_the_gateways_secrets(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "marked-secret-5e77"
    for name in ("MLFLOW_TRACKING_PASSWORD", "AUTOGLM_SERVING__STATE_URL", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, secret)

    async def ask() -> None:
        async with hosted(tiny()) as host:
            environment = psutil.Process(host.pid).environ()
            command = psutil.Process(host.pid).cmdline()
        assert environment["OMP_NUM_THREADS"] == "1"
        assert "PATH" in environment
        assert not [name for name, value in environment.items() if secret in value]
        assert secret not in " ".join(command)

    asyncio.run(ask())


def test_a_served_model_keeps_its_files_as_they_were(tiny: TinyModels) -> None:
    folder = tiny()
    before = sorted(Path(folder).rglob("*"))

    async def ask() -> None:
        async with hosted(folder) as host:
            await host.predict(["web"], timeout_s=30)

    asyncio.run(ask())
    assert sorted(Path(folder).rglob("*")) == before


def test_a_host_imports_neither_airflow_nor_a_database_nor_torch(tiny: TinyModels) -> None:
    script = f"""
import sys
from airflow_provider_autoglm.serving.host import load
model, labels = load({tiny()!r})
print(labels, [name for name in ("airflow", "sqlalchemy", "torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "('web', 'tables') []\n"


@pytest.mark.parametrize("text", ["web", "long"])
def test_a_gateway_that_is_killed_leaves_no_host_behind(tiny: TinyModels, text: str) -> None:
    script = f"""
import asyncio
from airflow_provider_autoglm.serving.model_host import ModelHost

async def serve():
    host = ModelHost({tiny("slow", when="long", seconds=300)!r}, name="version 1", load_timeout_s=60, max_queue=1)
    await host.start()
    print(host.pid, flush=True)
    await host.predict([{text!r}], timeout_s=300)
    await asyncio.sleep(300)

asyncio.run(serve())
"""
    gateway = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert gateway.stdout is not None
        pid = int(gateway.stdout.readline())
        assert is_alive(pid)
    finally:
        gateway.kill()
        gateway.communicate()
    wait_until(lambda: not is_alive(pid))


def test_a_host_of_a_gateway_that_is_gone_already_ends_at_once(tiny: TinyModels) -> None:
    command = [sys.executable, "-m", "airflow_provider_autoglm.serving.host", tiny(), "0", "1"]
    assert subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 1


def test_a_host_ignores_the_signal_that_tells_a_whole_service_to_stop(shared: Shared) -> None:
    async def ask() -> None:
        assert shared.host.pid is not None
        os.kill(shared.host.pid, signal.SIGTERM)
        assert _best(await shared.host.predict(["tables"], timeout_s=30)) == ["tables"]

    shared.run(ask())


def test_a_host_that_cannot_be_started_leaves_no_descriptors(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        host = ModelHost(tiny(), name="version 1", load_timeout_s=60, max_queue=1)
        before = psutil.Process().num_fds()
        with pytest.raises(FileNotFoundError):
            await host.start()
        assert psutil.Process().num_fds() == before

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    asyncio.run(ask())
