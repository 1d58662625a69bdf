"""The paragraphs that the benchmark's documents are made of: Debian's documentation packages, downloaded once.

Packages come from the Debian mirror that the machine is set up for (``apt-get download``, which needs no root) and are
neither installed nor kept: their paragraphs are, in ``~/.cache/airflow-provider-autoglm/benchmarks``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.dedupe.paragraphs import of_docstrings, paragraphs_below, readable

PACKAGES: dict[str, tuple[str, ...]] = {
    "10k": (
        "debian-reference-en",
        "debian-faq",
        "maint-guide",
        "developers-reference",
        "debian-policy",
        "git-doc",
        r"postgresql-doc-\d+",
        "manpages",
        "manpages-dev",
        "libreoffice-help-en-us",
        "debian-reference-zh-cn",
        "manpages-zh",
        "libreoffice-help-zh-cn",
    ),
    "100k": (
        r"python3\.\d+-doc",
        r"linux-doc-\d+\.\d+",
        "debian-handbook",
        "installation-guide-amd64",
        "perl-doc",
        "apache2-doc",
        "python-django-doc",
        "cmake-doc",
        "sqlite3-doc",
    ),
    "1m": (
        "libreoffice-help-de",
        "libreoffice-help-es",
        "libreoffice-help-fr",
        "libreoffice-help-it",
        "manpages-de",
        "manpages-fr",
        "manpages-es",
        "python-pandas-doc",
        "python-scipy-doc",
        "erlang-doc",
        "octave-doc",
        "maxima-doc",
        "nodejs-doc",
        "qtbase5-doc-html",
        "sagemath-doc",
        "rust-doc",
        r"openjdk-\d+-doc",
        r"llvm-\d+-doc",
        r"libboost1\.\d+-doc",
        r"libstdc\+\+-\d+-doc",
        "ghc-doc",
    ),
}
"""What each size adds to the ones before it; a regular expression stands for the newest package that it matches."""

DOCUMENTATION = ("/usr/share/doc", "/usr/share/man")
PYTHON_PATHS = ("stdlib", "purelib")
FAILURES_BEFORE_GIVING_UP = 3
_APT = ("apt-get", "download", "-q", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30")
_SCHEMA = pa.schema([("file", pa.int32()), ("text", pa.string())])


@dataclass(frozen=True)
class Source:
    """Where paragraphs come from (a package and its version, or a folder) and the Parquet file that holds them."""

    name: str
    path: Path

    def files(self) -> Iterator[list[str]]:
        """The paragraphs of each file, in order."""
        table = pq.read_table(self.path)
        paragraphs: list[str] = []
        current = -1
        for file, text in zip(table["file"].to_pylist(), table["text"].to_pylist(), strict=True):
            if file != current and paragraphs:
                yield paragraphs
                paragraphs = []
            current = file
            paragraphs.append(text)
        if paragraphs:
            yield paragraphs


def sources(
    size: str, *, cache: Path | None = None, documentation: Sequence[str] = DOCUMENTATION, modules: Sequence[str] = ()
) -> list[Source]:
    """What a benchmark of ``size`` reads: packages, or, where apt cannot download any, what is installed here.

    That is all below ``documentation`` and the docstrings of the Python files below ``modules``, by default those of
    this environment. Paragraphs are kept in ``cache``.
    """
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache or user_cache / "airflow-provider-autoglm" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = list(PACKAGES)
    patterns = [name for each in sizes[: sizes.index(size) + 1] for name in PACKAGES[each]]
    found = list(_packages(patterns, folder))
    if found:
        return found
    print(
        "no documentation package could be downloaded (does `apt-get update` help?): "
        "reading what is installed on this machine instead, once, which may take minutes",
        flush=True,
    )
    path = folder / "installed_documentation.parquet"
    if not path.exists():
        _write(path, _installed_files(documentation, modules or [sysconfig.get_path(name) for name in PYTHON_PATHS]))
    return [Source("installed documentation", path)]


def _packages(patterns: Iterable[str], folder: Path) -> Iterator[Source]:
    """The packages, from the cache where they are there already; after some failures in a row, those alone."""
    known: list[str] | None = None
    failures = 0
    for pattern in patterns:
        cached = [path for path in folder.glob("*.parquet") if re.fullmatch(pattern, path.stem.split("_")[0])]
        if not cached and failures < FAILURES_BEFORE_GIVING_UP:
            known = _known_packages() if known is None else known
            names = [name for name in known if re.fullmatch(pattern, name)]
            cached = [path for name in sorted(names, key=_natural)[-1:] if (path := _download(name, folder))]
            failures = failures + 1 if names and not cached else 0
        if cached:
            newest = max(cached, key=lambda path: _natural(path.stem))
            yield Source(newest.stem.replace("_", " ", 1), newest)


def _known_packages() -> list[str]:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return []
    done = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=False)
    return done.stdout.split()


def _download(package: str, folder: Path) -> Path | None:
    """Fetch one package, keep its paragraphs under ``<package>_<version>.parquet`` and forget the rest."""
    print(f"downloading {package}", flush=True)
    with tempfile.TemporaryDirectory(prefix="autoglm-debian-") as temporary:
        try:
            subprocess.run([*_APT, package], cwd=temporary, check=True, capture_output=True, text=True, timeout=900)
            (archive,) = Path(temporary).glob("*.deb")
            unpacked = Path(temporary, "unpacked")
            subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True, capture_output=True, text=True)
        except subprocess.SubprocessError as error:
            print(f"{package}: cannot download: {error}\n{getattr(error, 'stderr', None) or ''}", file=sys.stderr)
            return None
        name, version, _ = archive.stem.split("_")
        return _write(folder / f"{name}_{version.replace('%3a', ':')}.parquet", paragraphs_below(unpacked))


def _installed_files(documentation: Iterable[str], modules: Iterable[str]) -> Iterator[list[str]]:
    for folder in documentation:
        yield from paragraphs_below(Path(folder))
    for folder in modules:
        for module in sorted(Path(folder).rglob("*.py")):
            try:
                source = module.read_text()
            except (OSError, UnicodeDecodeError):
                continue
            paragraphs = list(readable(of_docstrings(source)))
            if paragraphs:
                yield paragraphs


def _write(path: Path, files: Iterable[list[str]]) -> Path:
    """Write the paragraphs of ``files``; the file appears under its name when it is whole."""
    part = path.with_suffix(f".{os.getpid()}")
    with pq.ParquetWriter(part, _SCHEMA, compression="zstd") as writer:
        for number, paragraphs in enumerate(files):
            writer.write_batch(
                pa.record_batch([pa.array([number] * len(paragraphs), pa.int32()), pa.array(paragraphs)], _SCHEMA)
            )
    os.replace(part, path)
    return path


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``python3.9-doc`` before ``python3.11-doc``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", name)]
