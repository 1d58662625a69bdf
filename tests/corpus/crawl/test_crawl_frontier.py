from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_autoglm.corpus.crawl.frontier import (
    MAX_DATES_OF_A_SHAPE,
    MAX_TWINS_OF_A_PATH,
    Found,
    Frontier,
    Limits,
    Visit,
)
from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.exceptions import CrawlRunningError, StorageError

SITE = "example.org:443"
SHARD = Shard(name="a.parquet", rows=1, bytes=10, sha256="0")


def limits(**changed: int) -> Limits:
    return Limits(**{"max_pages": 1_000, "max_pages_per_host": 1_000, "max_depth": 10, "concurrency": 1_000} | changed)


def page(path: str, **changed: object) -> Found:
    site = str(changed.pop("site", SITE))
    return Found(url=f"https://{site}/{path}", site=site, **changed)  # type: ignore[arg-type]


def paths(visits: list[Visit]) -> set[str]:
    return {visit.url.rpartition(f"{visit.site}/")[2] for visit in visits}


def take_all(frontier: Frontier) -> list[Visit]:
    """What can be handed out without anything being settled."""
    visits = []
    while (visit := frontier.next()) is not None:
        visits.append(visit)
    return visits


def visit_all(frontier: Frontier) -> list[Visit]:
    """Hand out and settle until nothing is left."""
    visits = []
    while (visit := frontier.next()) is not None:
        visits.append(visit)
        frontier.settle(visit.key)
    return visits


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "frontier.sqlite"


def test_what_a_round_finds_is_handed_out_when_the_round_is_over(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page(""), page("a")])
    first = take_all(frontier)
    frontier.add([page("b"), page("a")])

    assert paths(first) == {"", "a"}
    assert frontier.next() is None
    assert not frontier.is_over
    for visit in first:
        frontier.settle(visit.key)
    assert paths(visit_all(frontier)) == {"b"}
    assert frontier.is_over


def test_the_order_within_a_round_does_not_depend_on_the_order_of_finding(tmp_path: Path) -> None:
    orders = []
    for name, numbers in (("up", range(50)), ("down", reversed(range(50)))):
        frontier = Frontier(tmp_path / name, limits(max_pages=20))
        frontier.add(page(str(number)) for number in numbers)
        orders.append([visit.url for visit in visit_all(frontier)])

    assert orders[0] == orders[1]
    assert len(orders[0]) == 20


def test_an_address_found_twice_in_a_round_keeps_the_smaller_depth_and_source(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page("a", depth=3, source=1)])
    frontier.add([page("a", depth=2, source=2)])
    frontier.add([page("a", depth=2, source=5)])

    (visit,) = visit_all(frontier)

    assert (visit.depth, visit.source) == (2, 2)


def test_what_lies_too_deep_is_not_remembered(file: Path) -> None:
    frontier = Frontier(file, limits(max_depth=1))
    frontier.add([page("a", depth=1), page("b", depth=2)])

    assert paths(visit_all(frontier)) == {"a"}
    assert frontier.found == 1


def test_a_site_has_no_more_requests_under_way_than_it_may(file: Path) -> None:
    frontier = Frontier(file, limits(concurrency=2))
    frontier.add(page(str(number), site=site) for number in range(5) for site in ("a.org:443", "b.org:443"))

    under_way = take_all(frontier)

    assert sorted(visit.site for visit in under_way) == ["a.org:443"] * 2 + ["b.org:443"] * 2
    frontier.settle(under_way[0].key)
    assert [visit.site for visit in take_all(frontier)] == [under_way[0].site]


def test_a_site_that_asked_for_a_pause_is_left_alone(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page("a", site="a.org:443"), page("b", site="b.org:443")])

    visit = frontier.next({"a.org:443": False})

    assert visit is not None
    assert visit.site == "b.org:443"
    assert frontier.next({"a.org:443": False}) is None
    assert not frontier.is_over


def test_a_site_gets_no_more_pages_than_allowed_and_the_others_go_on(file: Path) -> None:
    frontier = Frontier(file, limits(max_pages_per_host=3))
    frontier.add(page(str(number), site="a.org:443") for number in range(10))
    frontier.add([page("b", site="b.org:443")])

    visits = visit_all(frontier)

    assert sorted(visit.site for visit in visits) == ["a.org:443"] * 3 + ["b.org:443"]
    assert frontier.left() == {"max_pages_per_host": 7}
    assert frontier.is_over


