"""Records on disk: order, size, locks and files of gateways that died."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_autoglm.serving.records import from_line, to_line
from airflow_provider_autoglm.serving.spool import Spool
from airflow_provider_autoglm.state.predictions import Feedback, Prediction

FEEDBACK = Feedback("docs", "r1", 12.5, label="web", is_correct=False, text="caf\xe9 \0 \n")


def prediction(request_id: str, text: str | None = None) -> Prediction:
    return Prediction("docs", request_id, 0, "1", "ok", "gateway", 1.5, embedding=b"\0\n\xff", text=text)


def spool(folder: Path, *, max_bytes: int = 10**9, state_name: str = "s", pipeline: str = "docs") -> Spool:
    return Spool(str(folder / "spool"), pipeline=pipeline, state_name=state_name, max_bytes=max_bytes)


def drained(waiting: Spool, limit: int = 2) -> list[str]:
    ids = []
    while not waiting.is_empty:
        ids += [record.request_id for record in waiting.read(limit)]
        waiting.forget()
    return ids


@pytest.mark.parametrize("record", [prediction("r"), replace(prediction("r"), embedding=None), FEEDBACK])
def test_a_line_gives_the_record_back(record: Prediction | Feedback) -> None:
    line = to_line(record)
    assert line.count(b"\n") == 1
    assert from_line(line) == record


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"kind": "prediction"}', b'{"kind": "feedback", "a": 1}', b"\xff"]
)
def test_what_is_no_record_is_said(line: bytes) -> None:
    with pytest.raises(ValueError, match="no record"):
        from_line(line)


def test_records_come_back_in_order_and_leave_no_file(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.append([prediction("a"), prediction("b"), prediction("c")])
    waiting.append([FEEDBACK])
    assert [record.request_id for record in waiting.read(2)] == ["a", "b"]
    assert [record.request_id for record in waiting.read(2)] == ["a", "b"]  # not forgotten yet
    assert waiting.bytes == sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) > 0

    waiting.forget()
    waiting.append([prediction("e")])

    assert drained(waiting) == ["c", "r1", "e"]
    assert waiting.bytes == 0
    assert list((tmp_path / "spool").iterdir()) == []
    assert waiting.read(2) == []
    waiting.forget()


def test_only_the_gateway_may_read_the_files(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.append([prediction("a")])
    (file,) = (tmp_path / "spool").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    waiting.close()


def test_the_files_of_a_gateway_that_is_gone_are_replayed_before_its_own(tmp_path: Path) -> None:
    gone = spool(tmp_path)
    gone.append([prediction("a"), prediction("b")])
    gone.close()
    heir = spool(tmp_path)
    heir.append([prediction("c")])

    heir.adopt()
    heir.append([prediction("d")])

    assert drained(heir) == ["a", "b", "c", "d"]


def test_after_adopted_files_new_records_go_to_a_file_of_its_own(tmp_path: Path) -> None:
    gone = spool(tmp_path)
    gone.append([prediction("a")])
    gone.close()
    heir = spool(tmp_path)
    heir.adopt()
    heir.append([prediction("b")])
    assert len(list((tmp_path / "spool").iterdir())) == 2
    assert drained(heir) == ["a", "b"]


def test_the_files_of_a_gateway_that_lives_are_left_to_it(tmp_path: Path) -> None:
    living, other = spool(tmp_path), spool(tmp_path)
    living.append([prediction("a")])
    other.adopt()
    assert other.is_empty
    living.close()


@pytest.mark.parametrize("others", [{"state_name": "t"}, {"pipeline": "news"}])
def test_the_files_for_another_state_or_pipeline_are_left_alone(tmp_path: Path, others: dict[str, str]) -> None:
    gone = spool(tmp_path, **others)  # type: ignore[arg-type]
    gone.append([prediction("a")])
    gone.close()
    waiting = spool(tmp_path)
    waiting.adopt()
    assert waiting.is_empty


def test_a_file_that_its_owner_deletes_while_another_opens_it_is_not_adopted(tmp_path: Path) -> None:
    owner = spool(tmp_path)
    owner.append([prediction("a")])
    (path,) = (tmp_path / "spool").iterdir()
    with path.open("rb") as opened:
        drained(owner)
        path.symlink_to(f"/proc/self/fd/{opened.fileno()}")  # opening it gives the file that is gone
        other = spool(tmp_path)
        other.adopt()
        assert path.exists()
    assert other.is_empty


def test_a_file_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    gone = spool(tmp_path)
    gone.append([prediction("a")])
    (path,) = (tmp_path / "spool").iterdir()
    drained(gone)
    path.mkdir()
    other = spool(tmp_path)
    other.adopt()
    assert other.is_empty


def test_a_killed_writer_leaves_its_records_and_its_lock(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.serving.test_spool import *; waiting = spool(Path(sys.argv[1]));"
        "waiting.append([prediction('a')]); print('written', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        heir = spool(tmp_path)
        heir.adopt()
        assert heir.is_empty  # it lives
        writer.send_signal(signal.SIGKILL)
    heir.adopt()
    assert drained(heir) == ["a"]


@pytest.mark.parametrize("damage", [b'{"kind":"prediction","request', b"no JSON\n", b'{"kind":"prediction"}\n'])
def test_a_damaged_line_is_skipped_with_a_warning(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gone = spool(tmp_path)
    gone.append([prediction("a")])
    gone.close()
    (path,) = (tmp_path / "spool").iterdir()
    path.write_bytes(path.read_bytes() + damage)

    heir = spool(tmp_path)
    heir.adopt()

    assert drained(heir, limit=5) == ["a"]
    assert "is skipped" in caplog.text


def test_records_beyond_its_size_are_dropped_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    waiting = spool(tmp_path, max_bytes=3 * len(to_line(prediction("a"))))
    assert waiting.append([prediction("a"), prediction("b")]) == 0
    assert waiting.append([prediction("c"), prediction("d")]) == 2
    assert waiting.append([prediction("e"), prediction("f")]) == 2
    assert caplog.text.count("takes no more records") == 1
    assert waiting.append([prediction("g")]) == 0
    assert drained(waiting) == ["a", "b", "g"]


def test_a_folder_that_cannot_be_written_drops_records_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("")
    assert spool(tmp_path).append([prediction("a")]) == 1
    assert "File exists" in caplog.text


def test_a_full_disk_leaves_no_half_of_a_batch(tmp_path: Path) -> None:
    """The limit on the size of files is the disk's end, in a process of its own."""
    code = (
        "import resource, signal, sys; from tests.serving.test_spool import *;"
        "waiting = spool(Path(sys.argv[1])); waiting.append([prediction('a')]);"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (waiting.bytes + 10, resource.RLIM_INFINITY));"
        "dropped = waiting.append([prediction('b')]);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY));"
        "print(dropped, drained(waiting))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert ended.stdout.split("\n")[0] == "1 ['a']"
    assert "File too large" in ended.stderr


def test_a_line_longer_than_what_is_read_at_once_comes_whole(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.append([prediction("a", text="x" * 9 * 1024**2), prediction("b")])
    assert drained(waiting) == ["a", "b"]


def test_no_more_is_read_at_once_than_eight_megabytes(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.append([prediction(name, text="x" * 3 * 1024**2) for name in "abc"])
    assert [record.request_id for record in waiting.read(500)] == ["a", "b"]
    waiting.forget()
    assert drained(waiting) == ["c"]
