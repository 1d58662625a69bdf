"""One crawl of a site that does to a crawler what the web does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.crawl import hostile
from tests.corpus.crawl.conftest import FAST, crawl_measured, outcomes
from tests.corpus.crawl.hostile import GOOD_PAGES, HostileSite, hostile_site

SETTINGS = FAST | {
    "allow_networks": ["127.0.0.1"],
    "retries": 2,
    "max_pages": 3_000,
    "max_depth": 8,
    "parse_timeout_s": 2,
    "max_duration_s": 300,
}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileSite]:
    """With less of what is only much: links without number, combinations in the shop, a chain of good pages."""
    monkeypatch.setattr(hostile, "LINKS", 100)
    monkeypatch.setattr(hostile, "_FACETS", {"color": ("red", "green", "blue"), "page": tuple("12345")})
    monkeypatch.setattr(hostile, "_GOOD_AT_ONCE", GOOD_PAGES - 5)
    monkeypatch.setattr(hostile, "ROBOTS", hostile.ROBOTS.replace(str(hostile.CRAWL_DELAY_S), "0.001"))
    with hostile_site() as running:
        yield running


def test_a_crawl_of_a_hostile_site_ends_by_itself_with_every_good_page(site: HostileSite, tmp_path: Path) -> None:
    feeds = [{"feed": f"{site.url}/{name}.xml"} for name in ("rss", "atom")]

    uri, peak_mebibytes = crawl_measured([site.url, *feeds], tmp_path / "out", SETTINGS)

    corpus = Corpus.open(uri)
    found = {url.removeprefix(site.url): outcome for url, outcome in outcomes(uri).items()}
    assert {path for path in site.good if found[path] != "ok"} == set()
    texts = {row["url"].removeprefix(site.url): row["text"] for row in corpus.to_table().to_pylist()}
    assert {path for path, sentence in site.good.items() if sentence not in texts[path]} == set()
    # Of the two pages of a loop one is a redirect, and the other leads back.
    expected = site.rejected | site.removed | {"/redirect/loop/a": "redirected", "/redirect/loop/b": "redirect_loop"}
    assert {path: found[path] for path in expected} == expected
    assert {path: found[path] for path in hostile.FORBIDDEN} == dict.fromkeys(hostile.FORBIDDEN, "robots")
    others = found.keys() - expected.keys() - site.good.keys()
    assert {path for path in others if not path.startswith(site.traps)} == {
        "/",
        *hostile.FORBIDDEN,
        "/from-feed/rss",
        "/from-feed/atom",
        "/from-sitemap/0",
        "/from-sitemap/2",
    }
    assert site.disallowed == []
    assert site.inner_requests == []
    # Not a budget but the traps that were seen through ended it.
    left = {name for name in corpus.manifest.metrics if name.startswith("not_visited/")}
    assert left.isdisjoint(f"not_visited/{name}" for name in SETTINGS)
    assert left
    assert peak_mebibytes < 400