def test_sitemaps_do_not_count_as_pages(file: Path) -> None:
    frontier = Frontier(file, limits(max_pages=1))
    frontier.add([page("sitemap.xml", kind="sitemap"), page("a")])

    assert len(visit_all(frontier)) == 2
    assert frontier.attempted == 1


def test_after_a_halt_nothing_is_handed_out(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page("a"), page("b")])
    frontier.halt("max_total_bytes")

    assert frontier.next() is None
    assert frontier.is_over
    assert frontier.left() == {"max_total_bytes": 2}


def test_a_page_that_is_put_back_is_handed_out_again_and_counted_once(file: Path) -> None:
    frontier = Frontier(file, limits(max_pages=1))
    frontier.add([page("a")])
    first = frontier.next()
    assert first is not None
    frontier.put_back(first.key)

    again = frontier.next()

    assert again == first
    assert frontier.attempted == 1


def test_what_was_not_committed_is_as_if_it_had_not_happened(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page(str(number)) for number in range(6)])
    done, lost, *_ = take_all(frontier)
    frontier.settle(done.key)
    frontier.commit({"": [SHARD]}, {"rejected/dns": 1})
    frontier.settle(lost.key)
    frontier.add([page("found later")])
    frontier.count({"bytes": 5})
    frontier.close()

    reopened = Frontier(file, limits())

    assert reopened.shards() == [("", SHARD)]
    assert reopened.counts() == {"rejected/dns": 1}
    assert reopened.attempted == 1
    assert {visit.url for visit in visit_all(reopened)} == {f"https://{SITE}/{number}" for number in range(6)} - {
        done.url
    }


def test_a_round_goes_on_where_the_killed_process_was(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page("a"), page("b")])
    first = frontier.next()
    assert first is not None
    frontier.add([page("next round")])
    frontier.settle(first.key)
    frontier.commit({}, {})
    frontier.close()

    reopened = Frontier(file, limits())
    second = reopened.next()

    assert second is not None
    assert paths([first, second]) == {"a", "b"}
    assert reopened.next() is None


