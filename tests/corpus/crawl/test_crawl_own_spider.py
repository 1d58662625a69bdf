from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
from airflow_provider_autoglm.corpus.crawl.own_spider import load_spider
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.store import Corpus, Kind
from airflow_provider_autoglm.exceptions import (
    CrawlProcessError,
    CrawlStoppedError,
    NothingCrawledError,
    OwnSpiderError,
    SettingsError,
)
from airflow_provider_autoglm.settings import CrawlSettings
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Reply, Site
from tests.corpus.crawl.killing import children_of
from tests.corpus.crawl.spiders import GREETING

SPIDERS = "tests.corpus.crawl.spiders"


def run(name: str, start: str, folder: Path, *, scrapy: dict[str, Any] | None = None, **changed: Any) -> StageResult:
    """Crawl by the spider ``name`` of the module of spiders."""
    spider = OwnSpider(path=f"{SPIDERS}.{name}", arguments={"start": start}, settings=scrapy or {})
    return crawl([], str(folder / "out"), CrawlSettings(**FAST | changed), spider=spider)


def rows(result: StageResult, kind: Kind = "shards") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Corpus.open(result.uri).to_table(kind=kind).to_pylist()
    return found


def texts(result: StageResult) -> set[str]:
    return {row["text"] for row in rows(result)}


def reasons(result: StageResult, kind: Kind) -> Counter[tuple[str, str]]:
    return Counter((row["url"].split("/", 3)[-1], row["reason"]) for row in rows(result, kind))


def test_the_items_of_a_spider_become_documents(site: Site, tmp_path: Path) -> None:
    site.add("/", "/a", "/b")
    site.add("/a", "/b", "/")
    site.add("/b", "/missing")

    result = run("ArticleSpider", f"{site.url}/", tmp_path)

    found = {row["url"].removeprefix(site.url): row for row in rows(result)}
    assert set(found) == {"/", "/a", "/b"}
    assert found["/a"]["title"] == "/a"
    assert found["/a"]["text"].startswith("This is the page at /a")
    assert (found["/a"]["depth"], found["/a"]["status"], found["/a"]["source"]) == (1, 200, site.url[7:])
    assert reasons(result, "rejected") == {("missing", "http_404"): 1}
    assert result.rows_in == 4
    assert Counter(site.served).most_common(1)[0][1] == 1


def test_items_of_every_kind_are_taken_with_all_their_fields(site: Site, tmp_path: Path) -> None:
    site.add("/")

    result = run("ManyItemsSpider", f"{site.url}/", tmp_path)

    found = {row["text"]: row for row in rows(result)}
    assert set(found) == {
        "an item that is a dict",
        "an item that is a dataclass",
        "an item of a class of its own",
        "half a pair \ufffd in it",
    }
    of_a_dict, of_a_dataclass = found["an item that is a dict"], found["an item that is a dataclass"]
    assert (of_a_dict["source"], of_a_dict["tags"]) == ("notes", '["a", "ü"]')
    assert (of_a_dict["depth"], of_a_dict["item_depth"]) == (0, "deep")
    assert (of_a_dataclass["status"], of_a_dataclass["item_status"], of_a_dataclass["stars"]) == (200, "approved", "5")
    assert of_a_dataclass["url"] == f"{site.url}/#comment"
    assert of_a_dataclass["published_at"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert found["half a pair \ufffd in it"]["published_at"] is None
    assert reasons(result, "rejected") == {("", "missing_text"): 1, ("", "item_error"): 1}


def test_forms_cookies_redirects_and_what_a_spider_remembers_come_through(site: Site, tmp_path: Path) -> None:
    sent: list[tuple[str, str]] = []

    def log_in(request: BaseHTTPRequestHandler) -> None:
        form = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        sent.append((form["greeting"][0], request.headers["X-Greeting"].encode("latin-1").decode()))
        request.send_response(200)
        request.send_header("Content-Type", "text/plain; charset=utf-8")
        request.send_header("Set-Cookie", "session=abc")
        request.send_header("Content-Length", "7")
        request.end_headers()
        request.wfile.write(b"welcome")

    site.answers["/login"] = log_in
    site.pages["/moved"] = Reply(status=302, headers={"Location": "/members"})
    site.pages["/members"] = Reply(b"for members", content_type="text/plain")

    result = run("SessionSpider", site.url, tmp_path)

    assert sent == [(GREETING, GREETING)]
    assert texts(result) == {
        "welcome größe 2",
        f"for members level 2 cookie session=abc from {site.url}/moved",
        "an errback was told of 404",
    }
    assert result.rejected == result.removed == 0


def test_a_spider_may_ask_for_a_page_again(site: Site, tmp_path: Path) -> None:
    answers = iter([b"busy", b"busy", b"ready", b"ready"])

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = next(answers)
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "text/plain")
        request.end_headers()
        request.wfile.write(body)

    site.answers["/"] = answer
    site.pages["/?up"] = Reply(b"up again", content_type="text/plain")
    site.held.add("/?down")

    result = run("AgainSpider", f"{site.url}/", tmp_path, timeout_s=0.5)

    assert texts(result) == {"ready", "read in another way: ready", "read in another way: up again"}
    assert Counter(site.served) == {"/robots.txt": 1, "/": 4, "/?down": 1, "/?up": 1}
    assert reasons(result, "removed") == {("", "no_item"): 2}
    assert reasons(result, "rejected") == {("?down", "timeout"): 1}


