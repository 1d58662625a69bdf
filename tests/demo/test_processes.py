from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.ports import HOST, PortTakenError, free_port
from demo.processes import ProcessEndedError, Processes
from demo.watchdog import marked_processes

_SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
# Deaf to SIGTERM, and with a child in a session of its own: what an orphan looks like.
_STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    f"subprocess.Popen([sys.executable, '-c', {_SLEEPER!r}], start_new_session=True);"
    "print('up', flush=True); time.sleep(600)"
)
_OWNER = """
import sys, time
from pathlib import Path
from demo.processes import Processes
with Processes(Path(sys.argv[1])) as processes:
    processes.start("child", [sys.executable, "-c", sys.argv[2]])
    log = processes.log_file("child")
    processes.wait_until("child", lambda: log.read_text().count("up") == int(sys.argv[3]), timeout_s=60, every_s=0.1)
    print(processes.marker, flush=True)
    time.sleep(600)
"""


def _start_owner(logs: Path, code: str, expected: int) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", _OWNER, str(logs), code, str(expected)]
    # Tests that run in the background of a shell ignore SIGINT, which the owner would inherit.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert owner.stdout is not None
    return owner, owner.stdout.readline().strip()


def _wait_until_ended(process_ids: list[int]) -> None:
    for process_id in process_ids:
        try:
            descriptor = os.pidfd_open(process_id)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], 30)[0], f"process {process_id} still runs"
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("death", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running_however_the_owner_dies(tmp_path: Path, death: signal.Signals) -> None:
    owner, marker = _start_owner(tmp_path, _SLEEPER, expected=1)
    children = marked_processes(marker)
    assert len(children) == 1
    owner.send_signal(death)
    _wait_until_ended(children)
    assert owner.wait(30) != 0


def test_a_killed_owner_leaves_neither_a_process_deaf_to_sigterm_nor_its_child_in_another_session(
    tmp_path: Path,
) -> None:
    owner, marker = _start_owner(tmp_path, _STUBBORN, expected=2)
    children = marked_processes(marker)
    assert len(children) == 2
    owner.kill()
    owner.wait()
    _wait_until_ended(children)


def test_stopping_ends_the_children_of_children_too(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SLEEPER!r}])"
        processes.start("parent", [sys.executable, "-c", code])
        processes.wait_until("the child", lambda: "up" in processes.log_file("parent").read_text(), timeout_s=60)
        assert len(marked_processes(processes.marker)) == 2
    assert marked_processes(processes.marker) == []


def test_a_process_that_ends_by_itself_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("short", [sys.executable, "-c", "import sys; print('no such port'); sys.exit(3)"])
        with pytest.raises(ProcessEndedError, match=r"(?s)short ended with status 3.*no such port") as caught:
            processes.wait_until("never", lambda: False, timeout_s=60, every_s=0.05)
    assert caught.value.log_file == tmp_path / "short.log"


def test_children_get_a_clean_environment_and_never_the_settings_of_another_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "OtherExecutor")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    with Processes(tmp_path) as processes:
        processes.run(
            "show", [sys.executable, "-c", "import os; print(*sorted(os.environ))"], env={"AIRFLOW_HOME": "x"}
        )
    names = (tmp_path / "show.log").read_text().split()
    assert [name for name in names if name.startswith(("AIRFLOW", "MLFLOW"))] == ["AIRFLOW_HOME"]


def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


_SERVER = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"


def test_a_server_is_waited_for_until_it_listens_itself(tmp_path: Path) -> None:
    port = free_port()
    with Processes(tmp_path) as processes:
        processes.start("server", [sys.executable, "-c", _SERVER, str(port)])
        processes.wait_for_server(["server"], port, lambda: True, timeout_s=60)
        with socket.create_connection((HOST, port), timeout=10):
            pass


def test_a_stranger_on_the_port_is_never_taken_for_our_server(tmp_path: Path) -> None:
    with socket.socket() as stranger, Processes(tmp_path) as processes:
        stranger.bind((HOST, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        processes.start("server", [sys.executable, "-c", _SERVER, str(port)])
        with pytest.raises(PortTakenError, match=str(port)):
            processes.wait_for_server(["server"], port, lambda: True, timeout_s=60)
