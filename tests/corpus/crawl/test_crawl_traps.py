"""Addresses that lead on for ever, and ordinary ones that look a little like them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.crawl.traps import date_shape, path_of, trap_in, without_session

YEAR = datetime.now(UTC).year

GOOD = [
    "http://host/",
    "http://host/index.html",
    "http://host/2024/10/10/",
    "http://host/1/1/1",
    "http://host/1/1/1/1.html",
    "http://host/c/c/c/cat.jpg",
    "http://host/2024/10/10/ten-things-that-happened",
    "http://host/blog/2019/02/the-year-in-review/",
    "http://host/blog/page/2/",
    "http://host/archive/1999",
    "http://host/archives/1994/11",
    f"http://host/calendar/{YEAR}/12/",
    f"http://host/calendar?month=1&year={YEAR + 1}",
    f"http://host/events?date={YEAR}-03-04",
    "http://host/forum/4567/12",
    "http://host/forum/topic/1234/page/3",
    "http://host/thread-1812-1-1.html",
    "http://host/product/3000/10",
    "http://host/movies?year=1985",
    "http://host/films?y=1931&genre=horror",
    "http://host/history/1848/",
    "http://host/history/1848/revolution",
    "http://host/year/1066/battle-of-hastings",
    "http://host/en/docs/en/latest/",
    "http://host/python/pandas/python/pandas",
    "http://host/user/repo/tree/main/src/main/java/com/acme/main/Main.java",
    "http://host/docs/library/os.path.html",
    "http://host/docs/library/os.path.html?highlight=join",
    "http://host/a/b/a/b",
    "http://host/shop/women/shoes/women/sandals",
    "http://host/wiki/Main_Page",
    "http://host/wiki/New_York,_New_York",
    "http://host/wiki/Category:Category:Category",
    "http://host/w/index.php?title=Talk:Talk&action=history",
    "http://host/questions/11227809/why-is-processing-a-sorted-array-faster",
    "http://host/doi/10.1000/182/2019/05",
    "http://host/abs/1706.03762",
    "http://host/package/mysql/8.0/en/",
    "http://host/r/python/comments/abc123/title_of_the_post/",
    "http://host/maps/@52.52,13.40,12z",
    "http://host/en-US/docs/Web/API/Window/open",
    "http://host/gp/product/B000000000/ref=sr_1_1",
    "http://host/~user/notes/notes.html",
    "http://host/cgi-bin/bin/view.cgi?id=1",
    "http://host/static/js/js/app.js",
    "http://host/api/v1/v1/users",
    "http://host/dir/dir/file",
    "http://host/news/2024-10-10-something-happened",
    "http://host/releases/2024-10",
    "http://host/releases/2024.10.1/",
    "http://host/standards/iso-8601-2019",
    "http://host/iso/3166-12",
    "http://host/ips/1000-10/x",
    "http://host/parts/7000-05x",
    "http://host/search?q=a+b+a+b&page=10",
    "http://host/search?from=10&to=20",
    "http://host/list?start=0&end=100",
    "http://host/list?m=5&d=3",
    "http://host/list?day=monday",
    "http://host/a/b/c/d/e/f/g/h/i/j/k/l",
    "http://host/%E6%96%87/%E6%9B%B8/%E6%96%87",
    "http://host/data/00/ab/00/cd/00/ef",
    "http://[::1]:8080/x",
    "https://host:8443/x/?y#z",
]


@pytest.mark.parametrize("url", GOOD)
def test_an_ordinary_address_is_no_trap_and_stays_as_it_is(url: str) -> None:
    assert trap_in(url) is None
    assert without_session(url) == url


@pytest.mark.parametrize(
    ("path", "trap"),
    [
        ("/a/b/a/b/a/b", "repeating_path"),
        ("/x/a/b/a/b/a/b/end.html", "repeating_path"),
        ("/a/b/c/a/b/c/a/b/c/", "repeating_path"),
        ("/docs/docs/docs/", "repeating_path"),
        ("/de/x/de/y/de/z/de/", "repeating_path"),
        ("/" + "same/" * 500, "repeating_path"),
        ("/" + "/".join(f"s{number}" for number in range(21)), "long_path"),
        ("/" + "1/" * 30, "repeating_path"),
        ("/events/2999-01/", "calendar"),
        ("/calendar/1989/12", "calendar"),
        ("/events/0001/01/", "calendar"),
        (f"/cal/{YEAR + 3}/1/5", "calendar"),
        (f"/list/{YEAR + 50}-01-01", "calendar"),
        ("/day/1875/06/07/", "calendar"),
        (f"/calendar?month=1&year={YEAR + 3}", "calendar"),
        ("/calendar?year=-4&month=1", "calendar"),
        ("/x?week=3&y=1969", "calendar"),
        ("/x?date=1969-12-31", "calendar"),
        ("/x?month=2999-01", "calendar"),
        ("/x?start=2999-01-01T00:00:00Z", "calendar"),
    ],
)
def test_a_trap_is_named(path: str, trap: str) -> None:
    assert trap_in("http://host" + path) == trap


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/cal/2024/05", "/cal/{y}/{m}"),
        ("/cal/2024/5/", "/cal/{y}/{m}/"),
        ("/cal/2024/05/06/", "/cal/{y}/{m}/{d}/"),
        ("/2024/10/10/", "/{y}/{m}/{d}/"),
        ("/events/2024-05-06", "/events/{y}-{m}-{d}"),
        ("/events/2024-05/month/", "/events/{y}-{m}/month/"),
        ("/archive_2024_05.html", "/archive_{y}_{m}.html"),
        ("/day/20240506", "/day/{y}{m}{d}"),
        ("/day/20240506.html", "/day/{y}{m}{d}.html"),
        ("/cal?month=5&year=2024", "/cal?month={m}&year={y}"),
        ("/cal?view=day&y=2024&m=5&d=6", "/cal?view=day&y={y}&m={m}&d={d}"),
        ("/cal?year=2024&week=20", "/cal?year={y}&week={w}"),
        ("/cal?month=2024-05", "/cal?month={y}-{m}"),
        ("/cal?date=2024-05-06&lang=de", "/cal?date={y}-{m}-{d}&lang=de"),
        ("/2024/10/10/slug", None),
        ("/news/20240506-slug", None),
        ("/forum/4567/12", None),
        ("/article/12345678", None),
        ("/list?month=5", None),
        ("/list?page=2", None),
        ("/", None),
    ],
)
def test_leaves_of_a_calendar_have_one_shape(path: str, shape: str | None) -> None:
    assert date_shape("http://host" + path) == (shape and "http://host" + shape)


@pytest.mark.parametrize(
    ("written", "without"),
    [
        ("/a;jsessionid=0A1B2C3D4E5F", "/a"),
        ("/a;jsessionid=0A1B2C3D4E5F/b?x=1", "/a/b?x=1"),
        ("/(S(lit3py55t21z5v55vlm25s55))/page.aspx", "/page.aspx"),
        ("/a?PHPSESSID=6d2f1a0b9c8e7d6f&id=3", "/a?id=3"),
        ("/a?ASPSESSIONIDQQRRSS=KDLHJKBCHDNFLAB", "/a"),
        ("/a?id=3&sid=9f8e7d6c5b4a39281706", "/a?id=3"),
        ("/a?sid=12", "/a?sid=12"),
        ("/a?session=spring-term", "/a?session=spring-term"),
        ("/a?token=", "/a?token="),
        ("/?utm_source=x&utm_medium=y", "/"),
        ("/a?b=1&fbclid=abc&c=%20&c=+", "/a?b=1&c=%20&c=+"),
        ("/a?&b&&gclid=1&", "/a?&b&&"),
        ("?_ga=1.2", "/"),
    ],
)
def test_session_ids_and_tracking_are_dropped_and_nothing_else(written: str, without: str) -> None:
    assert without_session("http://host" + written) == "http://host" + without


PIECES = st.sampled_from(
    [
        "/",
        ";",
        "?",
        "&",
        "=",
        "#",
        "a",
        "1",
        "%20",
        "jsessionid=",
        ";jsessionid=0A1B2C3D4E",
        "/(S(lit3py55t21z5v55vlm2))",
        "sid=",
        "9f8e7d6c5b4a39281706",
        "utm_x=1",
        "PHPSESSID=",
        "2024",
        "-05",
        "/05",
        "year=2024",
        "month=5",
        "date=",
    ]
)
URLS = st.lists(PIECES, max_size=12).map(lambda pieces: "http://host/" + "".join(pieces))


@given(URLS)
def test_dropping_sessions_twice_drops_no_more(url: str) -> None:
    once = without_session(url)
    assert without_session(once) == once
    assert len(once) <= len(url)


@given(st.lists(st.from_regex(r"[a-z]{4,10}", fullmatch=True), unique=True, max_size=12), st.integers(0, 10**6))
def test_paths_of_different_words_are_no_traps(words: list[str], number: int) -> None:
    url = "http://host/" + "/".join(words) + f"?id={number}"
    assert trap_in(url) is None
    assert without_session(url) == url
    assert date_shape(url) is None


@given(URLS)
def test_pages_that_differ_in_their_query_alone_have_one_path(url: str) -> None:
    path = path_of(url)
    assert url.startswith(path)
    assert "?" not in path
    assert "#" not in path
    assert path_of(path) == path
