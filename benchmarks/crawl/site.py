"""A real documentation site: HTML of Debian's documentation packages behind nginx, and the truth about its pages.

Packages come from the mirror that the machine is set up for (``apt-get download``, which needs no root); nothing is
installed. nginx is the one that is installed, else unpacked from its package.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from lxml import html

PACKAGES = (r"postgresql-doc-\d+", r"python3\.\d+-doc", "debian-policy", "developers-reference", "git-doc")
_APT = ("apt-get", "download", "-q", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=60")
_CONFIGURATION = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  types {{ text/html html; text/css css; text/javascript js; text/plain txt; image/png png; image/svg+xml svg; }}
  default_type application/octet-stream;
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; charset utf-8; etag on; gzip on; gzip_types text/html; }}
}}
"""


class NothingToServeError(Exception):
    """No documentation package, or no nginx, could be downloaded."""


def unpack_documentation(folder: Path) -> list[str]:
    """Put the HTML of the packages below ``folder``, with an ``index.html`` that links to each; returns their names.

    :raises NothingToServeError: if not one package can be had.
    """
    names = []
    for pattern in PACKAGES:
        name = _newest(pattern)
        unpacked = None if name is None else _unpack(name, folder / "packages")
        if unpacked is None:
            continue
        shutil.copytree(
            unpacked / "usr/share/doc",
            folder / "site",
            symlinks=False,
            dirs_exist_ok=True,
            ignore_dangling_symlinks=True,
        )
        names.append(str(name))
    starts = sorted(_starts(folder / "site"))
    if not starts:
        raise NothingToServeError("no documentation package could be downloaded; does `apt-get update` help?")
    links = "".join(f'<li><a href="/{path}">{path}</a></li>' for path in starts)
    (folder / "site" / "index.html").write_text(f"<title>Documentation</title><main><ul>{links}</ul></main>")
    return names


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``<folder>/site`` with nginx; gives its address. Its access log is ``<folder>/access.log``.

    :raises NothingToServeError: if nginx cannot be had.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        unpacked = _unpack("nginx", folder / "packages")
        if unpacked is None:
            raise NothingToServeError("nginx is neither installed nor can its package be downloaded")
        nginx = str(unpacked / "usr/sbin/nginx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    # Started by root, its worker would be somebody who may not read the temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(user + _CONFIGURATION.format(folder=folder, port=port, root=folder / "site"))
    server = subprocess.Popen([nginx, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(10)


def reachable_pages(site: Path) -> set[str]:
    """Paths of the HTML files that links lead to from ``index.html``, found with lxml on the files themselves."""
    found, waiting = {"/index.html"}, ["/index.html"]
    while waiting:
        path = waiting.pop()
        for link in _links(site, path):
            target = _file_of(site, link)
            if target is not None and target not in found:
                found.add(target)
                waiting.append(target)
    return found


def path_of(site: Path, url: str) -> str | None:
    """The file that an address stands for."""
    return _file_of(site, urlsplit(url).path)


def _links(site: Path, path: str) -> Iterator[str]:
    body = (site / path.lstrip("/")).read_bytes()
    if not body.strip():
        return
    tree = html.fromstring(body)
    for anchor in tree.iter("a"):
        href = (anchor.get("href") or "").strip()
        if href and "nofollow" not in (anchor.get("rel") or ""):
            target = urlsplit(urldefrag(urljoin(f"http://site{path}", href)).url)
            if target.netloc == "site":
                yield target.path


def _file_of(site: Path, path: str) -> str | None:
    name = unquote(path) or "/"
    name = f"{name}index.html" if name.endswith("/") else name
    file = site / name.lstrip("/")
    is_page = name.endswith(".html") and file.is_file()
    return "/" + os.path.normpath(name.lstrip("/")) if is_page else None


def _starts(site: Path) -> Iterator[str]:
    for folder in site.glob("*"):
        pages = sorted(folder.rglob("index.html"), key=lambda page: (len(page.parts), page))
        if pages:
            yield str(pages[0].relative_to(site))


def _newest(pattern: str) -> str | None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=False).stdout.split()
    names = [name for name in known if re.fullmatch(pattern, name)]
    return max(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], default=None)


def _unpack(package: str, folder: Path) -> Path | None:
    unpacked = folder / package
    unpacked.mkdir(parents=True)
    try:
        subprocess.run([*_APT, package], cwd=folder, check=True, capture_output=True, timeout=900)
        (archive,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True, capture_output=True)
    except subprocess.SubprocessError as error:
        print(f"{package}: cannot download: {error}", flush=True)
        return None
    return unpacked


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    assert server.stderr is not None
    raise NothingToServeError(f"nginx ended: {server.stderr.read().decode()[-500:]}")
