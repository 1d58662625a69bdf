"""XML documents: a record is an element, its fields are what is in it."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, cast

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.corpus.crawl.records.streams import open_bytes, open_text
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, MissingExtraError
from airflow_provider_autoglm.settings import Source

if TYPE_CHECKING:
    from lxml.etree import _Element

_DEPTH_OF_CHILDREN = 2


def read_xml_document(file: SourceFile, source: Source, storage: Storage, rows: RecordRows) -> Iterator[Batch]:
    """Batches of the elements whose path ends with ``records``, else of the children of the root.

    No entity is expanded and nothing is fetched, so a document can neither read files nor grow by itself; a reference
    to an entity of its own stays as it is written. Namespaces do not matter.

    :raises DamagedSourceError: if the document ends early, is not well-formed, or has a text of more than 10 MB.
    """
    if find_spec("lxml") is None:
        raise MissingExtraError("lxml", "crawl")
    from lxml import etree

    rows.know(source.fields)
    with _open(file, source.encoding, storage) as opened:
        try:
            for record in _records(opened, source):
                rows.add(_fields_of(record, source.fields))
                if rows.is_full:
                    yield rows.take()
        except etree.XMLSyntaxError as error:
            raise DamagedSourceError(file.uri, error) from error
        yield rows.take()


def _records(opened: IO[bytes], source: Source) -> Iterator[_Element]:
    """The elements that are records, each whole while it is the last one that was asked for."""
    from lxml import etree

    events = etree.iterparse(
        opened,
        events=("start", "end"),
        encoding="utf-8" if source.encoding else None,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    path: list[str] = []
    depth_of_record = 0
    for event, element in events:
        if event == "start":
            path.append(_name(element.tag))
            if not depth_of_record and _is_record(path, source.records):
                depth_of_record = len(path)
            continue
        if len(path) == depth_of_record:
            yield element
            depth_of_record = 0
        if not depth_of_record:
            _forget(element)
        path.pop()


def _is_record(path: Sequence[str], wanted: str) -> bool:
    if not wanted:
        return len(path) == _DEPTH_OF_CHILDREN
    names = wanted.strip("/").split("/")
    return list(path) == names if wanted.startswith("/") else list(path[-len(names) :]) == names


def _forget(element: _Element) -> None:
    """Free an element that was read, and those before it: a parser keeps what its root holds."""
    parent = element.getparent()
    element.clear()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _fields_of(record: _Element, fields: dict[str, str]) -> dict[str, str | None]:
    """The texts at the paths of ``fields``, else the attributes and children by name; several of one, line by line."""
    if fields:
        return {column: _joined(_texts_at(record, path.split("/"))) for column, path in fields.items()}
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in record.attrib.items():
        found[_name(name)].append(str(value))
    for child in record.iterchildren("*"):
        found[_name(child.tag)].append(_text_of(child))
    return {name: _joined(texts) for name, texts in found.items()}


def _texts_at(element: _Element, path: Sequence[str]) -> list[str]:
    step, *others = path
    if step == ".":
        return _texts_at(element, others) if others else [_text_of(element)]
    if step.startswith("@"):
        return [str(value) for name, value in element.attrib.items() if _name(name) == step[1:]]
    children = [child for child in element.iterchildren("*") if _name(child.tag) == step]
    if not others:
        return [_text_of(child) for child in children]
    return [text for child in children for text in _texts_at(child, others)]


def _text_of(element: _Element) -> str:
    return "".join(str(text) for text in element.itertext())


def _joined(texts: Sequence[str]) -> str | None:
    return "\n".join(text.strip() for text in texts) or None


def _name(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


@contextmanager
def _open(file: SourceFile, encoding: str, storage: Storage) -> Iterator[IO[bytes]]:
    """The bytes of a document, in UTF-8 if its encoding is given: the parser does not know all codecs."""
    if not encoding:
        with open_bytes(file.uri, file.compression, storage) as opened:
            yield opened
        return
    with open_text(file.uri, file.compression, storage, encoding=encoding, newline="") as text:
        yield cast("IO[bytes]", _InUtf8(text))


class _InUtf8(io.RawIOBase):
    """A text as bytes. What stands for undecodable ones stays invalid, so that the parser sees the damage."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text

    def read(self, size: int = -1) -> bytes:
        return self._text.read(size).encode("utf-8", "surrogatepass")
