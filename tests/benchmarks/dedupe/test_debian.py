from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.dedupe.debian import FAILURES_BEFORE_GIVING_UP, PACKAGES, sources

SENTENCE = "The package manager asks before it removes anything"
CONTROL = "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: texts\n"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that apt takes for a Debian mirror, and for the only one: three packages, two of them one manual."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("needs apt and dpkg-deb")
    folder = tmp_path / "mirror"
    packages = [("debian-faq", "11.1"), ("postgresql-doc-9", "9.6"), ("postgresql-doc-15", "1:15.20")]
    index = [_built(folder, name, version) for name, version in packages]
    (folder / "Packages").write_text("\n".join(index))
    for name in ("etc", "state/lists/partial", "cache/archives/partial"):
        (tmp_path / "apt" / name).mkdir(parents=True)
    (tmp_path / "apt/etc/sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (tmp_path / "apt/status").touch()
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc "{tmp_path}/apt/etc"; Dir::State "{tmp_path}/apt/state"; Dir::Cache "{tmp_path}/apt/cache";\n'
        f'Dir::State::status "{tmp_path}/apt/status"; APT::Sandbox::User "";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
    return folder


def test_packages_are_downloaded_once_and_the_newest_of_a_name_is_taken(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.dedupe.debian.PACKAGES", {"10k": ("debian-faq", r"postgresql-doc-\d+")})
    found = sources("10k", cache=tmp_path / "kept")
    assert [source.name for source in found] == ["debian-faq 11.1", "postgresql-doc-15 1:15.20"]
    assert [list(source.files()) for source in found] == [
        [[f"{SENTENCE}, says page 0 of {name}.", f"{SENTENCE} twice."], [f"{SENTENCE}, says page 1 of {name}."]]
        for name in ("debian-faq", "postgresql-doc-15")
    ]
    shutil.rmtree(mirror)
    assert sources("10k", cache=tmp_path / "kept") == found


def test_a_package_that_cannot_be_downloaded_is_told_and_left_out(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror / "debian-faq_11.1_all.deb").write_bytes(b"damaged")
    assert [source.name for source in sources("10k", cache=tmp_path)] == ["postgresql-doc-15 1:15.20"]
    assert "debian-faq: cannot download" in capsys.readouterr().err


def test_without_apt_what_is_installed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc/readme.txt").write_text(f"{SENTENCE}.\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/module.py").write_text(f'"""{SENTENCE} in Python."""\n')
    (tmp_path / "lib/no_text.py").write_bytes(b"\xff")
    (tmp_path / "lib/undocumented.py").write_text("x = 1\n")
    here = {"documentation": [str(tmp_path / "doc")], "modules": [str(tmp_path / "lib")]}
    (source,) = sources("1m", cache=tmp_path / "kept", **here)
    assert source.name == "installed documentation"
    assert list(source.files()) == [[f"{SENTENCE}."], [f"{SENTENCE} in Python."]]
    assert "no documentation package could be downloaded" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "doc")
    assert len(list(sources("1m", cache=tmp_path / "kept", **here)[0].files())) == 2


def test_a_larger_size_has_the_packages_of_the_smaller_ones_and_more() -> None:
    assert list(PACKAGES) == ["10k", "100k", "1m"]
    assert all(len(names) > FAILURES_BEFORE_GIVING_UP for names in PACKAGES.values())
    everything = [name for names in PACKAGES.values() for name in names]
    assert len(set(everything)) == len(everything)


def _built(folder: Path, name: str, version: str) -> str:
    """Build a package of two pages of documentation; its paragraph of the mirror's index."""
    content = folder / "content" / name
    (content / "DEBIAN").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(CONTROL.format(name=name, version=version))
    pages = content / "usr/share/doc" / name
    pages.mkdir(parents=True)
    (pages / "0.txt").write_text(f"{SENTENCE}, says page 0 of {name}.\n\n{SENTENCE} twice.\n")
    (pages / "1.txt").write_text(f"{SENTENCE}, says page 1 of {name}.\n")
    archive = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", str(content), str(archive)], check=True, capture_output=True
    )
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    file = f"Filename: ./{archive.name}\nSize: {archive.stat().st_size}\nSHA256: {digest}\n"
    return CONTROL.format(name=name, version=version) + file
