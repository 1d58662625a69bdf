"""The pages of the demo site: articles made of docstrings, their indexes, and the naughty ones every real site has."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from demo.docstrings import Docstring

HTML = "text/html; charset=utf-8"
PRIVATE_SENTENCE = "Nobody who obeys robots.txt ever reads this sentence."
MISSING_PATH = "/gone/moved-away.html"
_UNDERLINE = re.compile(r"^([=\-~^*#\"])\1{2,}$")
_RELATED = 3


@dataclass(frozen=True)
class Page:
    """What is served under one path."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class SiteContent:
    """All pages by path, and the area of each article: the truth, which is never served."""

    pages: Mapping[str, Page]
    truth: Mapping[str, str]


def build_content(articles: Mapping[str, Sequence[Docstring]], origin: str) -> SiteContent:
    """The whole site for ``articles`` by area; ``origin`` (``http://host:port``) goes into sitemap and robots.txt."""
    pages: dict[str, Page] = {}
    truth: dict[str, str] = {}
    areas = list(articles)
    for area, docstrings in articles.items():
        paths = [_article_path(docstring) for docstring in docstrings]
        for number, docstring in enumerate(docstrings):
            others = areas[areas.index(area) + 1 :] + areas[: areas.index(area)]
            related = [articles[other][number % len(articles[other])] for other in others[:_RELATED] if articles[other]]
            pages[paths[number]] = _html(
                docstring.name,
                # The name stands in the title only: in the text it would tell the labeler library and truth.
                f"<article>{_article_text(docstring.text)}</article>\n"
                + _links("See also", [_link(_article_path(item), item.name) for item in related])
                + _neighbours(paths, number),
                areas,
            )
            truth[origin + paths[number]] = area
        listed = [_link(path, docstring.name) for path, docstring in zip(paths, docstrings, strict=True)]
        pages[_area_path(area)] = _html(area.capitalize(), _links(area.capitalize(), listed), areas)
    pages["/sitemap.xml"] = _sitemap(origin, truth)
    pages["/robots.txt"] = Page(
        "text/plain", f"User-agent: *\nDisallow: /private/\nSitemap: {origin}/sitemap.xml\n".encode()
    )
    pages.update(_front_and_naughty_pages(areas))
    return SiteContent(pages, truth)


def _front_and_naughty_pages(areas: Sequence[str]) -> dict[str, Page]:
    naughty = {
        MISSING_PATH: "An old address",
        "/files/emblem.png": "Our emblem",
        "/empty.html": "A page to come",
        "/private/notes.html": "Internal notes",
    }
    front = "<article><h1>Library reference</h1><p>What the docstrings of libraries say, by area.</p></article>"
    return {
        "/": _html(
            "Library reference",
            front
            + _links("Areas", [_link(_area_path(area), area.capitalize()) for area in areas])
            + _links("More", [_link(path, text) for path, text in naughty.items()]),
            areas,
        ),
        "/files/emblem.png": Page("image/png", _png()),
        "/empty.html": Page(HTML, b""),
        "/private/notes.html": _html("Internal notes", f"<article><p>{PRIVATE_SENTENCE}</p></article>", areas),
    }


def _html(title: str, main: str, areas: Iterable[str]) -> Page:
    navigation = " | ".join([_link("/", "Home"), *(_link(_area_path(area), area.capitalize()) for area in areas)])
    return Page(
        HTML,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head><body>\n'
        f'<header><nav class="navbar">{navigation}</nav></header>\n<main>\n{main}\n</main>\n'
        '<footer class="footer"><p>Served on loopback for the demo. Texts belong to the authors of the libraries.</p>'
        "</footer>\n</body></html>\n".encode(),
    )


def _article_text(text: str) -> str:
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text) if block.strip())


def _block(block: str) -> str:
    lines = block.strip("\n").split("\n")
    if len(lines) >= 2 and _UNDERLINE.match(lines[1].strip()):
        rest = "\n".join(lines[2:])
        return f"<h2>{escape(lines[0].strip())}</h2>" + (f"\n{_block(rest)}" if rest.strip() else "")
    tag = "pre" if lines[0].lstrip().startswith(">>>") else "p"
    return f"<{tag}>{escape(chr(10).join(lines))}</{tag}>"


def _neighbours(paths: Sequence[str], number: int) -> str:
    links = []
    if number > 0:
        links.append(_link(paths[number - 1], "Previous"))
    if number + 1 < len(paths):
        links.append(_link(paths[number + 1], "Next"))
    return f'<nav class="pager">{" ".join(links)}</nav>'


def _links(heading: str, links: Iterable[str]) -> str:
    items = "".join(f"<li>{link}</li>" for link in links)
    return f'<nav class="links"><h2>{escape(heading)}</h2><ul>{items}</ul></nav>\n'


def _link(path: str, text: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def _sitemap(origin: str, urls: Iterable[str]) -> Page:
    entries = "".join(f"<url><loc>{escape(url)}</loc></url>\n" for url in [f"{origin}/", *urls])
    return Page(
        "application/xml",
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{entries}</urlset>\n".encode(),
    )


def _article_path(docstring: Docstring) -> str:
    return f"{_area_path(docstring.area)}{docstring.name}.html"


def _area_path(area: str) -> str:
    return f"/{area.replace(' ', '-')}/"


def _png() -> bytes:
    """A valid image of one grey pixel."""
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _png_chunk(b"IDAT", zlib.compress(b"\0\x80")) + _png_chunk(b"IEND", b"")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
