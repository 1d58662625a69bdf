"""Counts by name as a table with a bar beside each number: for names that are longer than fit below a bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from airflow_provider_autoglm.corpus.report.markup import cut

_MAX_NAME_CHARS = 60


def bar_list(columns: Sequence[str], counts: Mapping[str, int]) -> str:
    """One row a name: its count, its share of all counts, and a bar as long as the count.

    :param columns: what the names and the counts are.
    """
    whole = sum(counts.values())
    longest = max([1, *counts.values()])
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (*columns, "share"))
    rows = "".join(_row(name, count, whole, longest) for name, count in counts.items())
    return f'<table class="bars"><thead><tr>{head}<td class="length"></td></tr></thead><tbody>{rows}</tbody></table>'


def _row(name: str, count: int, whole: int, longest: int) -> str:
    share = f"{count / whole:.1%}" if whole else ""
    # The table's numbers say it already: the bar is for the eye alone.
    bar = f'<span style="width:{100 * count / longest:.1f}%"></span>' if count else ""
    return (
        f'<tr><th scope="row"><bdi>{cut(name, _MAX_NAME_CHARS)}</bdi></th><td>{count:,}</td><td>{share}</td>'
        f'<td class="length" aria-hidden="true">{bar}</td></tr>'
    )
