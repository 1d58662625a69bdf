from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.robotparser
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

import pytest
import requests
from selectolax.lexbor import LexborHTMLParser

from demo.docstrings import Docstring
from demo.pages import MISSING_PATH, PRIVATE_SENTENCE, SiteContent
from demo.site import SiteServer
from tests.demo.conftest import PAGES_PER_AREA


def _links(url: str) -> list[str]:
    answer = requests.get(url, timeout=10)
    tree = LexborHTMLParser(answer.text)
    return [urljoin(url, str(node.attributes["href"])) for node in tree.css("a")]


def test_a_page_carries_its_name_in_the_title_alone(server: SiteServer, articles: dict[str, list[Docstring]]) -> None:
    docstring = articles["statistics and plots"][0]
    answer = requests.get(f"{server.origin}/statistics-and-plots/{docstring.name}.html", timeout=10)
    tree = LexborHTMLParser(answer.text)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert [node.text() for node in tree.css("title")] == [docstring.name]
    (article,) = (node.text().split() for node in tree.css("article"))
    first_paragraph = docstring.text.split("\n\n")[0].split()
    assert article[: len(first_paragraph)] == first_paragraph
    assert docstring.name not in article
    assert tree.css_first("nav.navbar") is not None
    assert tree.css_first("footer") is not None


def test_every_article_is_reached_by_links_from_the_front_page(server: SiteServer, content: SiteContent) -> None:
    seen, waiting = set(), [f"{server.origin}/"]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        path = urlsplit(url).path
        if path in content.pages and path.endswith(("/", ".html")):
            waiting += _links(url)
    assert set(content.truth) <= seen
    assert {f"{server.origin}{path}" for path in (MISSING_PATH, "/files/emblem.png", "/empty.html")} <= seen


def test_the_sitemap_names_every_article_and_robots_txt_names_the_sitemap(
    server: SiteServer, content: SiteContent
) -> None:
    robots = urllib.robotparser.RobotFileParser(f"{server.origin}/robots.txt")
    robots.read()
    (sitemap,) = robots.site_maps() or []
    tree = ET.fromstring(requests.get(sitemap, timeout=10).content)
    urls = {element.text for element in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")}
    assert urls == {f"{server.origin}/", *content.truth}
    assert len(content.truth) == 6 * PAGES_PER_AREA


def test_the_linked_private_page_is_disallowed(server: SiteServer) -> None:
    robots = urllib.robotparser.RobotFileParser(f"{server.origin}/robots.txt")
    robots.read()
    private = f"{server.origin}/private/notes.html"
    assert private in _links(f"{server.origin}/")
    assert not robots.can_fetch("anyone", private)
    assert PRIVATE_SENTENCE in requests.get(private, timeout=10).text


@pytest.mark.parametrize(
    ("path", "status", "content_type", "start"),
    [
        (MISSING_PATH, 404, "text/plain", b"There"),
        ("/files/emblem.png", 200, "image/png", b"\x89PNG"),
        ("/empty.html", 200, "text/html; charset=utf-8", b""),
    ],
)
def test_the_naughty_pages_behave_like_those_of_a_real_site(
    server: SiteServer, path: str, status: int, content_type: str, start: bytes
) -> None:
    answer = requests.get(server.origin + path, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, content_type)
    assert answer.content.startswith(start)
    assert bool(answer.content) == bool(start)


def test_one_connection_serves_many_pages(server: SiteServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=10)
    connection.connect()
    socket = connection.sock
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, "/")
        answer = connection.getresponse()
        assert answer.status == 200
        assert bool(answer.read()) == (method == "GET")
    assert connection.sock is socket
    connection.close()


def test_the_truth_is_never_served(server: SiteServer, content: SiteContent) -> None:
    assert all(b"truth" not in path.encode() for path in content.pages)
    assert requests.get(f"{server.origin}/truth.json", timeout=10).status_code == 404


def test_the_command_prints_its_address_writes_the_truth_beside_and_has_nothing_on_the_new_area(tmp_path: Path) -> None:
    truth_file = tmp_path / "truth.json"
    command = [sys.executable, "-m", "demo.site", "--truth", str(truth_file), "--pages-per-area", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        truth = json.loads(truth_file.read_text())
        statuses = {requests.get(url, timeout=10).status_code for url in truth}
        process.terminate()
    assert started["articles"] == len(truth) == 10
    assert set(truth.values()) == {"web", "databases", "tables", "machine learning", "workflows"}
    assert statuses == {200}
