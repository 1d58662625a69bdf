from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_autoglm.exceptions import DamagedSourceError
from tests.corpus.crawl.records.conftest import Crawl

FEED = """<?xml version="1.0"?>
<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Feed</title>
<item id="7"><title>One</title><body><p>First <b>bold</b>.</p><p>Second.</p></body><dc:creator>Me</dc:creator>
  <link href="https://a.org/1"/><tag>a</tag><tag>b</tag><!-- no --></item>
<item id="8"><title>Two</title><body><item>inner</item></body></item>
</channel></rss>"""


@pytest.fixture
def feed(tmp_path: Path) -> str:
    (tmp_path / "feed.xml").write_text(FEED)
    return str(tmp_path / "feed.xml")


@pytest.mark.parametrize("records", ["item", "channel/item", "/rss/channel/item"])
def test_fields_are_paths_from_the_element_of_a_record(feed: str, crawl_files: Crawl, records: str) -> None:
    fields = {
        "text": "body/p",
        "title": "title",
        "url": "link/@href",
        "number": "@id",
        "author": "creator",
        "tags": "tag",
        "all": "body/.",
        "nothing": "body/q",
    }

    read = crawl_files({"files": feed, "records": records, "fields": fields})

    (row,) = read.kept
    assert (row["text"], row["title"], row["url"]) == ("First bold.\nSecond.", "One", "https://a.org/1")
    assert (row["number"], row["author"], row["tags"], row["nothing"]) == ("7", "Me", "a\nb", None)
    assert row["all"] == "First bold.Second."
    assert read.reasons == ["missing_text"]


def test_without_paths_children_of_the_root_are_records_of_attributes_and_children(
    tmp_path: Path, crawl_files: Crawl
) -> None:
    (tmp_path / "posts.xml").write_text('<posts><row text="one" Id="1"/><row Id="2"><text>two</text></row></posts>')

    assert [(row["text"], row["Id"]) for row in crawl_files(str(tmp_path / "posts.xml")).kept] == [
        ("one", "1"),
        ("two", "2"),
    ]


def test_more_records_than_a_batch_are_all_read(tmp_path: Path, crawl_files: Crawl) -> None:
    rows = "\n".join(f"<row><text>record {number}</text></row>" for number in range(2_500))
    (tmp_path / "a.xml").write_text(f"<rows>{rows}</rows>")

    assert crawl_files(str(tmp_path / "a.xml")).texts == [f"record {number}" for number in range(2_500)]


def test_entities_read_no_files_and_stay_as_written(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "secret").write_text("marked-secret")
    declared = f'<!DOCTYPE r [<!ENTITY own "value"><!ENTITY file SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "a.xml").write_text(f"{declared}<r><d><text>&own; &file; &amp; &#233;</text></d></r>")

    assert crawl_files(str(tmp_path / "a.xml")).texts == ["&own; &file; & é"]


def test_entities_that_explode_end_the_file_and_not_the_memory(tmp_path: Path, crawl_files: Crawl) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 100}">' for n in range(1, 9))
    (tmp_path / "a.xml").write_text(f'<!DOCTYPE r [<!ENTITY l0 "{"x" * 1_000}">{levels}]><r><d text="&l8;"/></r>')

    with pytest.raises(DamagedSourceError, match="amplification"):
        crawl_files(str(tmp_path / "a.xml"))


@pytest.mark.parametrize("content", ["<r><d><text>one</text></d>", "", "no xml", "<r><d>&undeclared;</r>"])
def test_what_is_not_well_formed_to_its_end_fails(tmp_path: Path, crawl_files: Crawl, content: str) -> None:
    (tmp_path / "a.xml").write_text(content)

    with pytest.raises(DamagedSourceError, match=r"a\.xml"):
        crawl_files(str(tmp_path / "a.xml"))


def test_a_given_encoding_wins_over_the_declared_one(tmp_path: Path, crawl_files: Crawl) -> None:
    content = '<?xml version="1.0" encoding="ascii"?><r><d><text>größe 中</text></d></r>'
    (tmp_path / "a.xml").write_bytes(content.encode("gb18030"))

    assert crawl_files({"files": str(tmp_path / "a.xml"), "encoding": "gb18030"}).texts == ["größe 中"]


def test_bytes_that_are_no_text_in_the_given_encoding_are_damage(tmp_path: Path, crawl_files: Crawl) -> None:
    (tmp_path / "a.xml").write_bytes(b"<r><d><text>gr\xf6\xdfe</text></d></r>")

    with pytest.raises(DamagedSourceError, match=r"a\.xml"):
        crawl_files({"files": str(tmp_path / "a.xml"), "encoding": "utf-8"})