def test_what_becomes_of_no_item_is_a_row_with_its_reason(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("/", "/breaks", "/nothing", "/object", "/dropped", "/tripped", "/fine")
    for path in ("/breaks", "/nothing", "/object", "/dropped", "/tripped", "/fine"):
        site.add(path)

    with caplog.at_level(logging.DEBUG):
        result = run(
            "ProblemSpider",
            f"{site.url}/",
            tmp_path,
            scrapy={"ITEM_PIPELINES": {f"{SPIDERS}.DroppingPipeline": 300}},
        )

    assert "no such element" in caplog.text
    assert "KeyError: 'price'" in caplog.text
    assert "says enough" not in caplog.text, "the log shows the text of an item"
    assert {row["url"].removeprefix(site.url) for row in rows(result)} == {"/", "/breaks", "/object", "/fine"}
    assert {text for text in texts(result) if text.isupper()} == texts(result), "the pipeline was not asked"
    assert reasons(result, "rejected") == {
        ("breaks", "spider_error"): 1,
        ("object", "item_error"): 1,
        ("tripped", "item_error"): 1,
    }
    assert reasons(result, "removed") == {("nothing", "no_item"): 1, ("dropped", "dropped"): 1}
    assert result.metrics["not_visited/no_web_address"] == 1


def test_a_spider_cannot_switch_off_frontier_and_guards(
    site: Site, new_site: Callable[[str], Site], tmp_path: Path
) -> None:
    inner = new_site("127.0.0.2")
    inner.add("/")
    site.pages["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n")
    site.add("/", "/a", "/private", f"{inner.url}/", "/moved", "/dropped")
    site.pages["/moved"] = Reply(status=302, headers={"Location": f"{inner.url}/"})
    for path in ("/a", "/private", "/dropped"):
        site.add(path)

    result = run("ReservedSpider", f"{site.url}/", tmp_path, allow_networks=["127.0.0.1"], max_depth=1)

    assert {row["url"].removeprefix(site.url) for row in rows(result)} == {"/", "/a"}
    assert reasons(result, "removed") == {("dropped", "dropped"): 1}, "its own pipeline was not asked"
    assert Counter(reason for _, reason in reasons(result, "rejected").elements()) == {
        "robots": 1,
        "private_address": 2,
    }
    assert inner.served == []
    assert {seen.headers["User-Agent"] for seen in site.seen} == {CrawlSettings(**FAST).full_user_agent}


def test_a_spider_that_has_had_enough_leaves_the_rest_unvisited(site: Site, tmp_path: Path) -> None:
    site.add("/", *(f"/{number}" for number in range(20)))
    for number in range(20):
        site.add(f"/{number}")

    result = run("EnoughSpider", f"{site.url}/", tmp_path, concurrency=1)

    assert result.rows_in + result.metrics["not_visited/close_spider"] == 21
    assert result.rows_in < 10


@pytest.mark.parametrize(
    ("spider", "problem"),
    [
        ("LambdaSpider", "request for .*/a cannot be kept until its turn .*callbacks must be methods of the spider"),
        ("ObjectSpider", "datetime is not JSON serializable.*meta and cb_kwargs JSON values"),
        ("BrokenStartSpider", r"its start\(\) failed"),
        ("ItemOfStartSpider", "yield it from a callback"),
    ],
)
def test_what_a_spider_would_lose_ends_the_crawl_with_a_named_error(
    site: Site, tmp_path: Path, spider: str, problem: str
) -> None:
    site.add("/")
    site.add("/a")

    with pytest.raises(OwnSpiderError, match=problem) as raised:
        run(spider, f"{site.url}/", tmp_path)

    assert raised.value.spider == spider
    assert not raised.value.retry_can_help
    assert not list((tmp_path / "out").glob("_manifest*"))


def test_a_pipeline_that_cannot_begin_is_an_error_with_its_cause(site: Site, tmp_path: Path) -> None:
    site.add("/")

    with pytest.raises(CrawlProcessError, match="no database"):
        run("ArticleSpider", f"{site.url}/", tmp_path, scrapy={"ITEM_PIPELINES": {f"{SPIDERS}.BrokenPipeline": 300}})


def test_a_spider_whose_pages_are_all_down_is_a_named_error(site: Site, tmp_path: Path) -> None:
    site.held.add("/")

    with pytest.raises(NothingCrawledError, match=r"spiders\.ArticleSpider was answered \(timeout 1\)"):
        run("ArticleSpider", f"{site.url}/", tmp_path, timeout_s=0.2, obey_robots=False)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (f"{SPIDERS}.Missing", "cannot be imported"),
        ("no.such.module.Spider", "cannot be imported"),
        ("nodots", "cannot be imported"),
        (f"{SPIDERS}.NO_SPIDER", "is no subclass of scrapy.Spider"),
    ],
)
def test_what_is_no_spider_is_refused(path: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_spider(OwnSpider(path=path))


def test_a_task_whose_spider_is_refused_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="spider = 'nodots': cannot be imported"):
        crawl([], str(tmp_path / "out"), CrawlSettings(**FAST), spider=OwnSpider(path="nodots"))


