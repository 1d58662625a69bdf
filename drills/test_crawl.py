"""Crawls that are killed for as long as it takes."""

from __future__ import annotations

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.frontier_place import LEASE_S
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CrawlProcessError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.crawl.killing import SETTINGS, Work, children_of, differences, web_of
from tests.s3_server import S3Server, running

PAGES = 2_400
KILLS = 20
MAX_MB = 400
log = logging.getLogger(__name__)


@pytest.mark.parametrize(("max_pages", "seed"), [(100_000, 1), (2_200, 2)])
def test_a_crawl_that_is_killed_twenty_times_comes_to_what_an_undisturbed_one_finds(
    tmp_path: Path, max_pages: int, seed: int
) -> None:
    with web_of(PAGES) as web:
        settings = {"max_pages": max_pages, "pages_per_shard": 50}
        undisturbed = Work(tmp_path / "undisturbed", web.urls, settings)
        expected = undisturbed.finish()
        requests = len(web.served)
        killed = Work(tmp_path / "killed", web.urls, settings)

        ends = killed.end_at_bad_moments(web, KILLS, requests, random.Random(seed))
        result = killed.finish()

        log.info("%d requests undisturbed, %d killed; %s", requests, len(web.served) - requests, ", ".join(ends))
        assert web.disallowed == []
    log.info("peak memory: %.0f MB undisturbed, %.0f MB killed", max(undisturbed.peaks), max(killed.peaks))
    assert differences(killed, undisturbed) == []
    assert result["rows_in"] == expected["rows_in"] >= 2_000
    assert max(killed.peaks + undisturbed.peaks) < MAX_MB


def test_a_killed_crawl_into_object_storage_is_resumed_when_its_lease_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = CrawlSettings(**SETTINGS)
    with running(S3Server()) as server, web_of(600) as web, caplog.at_level(logging.INFO):
        undisturbed = crawl(web.urls, str(tmp_path / "undisturbed"), settings)
        requests = len(web.served)
        storage, uri = server.storage(), f"s3://{server.new_bucket()}/run/crawl"
        with ThreadPoolExecutor(1) as pool:
            attempt = pool.submit(crawl, web.urls, uri, settings, storage=storage)
            web.wait_for_more(requests // 2)
            (child,) = children_of(psutil.Process())
            child.kill()
            with pytest.raises(CrawlProcessError):
                attempt.result()
        asked = len(web.served)

        resumed = crawl(web.urls, uri, settings, storage=server.storage())

        again = len(web.served) - asked
        found = rows(Corpus.open(resumed.uri, storage=storage))
    log.info("%d requests undisturbed, %d after the kill", requests, again)
    assert f"waiting up to {LEASE_S:.0f} s" in caplog.text
    assert again < requests
    assert found == rows(Corpus.open(undisturbed.uri))


def rows(corpus: Corpus) -> list[tuple[str, str]]:
    return sorted((row["url"], row["content_sha256"]) for row in corpus.to_table().to_pylist())
