"""Documents with known duplicates: stretches of real paragraphs, and planted variants of a fifth of them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa

from benchmarks.dedupe.debian import Source
from benchmarks.dedupe.paragraphs import is_chinese

PLANTED_SHARE = 0.22
ORIGINAL = "original"
HEADERS = (
    "Copyright notice: this page may be reproduced with attribution. ",
    "Home > Documentation > Manual - last updated by the maintainers. ",
    "This document is part of a larger collection; see the index. ",
)
CHINESE_HEADERS = ("版权所有 转载请注明出处。", "首页 > 文档 > 手册 最后更新。", "本文属于一套更大的文集 见目录。")
_PUNCTUATION = re.compile(r"[.,;:\u3002\uff0c\uff1b\uff1a]")
_ROWS_OF_A_TABLE = 10_000


@dataclass(frozen=True)
class Shape:
    """How long the documents of a set are, in characters, and in which script."""

    name: str
    shortest: int
    longest: int
    is_chinese: bool = False


SHORT = Shape("short", 200, 350)
LONG = Shape("2,000 characters", 1_800, 2_200)
CHINESE = Shape("Chinese", 120, 240, is_chinese=True)


@dataclass(frozen=True)
class Document:
    """A text, the family whose members are variants of one text, and how it was made (:data:`VARIANTS`)."""

    text: str
    family: int
    variant: str


def unique_files(sources: Sequence[Source]) -> list[list[str]]:
    """The paragraphs of all files, each paragraph once: those that differ in case or punctuation alone are one."""
    seen: set[bytes] = set()
    files = []
    for source in sources:
        for paragraphs in source.files():
            kept = []
            for paragraph in paragraphs:
                digest = blake2b("".join(re.findall(r"\w+", paragraph.lower())).encode(), digest_size=12).digest()
                if digest not in seen:
                    seen.add(digest)
                    kept.append(paragraph)
            files.append(kept)
    return files


def stretches(files: Iterable[Sequence[str]], shape: Shape) -> Iterator[str]:
    """Consecutive paragraphs of a file, cut into texts of the shape's length that do not overlap."""
    for paragraphs in files:
        rest = ""
        for paragraph in paragraphs:
            if is_chinese(paragraph) != shape.is_chinese:
                continue
            rest = f"{rest}\n{paragraph}" if rest else paragraph
            while len(rest) >= shape.shortest:
                end = _end(rest, shape)
                yield rest[:end].rstrip()
                rest = rest[end:].lstrip()


def documents(texts: Sequence[str], count: int, seed: int) -> list[Document]:
    """``count`` documents in random order, ``PLANTED_SHARE`` of them variants of one other each.

    :raises ValueError: if ``texts`` are too few; :func:`largest` says how many documents they are enough for.
    """
    if count > largest(len(texts)):
        raise ValueError(f"{len(texts)} texts are not enough for {count} documents")
    generator = random.Random(seed)
    planted = round(count * PLANTED_SHARE)
    originals = generator.sample(range(len(texts)), count - planted)
    made = [Document(texts[number], family, ORIGINAL) for family, number in enumerate(originals)]
    names = list(VARIANTS)
    for family in range(planted):
        variant = names[family % len(names)]
        stranger = texts[generator.randrange(len(texts))]
        made.append(Document(VARIANTS[variant](made[family].text, stranger, generator), family, variant))
    generator.shuffle(made)
    return made


def largest(texts: int) -> int:
    """The most documents that ``texts`` real texts are enough for."""
    return int(texts / (1 - PLANTED_SHARE))


def as_tables(made: Sequence[Document]) -> Iterator[pa.Table]:
    """Documents as a corpus takes them, with ``family`` and ``variant``; ``url`` is the number of the row."""
    for start in range(0, len(made), _ROWS_OF_A_TABLE):
        some = made[start : start + _ROWS_OF_A_TABLE]
        yield pa.table(
            {
                "url": [str(number) for number in range(start, start + len(some))],
                "text": [document.text for document in some],
                "family": pa.array([document.family for document in some], pa.int64()),
                "variant": [document.variant for document in some],
            }
        )


def replace_words(share: float) -> Callable[[str, str, random.Random], str]:
    """Replace ``share`` of the words, at least one, by words of another text; characters where Chinese is written."""

    def replaced(text: str, stranger: str, generator: random.Random) -> str:
        units, others = (list(text), list(stranger)) if is_chinese(text) else (text.split(" "), stranger.split())
        for place in generator.sample(range(len(units)), max(1, round(share * len(units)))):
            units[place] = generator.choice(others)
        return ("" if is_chinese(text) else " ").join(units)

    return replaced


def change_layout(text: str, _stranger: str, generator: random.Random) -> str:
    """Other white space, case and punctuation."""
    spaced = re.sub(r"\s+", lambda _: generator.choice((" ", "  ", "\n", "\t")), text)
    punctuated = _PUNCTUATION.sub(lambda _: generator.choice((" -", ";", "!", "")), spaced)
    return generator.choice((str.upper, str.lower, str.title))(punctuated)


def cut_tail(text: str, _stranger: str, generator: random.Random) -> str:
    """Without the last 5 to 15 %."""
    return text[: int(len(text) * generator.uniform(0.85, 0.95))]


def add_header(text: str, _stranger: str, generator: random.Random) -> str:
    """Behind a line that others have too."""
    return f"{generator.choice(CHINESE_HEADERS if is_chinese(text) else HEADERS)}\n{text}"


VARIANTS: dict[str, Callable[[str, str, random.Random], str]] = {
    "1 % of words": replace_words(0.01),
    "3 % of words": replace_words(0.03),
    "5 % of words": replace_words(0.05),
    "layout": change_layout,
    "cut tail": cut_tail,
    "header": add_header,
}


def _end(text: str, shape: Shape) -> int:
    """Where a document ends: with the text if that is not too long, else between two words."""
    if len(text) <= shape.longest:
        return len(text)
    space = max(text.rfind(" ", shape.shortest, shape.longest), text.rfind("\n", shape.shortest, shape.longest))
    return space if space > 0 else shape.longest
