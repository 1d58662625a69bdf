"""The main text of pages keeps the lists that are part of it."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_autoglm.corpus.crawl.page import read_page
from airflow_provider_autoglm.corpus.crawl.text import Extractor, require_extractor
from airflow_provider_autoglm.exceptions import MissingExtraError

URL = "http://host/page"
RECIPE = "These pancakes are the best that you can make on a Sunday morning, and nobody knows why."
ITEMS = ["200 g flour", "2 eggs", "300 ml milk"]


def main_text(body: str, extractor: Extractor = "resiliparse") -> list[str]:
    """Lines of the text, without bullets."""
    html = f"<html><body>{body}</body></html>".encode()
    lines = (read_page(URL, "text/html; charset=utf-8", html, extractor=extractor).text or "").splitlines()
    return [line.strip(" \u2022-") for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("<main>", "</main>"),
        ("<div><article>", "</article></div>"),
        ("<div><div><div><div>", "</div></div></div></div>"),
    ],
)
def test_a_list_in_the_text_is_kept_however_near_the_body_it_stands(before: str, after: str) -> None:
    items = "".join(f"<li>{item}</li>" for item in ITEMS)
    lines = main_text(f"{before}<h1>Pancakes</h1><p>{RECIPE}</p><ul>{items}</ul><p>Mix and bake.</p>{after}")
    assert lines == ["Pancakes", RECIPE, *ITEMS, "Mix and bake."]


def test_links_in_a_list_of_sentences_do_not_make_it_navigation() -> None:
    item = 'The function is called while <a href="/host">HostResolveImportedModule</a> is synchronous.'
    plain = "The function is called while HostResolveImportedModule is synchronous."
    for depth in (1, 5):
        opened, closed = "<div>" * depth, "</div>" * depth
        assert main_text(f"{opened}<p>{RECIPE}</p><ul><li>{item}</li></ul>{closed}") == [RECIPE, plain]


def test_lists_within_lists_are_kept() -> None:
    inner = "<ul><li>one inner item</li><li>another one</li></ul>"
    lines = main_text(f"<main><p>{RECIPE}</p><ul><li>an outer item{inner}</li><li>and the last</li></ul></main>")
    assert lines == [RECIPE, "an outer item", "one inner item", "another one", "and the last"]


@pytest.mark.parametrize(
    "navigation",
    [
        "<ul><li><a href=/>Home page</a><li><a href=/r>All recipes</a><li><a href=/a>About the cook</a></ul>",
        "<ul><li><a href=/1>Prev</a><li>A book about nothing<li><a href=/2>Next</a></ul>",
        "<nav><ul><li>You are here: a page<li>Another page</ul></nav>",
        "<footer><ul><li>Made by hand in the country<li>All rights reserved</ul></footer>",
        "<div role=navigation><ul><li>You are here: a page<li>Another page</ul></div>",
        "<ul class='main-menu'><li>You are here: a page<li>Another page</ul>",
        "<ul></ul>",
        "<ul><li> <li> </ul>",
    ],
)
def test_navigation_does_not_come_back(navigation: str) -> None:
    assert main_text(f"{navigation}<p>{RECIPE}</p>") == [RECIPE]


def test_a_page_of_thousands_of_lists_within_lists_is_read() -> None:
    nested = "<ul><li>item <a href=x>x</a>" * 150 + "</ul>" * 150
    assert RECIPE in main_text(f"<main><p>{RECIPE}</p>{nested * 20}</main>")


def test_links_are_those_of_the_page_as_it_was() -> None:
    body = f"<p>{RECIPE}</p><ul><li>This is a sentence with <a href=/x>a link</a> in a list.</li></ul>".encode()
    assert read_page(URL, "text/html", body).links == ("http://host/x",)


def test_trafilatura_can_be_chosen() -> None:
    items = "".join(f"<li>{item}</li>" for item in ITEMS)
    lines = main_text(f"<article><h1>Pancakes</h1><p>{RECIPE}</p><ul>{items}</ul></article>", "trafilatura")
    assert lines == ["Pancakes", RECIPE, *ITEMS]
    assert main_text("<nav></nav>", "trafilatura") == []


def test_an_extractor_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)  # an import of it fails
    require_extractor("resiliparse")
    with pytest.raises(MissingExtraError, match=r"airflow-provider-autoglm\[trafilatura\]"):
        require_extractor("trafilatura")
