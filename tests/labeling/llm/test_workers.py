from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from airflow_provider_autoglm.labeling.llm.workers import work_off


def test_everything_is_done_by_several_threads_at_once() -> None:
    together = threading.Barrier(3)
    done: list[int] = []

    def work(number: int) -> None:
        if number < 3:
            together.wait(timeout=10)
        done.append(number)

    work_off(range(20), work, threads=3, stop=threading.Event())

    assert sorted(done) == list(range(20))


def test_nothing_to_do_is_done() -> None:
    work_off([], pytest.fail, threads=3, stop=threading.Event())


def test_the_first_failure_is_raised_and_what_is_under_way_comes_to_its_end() -> None:
    stop = threading.Event()
    is_under_way = threading.Event()
    done: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            is_under_way.wait()
            raise ValueError("text 0")
        is_under_way.set()
        stop.wait()
        done.append(number)

    with pytest.raises(ValueError, match="text 0"):
        work_off(range(100), work, threads=2, stop=stop)
    assert done == [1]


_TERMINATED = """
import os, signal, sys, threading
from airflow_provider_autoglm.labeling.llm.workers import work_off

class Terminated(BaseException):
    pass

def terminate(number, frame):
    raise Terminated

def work(item):
    os.write(1, b"under way\\n")
    stop.wait()
    if item == "slow":
        threading.Event().wait(0.3)
        os.write(1, b"kept\\n")
    elif item == "dead":
        threading.Event().wait()

stop = threading.Event()
signal.signal(signal.SIGTERM, terminate)
try:
    work_off(sys.argv[1:], work, threads=2, stop=stop)
except Terminated:
    sys.exit(7)
"""


@pytest.mark.usefixtures("measured_children")
def test_a_signal_lets_what_is_under_way_come_to_its_end_but_waits_for_no_server_that_is_dead() -> None:
    command = [sys.executable, "-c", _TERMINATED, "dead", "slow", "next"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        under_way = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        try:
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert (under_way, said, process.returncode) == (["under way\n"] * 2, "kept\n", 7)