def test_a_second_process_is_refused_and_a_killed_one_is_not_waited_for(file: Path) -> None:
    hold = (
        "import sys, pathlib\n"
        "from airflow_provider_autoglm.corpus.crawl.frontier import Frontier, Limits\n"
        "frontier = Frontier(pathlib.Path(sys.argv[1]), Limits(1, 1, 1, 1))\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(CrawlRunningError):
            Frontier(file, limits())
        other.kill()

    Frontier(file, limits()).close()


def test_a_damaged_file_is_a_named_error(file: Path) -> None:
    file.write_bytes(b"no database" * 1_000)

    with pytest.raises(StorageError, match="delete it to begin the crawl anew"):
        Frontier(file, limits())


def test_a_file_that_cannot_be_made_is_a_named_error(file: Path) -> None:
    file.mkdir()

    with pytest.raises(StorageError, match="unable to open database file"):
        Frontier(file, limits())


def test_of_a_calendar_some_leaves_are_visited_and_the_rest_is_counted(file: Path) -> None:
    frontier = Frontier(file, limits(max_depth=100_000))
    days = [f"calendar?year={year}&month={month}" for year in range(2000, 2020) for month in range(1, 13)]
    frontier.add(page(day) for day in days)
    frontier.add([page("2020/05/a-story-of-its-own")])

    visits = visit_all(frontier)

    assert len(visits) == MAX_DATES_OF_A_SHAPE + 1
    assert frontier.left() == {"calendar": len(days) - MAX_DATES_OF_A_SHAPE}


def test_queries_that_make_no_difference_are_left_out_from_the_next_round_on(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add(page(f"list?sort={number}") for number in range(MAX_TWINS_OF_A_PATH))
    frontier.add(page(f"search?q={number}") for number in range(MAX_TWINS_OF_A_PATH))
    for visit in take_all(frontier):
        frontier.add([page(f"list?sort=x{visit.key}"), page(f"search?q=x{visit.key}")])
        frontier.settle(visit.key, "the same text" if "list" in visit.url else visit.url)

    later = visit_all(frontier)

    assert {visit.url.partition("?")[0] for visit in later} == {f"https://{SITE}/search"}
    assert frontier.left() == {"twins": 2 * MAX_TWINS_OF_A_PATH}


def test_requests_of_an_own_spider_go_by_priority_and_then_as_they_came(file: Path) -> None:
    frontier = Frontier(file, limits())
    for name, priority in (("one", 0), ("two", 0), ("urgent", 5)):
        frontier.add([page("same", kind="request", name=name, priority=priority, request=name.encode())])

    first = frontier.next()
    assert first is not None
    frontier.add([page("same", kind="request", name="more", priority=1, request=b"more")])
    order = [first, *take_all(frontier)]

    assert [visit.request for visit in order] == [b"urgent", b"more", b"one", b"two"]


def test_the_file_is_one_that_sqlite_can_read_after_a_commit(file: Path) -> None:
    frontier = Frontier(file, limits())
    frontier.add([page("a")])
    frontier.commit({}, {})
    frontier.close()

    assert sqlite3.connect(file).execute("SELECT url FROM urls").fetchall() == [(f"https://{SITE}/a",)]


def test_of_several_sites_a_cut_leaves_as_many_pages_each_whichever_answers_first(tmp_path: Path) -> None:
    sites = ("a.org:443", "b.org:443", "c.org:443")
    visited = []
    for name, slow in (("one", "a.org:443"), ("other", "c.org:443")):
        frontier = Frontier(tmp_path / name, limits(max_pages=20, max_pages_per_host=8, concurrency=1))
        frontier.add([page("", site=site) for site in sites])
        visit_all(frontier)
        frontier.add(page(str(number), site=site) for site in sites for number in range(30))
        frontier.add([page("only", site="d.org:443")])
        free = {slow: False}
        while (visit := frontier.next(free) or frontier.next()) is not None:
            visited.append((name, visit.site, visit.url))
            frontier.settle(visit.key)
        assert frontier.left() == {"max_pages_per_host": 3 * 23, "max_pages": 5}

    assert {url for name, _, url in visited if name == "one"} == {url for name, _, url in visited if name == "other"}
    pages_of_a_site = Counter(site for name, site, _ in visited if name == "one")
    assert sorted(pages_of_a_site.values()) == [1, 5, 5, 6]


def test_how_deep_a_page_lies_does_not_depend_on_what_its_own_round_finds(file: Path) -> None:
    frontier = Frontier(file, limits(concurrency=1))
    frontier.add([page("a", depth=3), page("b", depth=3)])
    first = frontier.next()
    assert first is not None

    frontier.add([page("a", depth=1), page("b", depth=1)])
    frontier.settle(first.key)

    assert [visit.depth for visit in (first, *visit_all(frontier))] == [3, 3]


def test_a_spider_of_the_users_own_gets_no_more_of_a_site_than_allowed(file: Path) -> None:
    frontier = Frontier(file, limits(max_pages_per_host=2))
    frontier.add(page(f"{number}", kind="request", request=b"{}") for number in range(5))
    frontier.add([page("a", site="a.org:443", kind="request", request=b"{}")])

    assert len(visit_all(frontier)) == 3
    assert frontier.left() == {"max_pages_per_host": 3}


def test_requests_of_an_own_spider_are_handed_out_as_soon_as_they_are_found(file: Path) -> None:
    frontier = Frontier(file, limits())
    for number in range(3):
        frontier.add([page(f"{number}", site=f"{number}.org:443", kind="request", request=b"{}")])
        frontier.add([page(f"{number}", site=f"{number}.org:443", kind="request", request=b"{}")])
        visit = frontier.next()
        assert visit is not None
        frontier.settle(visit.key)

    assert frontier.is_over
    assert frontier.attempted == frontier.found == 3


def test_pages_of_sitemaps_are_in_one_round_with_the_start_pages_and_a_cut_leaves_those_in(file: Path) -> None:
    frontier = Frontier(file, limits(max_pages=5))
    frontier.add([page("", priority=1), page("index.xml", kind="sitemap")])
    index = frontier.next()
    assert index is not None
    frontier.add([page("part.xml", kind="sitemap")])
    frontier.settle(index.key)
    part = frontier.next()
    assert part is not None
    frontier.add(page(str(number)) for number in range(20))
    frontier.settle(part.key)

    visits = visit_all(frontier)

    assert [visit.kind for visit in (index, part)] == ["sitemap", "sitemap"]
    assert len(visits) == 5
    assert "" in paths(visits)
    assert len({visit.round for visit in visits}) == 1
