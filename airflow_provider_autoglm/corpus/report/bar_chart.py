"""A bar chart as inline SVG, and its numbers as a table for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from airflow_provider_autoglm.corpus.report.markup import table

_WIDTH, _HEIGHT = 520, 230
_LEFT, _TOP, _BOTTOM = 8, 26, 44
_LONGEST_BAR = _HEIGHT - _TOP - _BOTTOM
_LABELS_THAT_FIT = 16
_WIDEST_BAR = 44
_SHORTEST_BAR = 2
_THOUSAND = 1_000


@dataclass(frozen=True)
class Bar:
    """One bar: what stands below it, and its length."""

    label: str
    count: int


def bar_chart(bars: Sequence[Bar], *, name: str, title: str, x_axis: str, y_axis: str, longest: int = 1) -> str:
    """An SVG figure with ``title`` as its caption, and a table of the same numbers to unfold.

    :param bars: one at least.
    :param name: an id no other chart of the page has.
    :param longest: the longest bar of a chart that this one is compared with: both have one scale then.
    """
    step = (_WIDTH - 2 * _LEFT) / len(bars)
    longest = max(longest, *(bar.count for bar in bars))
    sparse = -(-len(bars) // _LABELS_THAT_FIT)
    drawn = "".join(_bar(place, bar, step, longest, is_labelled=place % sparse == 0) for place, bar in enumerate(bars))
    if not any(bar.count for bar in bars):
        drawn += f'<text x="{_WIDTH / 2:g}" y="{_HEIGHT / 2:g}">none</text>'
    ground = _HEIGHT - _BOTTOM
    numbers = table([x_axis, y_axis], [(bar.label, bar.count) for bar in bars])
    return (
        f'<figure><figcaption><h3>{escape(title)}</h3></figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(_in_words(bars, y_axis))}</desc>'
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{ground}" y2="{ground}"/>{drawn}'
        f'<text class="axis-name" x="{_WIDTH / 2:g}" y="{_HEIGHT - 6}">{escape(x_axis)}</text></svg>'
        f"<details><summary>Numbers</summary>{numbers}</details></figure>"
    )


def _bar(place: int, bar: Bar, step: float, longest: int, *, is_labelled: bool) -> str:
    ground = _HEIGHT - _BOTTOM
    middle = _LEFT + step * (place + 0.5)
    width = min(step * 0.72, _WIDEST_BAR)
    height = max(_SHORTEST_BAR, _LONGEST_BAR * bar.count / longest) if bar.count else 0
    label = escape(bar.label)
    parts = [f"<g><title>{label}: {bar.count:,}</title>"]
    if bar.count:
        parts.append(
            f'<rect class="bar" x="{middle - width / 2:.1f}" y="{ground - height:.1f}" width="{width:.1f}"'
            f' height="{height:.1f}" rx="2"/>'
        )
    if is_labelled:
        parts.append(f'<text class="label" x="{middle:.1f}" y="{ground + 16}">{label}</text>')
    if step >= _WIDTH / _LABELS_THAT_FIT / 1.1 and bar.count:
        parts.append(f'<text class="count" x="{middle:.1f}" y="{ground - height - 6:.1f}">{_short(bar.count)}</text>')
    return "".join([*parts, "</g>"])


def _short(count: int) -> str:
    """At most five characters: 9999, 12k, 3.4M."""
    if count < 10 * _THOUSAND:
        return str(count)
    if count < _THOUSAND * _THOUSAND:
        return f"{count // _THOUSAND}k"
    return f"{count / _THOUSAND / _THOUSAND:.1f}M"


def _in_words(bars: Sequence[Bar], y_axis: str) -> str:
    counted = ", ".join(f"{bar.count:,} at {bar.label}" for bar in bars if bar.count)
    return f"{y_axis}: {counted or 'none'}"
