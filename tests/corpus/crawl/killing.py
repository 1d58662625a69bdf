"""A web of several hosts, a task that crawls it, and what ends that task at a bad moment."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_autoglm.corpus.store import Corpus, Kind
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Reply, Site, serve

ROBOTS = "User-agent: *\nDisallow: /private\nSitemap: {url}/sitemaps.xml\n"
SETTINGS: dict[str, Any] = FAST | {"pages_per_shard": 20, "max_depth": 100, "timeout_s": 60}
KINDS: tuple[Kind, ...] = ("shards", "rejected", "removed")
_WAYS = ("kill the task", "kill the child", "terminate the task", "terminate the child")
_SECONDS_TO_END = 60

_TASK = """
import dataclasses, json, logging, resource, sys
from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
logging.basicConfig(level=logging.WARNING)
work = json.loads(sys.argv[1])
if work["max_file_bytes"] is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (work["max_file_bytes"], work["max_file_bytes"]))
spider = None if work["spider"] is None else OwnSpider(**work["spider"])
result = crawl(work["sources"], work["destination"], work["settings"], spider=spider, state_uri=work["state_uri"])
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"result": dataclasses.asdict(result), "peaks": peaks}))
"""


@dataclass
class Web:
    """Sites that link to each other; ``changed`` is notified of each request to one of them."""

    sites: list[Site]
    changed: threading.Condition

    @property
    def urls(self) -> list[str]:
        return [site.url for site in self.sites]

    @property
    def served(self) -> list[str]:
        return [path for site in self.sites for path in site.served]

    @property
    def disallowed(self) -> list[str]:
        return [path for path in self.served if path.startswith("/private")]

    def wait_for_more(self, requests: int) -> None:
        """Until so many more requests have come."""
        with self.changed:
            enough = len(self.served) + requests
            assert self.changed.wait_for(lambda: len(self.served) >= enough, timeout=_SECONDS_TO_END), "no requests"


@contextmanager
def web_of(pages: int, hosts: int = 3) -> Iterator[Web]:
    """Sites of ``pages`` in all; among them every kind of address that a crawl has to tell apart."""
    changed = threading.Condition()
    sites = [Site(changed=changed) for _ in range(hosts)]
    servers: list[ThreadingHTTPServer] = [serve(site) for site in sites]
    for number, site in enumerate(sites):
        _fill(site, pages // hosts, sites[(number + 1) % hosts].url)
    try:
        yield Web(sites, changed)
    finally:
        for site, server in zip(sites, servers, strict=True):
            site.release.set()
            server.shutdown()
            server.server_close()


def _fill(site: Site, pages: int, neighbour: str) -> None:
    shown = pages * 9 // 10
    site.pages["/robots.txt"] = Reply(ROBOTS.format(url=site.url).encode(), content_type="text/plain")
    site.pages["/sitemaps.xml"] = _sitemap("sitemap", [f"{site.url}/sitemap-{part}.xml" for part in range(2)])
    for part in range(2):
        hidden = [f"{site.url}/p{number}" for number in range(shown + part, pages, 2)]
        site.pages[f"/sitemap-{part}.xml"] = _sitemap("url", [*hidden, f"{site.url}/missing-of-{part}"])
    site.add("/", *(f"/p{number}" for number in range(5)), f"{neighbour}/p3")
    for number in range(pages):
        links = [f"/p{to}" for to in (2 * number + 1, 2 * number + 2, number * 7 % shown) if to < shown]
        links += [f"/old{number}"] * (number % 7 == 0) + [f"/missing{number}"] * (number % 11 == 0)
        links += [f"/private/{number}"] * (number % 5 == 0) + [f"{neighbour}/p{number}"] * (number % 17 == 0)
        site.add(f"/p{number}", *links)
        site.pages[f"/old{number}"] = Reply(status=301, headers={"Location": f"/p{number * 3 % shown}"})
        if number % 13 == 12:
            site.pages[f"/p{number}"].headers["Link"] = f'<{site.url}/main{number}>; rel="canonical"'
            site.add(f"/main{number}")
        if number % 19 == 18:
            site.pages[f"/p{number}"].headers["X-Robots-Tag"] = "noindex"
        if number % 23 == 22:
            site.pages[f"/p{number}"] = Reply(b"out of order", status=503)


def _sitemap(of: str, urls: list[str]) -> Reply:
    entries = "".join(f"<{of}><loc>{url}</loc></{of}>" for url in urls)
    root = {"sitemap": "sitemapindex", "url": "urlset"}[of]
    return Reply(f"<{root}>{entries}</{root}>".encode(), content_type="text/xml")


@dataclass
class Work:
    """A crawl that a task does and may do again; ``peaks`` are the peak memories seen of its processes, in MB.

    With ``max_file_bytes`` no file may become larger, as on a disk that is full.
    """

    destination: Path
    sources: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    spider: dict[str, Any] | None = None
    state_uri: str | None = None
    max_file_bytes: int | None = None
    peaks: list[float] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        work = {
            "sources": self.sources,
            "destination": str(self.destination),
            "settings": SETTINGS | self.settings,
            "spider": self.spider,
            "state_uri": self.state_uri,
            "max_file_bytes": self.max_file_bytes,
        }
        return subprocess.Popen(
            [sys.executable, "-c", _TASK, json.dumps(work)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def finish(self) -> dict[str, Any]:
        """Run the task to its end; its result."""
        task = self.start()
        output, errors = task.communicate(timeout=600)
        assert task.returncode == 0, errors
        told: dict[str, Any] = json.loads(output)
        self.peaks += [peak / 1024 for peak in told["peaks"]]
        result: dict[str, Any] = told["result"]
        return result

    def fail(self) -> str:
        """Run the task, which fails; what it says."""
        task = self.start()
        _, errors = task.communicate(timeout=600)
        assert task.returncode == 1
        return errors

    def rows(self) -> Counter[str]:
        """All rows with their kind, without the time they were fetched, and how often each is there."""
        corpus = Corpus.open(str(self.destination))
        found = ((kind, row) for kind in KINDS for row in corpus.to_table(kind=kind).to_pylist())
        return Counter(json.dumps(row | {"kind": kind, "fetched_at": ""}, default=str) for kind, row in found)

    def end_at_bad_moments(self, web: Web, times: int, requests_in_all: int, chance: random.Random) -> list[str]:
        """Start the task so often, and end it each time after some requests; says how.

        As no page is visited with less than one request, a crawl that needs ``requests_in_all`` cannot have come to its
        end before the last of them.
        """
        ends = []
        for _ in range(times):
            task = self.start()
            try:
                web.wait_for_more(chance.randint(1, requests_in_all // times))
                ends.append(self._end(task, chance.choice(_WAYS)))
            finally:
                task.kill()
                task.communicate()
        return ends

    def _end(self, task: subprocess.Popen[str], way: str) -> str:
        descendants = psutil.Process(task.pid).children(recursive=True)
        (child,) = psutil.Process(task.pid).children()
        self.peaks += [peak_mb(pid) for pid in (task.pid, *(each.pid for each in descendants))]
        victim = task if way.endswith("task") else child
        victim.send_signal(signal.SIGKILL if way.startswith("kill") else signal.SIGTERM)
        assert task.wait(_SECONDS_TO_END) != 0, "the task says that a crawl that was ended is whole"
        _, alive = psutil.wait_procs(descendants, timeout=_SECONDS_TO_END)
        assert not alive, "the task is gone and its child is not"
        return way


def peak_mb(pid: int) -> float:
    """The most memory that a process held so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def differences(one: Work, other: Work) -> list[str]:
    """Rows that are in one corpus and not in the other, or there twice."""
    found, expected = one.rows(), other.rows()
    return [
        *(f"+ {row}" for row in sorted(found - expected)),
        *(f"- {row}" for row in sorted(expected - found)),
        *(f"{times} x {row}" for row, times in found.items() if times > 1),
    ]


def children_of(task: psutil.Process) -> list[psutil.Process]:
    """The processes that crawl for a task."""
    return [child for child in task.children() if "airflow_provider_autoglm.corpus.crawl.child" in child.cmdline()]