def test_a_spider_and_web_sources_in_one_crawl_are_refused(site: Site, tmp_path: Path) -> None:
    spider = OwnSpider(path=f"{SPIDERS}.ArticleSpider", arguments={"start": site.url})

    with pytest.raises(SettingsError, match="in a task of its own"):
        crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST), spider=spider)


def test_a_request_kept_for_a_callback_that_is_no_more_is_a_named_error(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import scrapy\nclass Changing(scrapy.Spider):\n    name = 'changing'\n"
        "    def parse(self, response):\n        yield response.follow('/stuck', self.{name})\n"
        "    def {name}(self, response):\n        yield {{'text': response.text}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    site.add("/", "/stuck")
    site.add("/stuck")
    site.held.add("/stuck")
    spider = OwnSpider(path="changing_spider.Changing", arguments={"start_urls": [f"{site.url}/"]})
    settings = CrawlSettings(**FAST | {"timeout_s": 60})
    (tmp_path / "changing_spider.py").write_text(code.format(name="before"))
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(crawl, [], str(tmp_path / "out"), settings, spider=spider)
        site.wait_for_requests(3)
        (child,) = children_of(psutil.Process())
        child.terminate()
        with pytest.raises(CrawlStoppedError):
            attempt.result()

    (tmp_path / "changing_spider.py").write_text(code.format(name="afterwards"))

    with pytest.raises(OwnSpiderError, match=r"kept cannot be made \(Method 'before' not found.*another destination"):
        crawl([], str(tmp_path / "out"), settings, spider=spider)


IN_A_DAG_FOLDER = """
import sys
sys.path.append(sys.argv[1])
from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
settings = {"contact": "crawl@example.org", "allow_networks": ["127.0.0.1"], "autothrottle": False, "delay_s": 0}
spider = OwnSpider(path="my_dag.MySpider", arguments={"start_urls": [sys.argv[2]]})
result = crawl([], sys.argv[3], settings, spider=spider)
print(result.rows_out)
"""


def test_a_spider_in_the_folder_of_the_dags_is_found_and_shadows_nothing(site: Site, tmp_path: Path) -> None:
    site.add("/")
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "json.py").write_text("raise ImportError('this is not the json module')\n")
    (folder / "my_dag.py").write_text(
        "import scrapy\nclass MySpider(scrapy.Spider):\n    name = 'mine'\n"
        "    def parse(self, response):\n        yield {'text': response.css('p::text').get()}\n"
    )

    output = subprocess.check_output(
        [sys.executable, "-c", IN_A_DAG_FOLDER, str(folder), f"{site.url}/", str(tmp_path / "out")],
        text=True,
        cwd=REPOSITORY,
    )

    assert output.split() == ["1"]
