"""Texts with the words marked that carried their label, as a section of a page."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_autoglm.corpus.report.markup import ELLIPSIS, content, cut, document_text
from airflow_provider_autoglm.labeling.explain import WordWeight
from airflow_provider_autoglm.labeling.report_texts import LabelledText, Shown
from airflow_provider_autoglm.settings.label import LabelSettings

_MAX_CHARS = 500
_MAX_WORD_CHARS = 24
_MAX_LABEL_CHARS = 60
_MAX_TITLE_CHARS = 80
_MAX_WHY_CHARS = 200
_MOST_MARKED = 12
_MOST_LISTED = 4
_WORTH_MARKING = 0.15
_STRONG = 0.5
"""Shares of the largest weight of the text, whatever its sign."""
_MOST_BYTES = 90_000

_HOW_READ = (
    '<p>Underlined words speak <mark class="for strong">strongly</mark> or <mark class="for">somewhat</mark> for the'
    ' label, dashed ones <mark class="against strong">strongly</mark> or <mark class="against">somewhat</mark> against'
    " it. The number is what a word adds to the label's log-odds: {how}. Only what the model reads of the first 2,000"
    " characters is looked at.</p>"
)
_GRADIENTS = "integrated gradients, against the same text with every word masked"
_OCCLUSION = "the mean of what they lose without it and what they gain by it alone (of a long text by a run of words)"
_UNREFINED = "<p>This is the labeler as its phrases describe it, before it was refined on the texts.</p>"


def explained_section(shown: Shown, settings: LabelSettings, *, is_fitted: bool) -> str:
    """The explained texts, as many as have room, and what there is to know about them."""
    title = "<h2>Words that carried the label</h2>"
    if shown.unexplained:
        return f"{title}<p>{content(shown.unexplained)}</p>"
    if not shown.explained:
        return f"{title}<p>No text was looked into.</p>"
    if not any(text.words for text in shown.explained):
        why = next((text.unexplained for text in shown.explained if text.unexplained), "they have no words")
        return f"{title}<p>The words behind these labels could not be found out: {cut(why, _MAX_WHY_CHARS)}</p>"
    how = _GRADIENTS if settings.kind in {"classifier", "nli"} else _OCCLUSION
    unrefined = _UNREFINED if settings.kind == "embedding" and settings.refine and not is_fitted else ""
    articles, left_out = _with_room([_article(text) for text in shown.explained])
    more = f'<p class="note">{left_out:,} further texts were explained and have no room here.</p>' if left_out else ""
    return f'{title}{_HOW_READ.format(how=how)}{unrefined}<div class="reasons">{"".join(articles)}</div>{more}'


def label_and_score(text: LabelledText) -> str:
    """The label of a text and how sure it is, as HTML."""
    label = "<em>no label</em>" if text.label is None else f"<bdi>{cut(text.label, _MAX_LABEL_CHARS)}</bdi>"
    told = [f"score {text.score:.2f}"] if text.score is not None else []
    told += [f"lead {text.margin:.2f}"] if text.margin is not None else []
    return f'{label} <span class="rows">{" · ".join(told)}</span>'


def _with_room(articles: Sequence[str]) -> tuple[list[str], int]:
    """As many of the first as fit, and how many do not."""
    fitting: list[str] = []
    size = 0
    for article in articles:
        size += len(article.encode())
        if size > _MOST_BYTES:
            break
        fitting.append(article)
    return fitting, len(articles) - len(fitting)


def _article(text: LabelledText) -> str:
    document = text.document
    title = cut(document.title or "", _MAX_TITLE_CHARS)
    name = f'<p class="name"><bdi class="title">{title}</bdi></p>' if title else ""
    marked = document_text(document, _marked(document.text, text.words))
    why = f'<p class="note">Not explained: {cut(text.unexplained, _MAX_WHY_CHARS)}</p>' if text.unexplained else ""
    return f"<article><h3>{label_and_score(text)}</h3>{name}{marked}{_listed(text.words)}{why}</article>"


def _marked(text: str, words: Sequence[WordWeight]) -> str:
    """The beginning of the text with its weighty words in marks."""
    strongest = max((abs(word.weight) for word in words), default=0.0)
    worth = [word for word in words if abs(word.weight) > _WORTH_MARKING * strongest and word.end <= _MAX_CHARS]
    marked = sorted(_by_weight(worth)[:_MOST_MARKED], key=lambda word: word.start)
    parts: list[str] = []
    place = 0
    for word in marked:
        parts.append(content(text[place : word.start]))
        strength = " strong" if abs(word.weight) > _STRONG * strongest else ""
        side = "for" if word.weight > 0 else "against"
        parts.append(
            f'<mark class="{side}{strength}" title="{word.weight:+.2f}">{content(text[word.start : word.end])}</mark>'
        )
        place = word.end
    parts.append(content(text[place:_MAX_CHARS]) + (ELLIPSIS if len(text) > _MAX_CHARS else ""))
    return "".join(parts)


def _listed(words: Sequence[WordWeight]) -> str:
    """The strongest words of both sides in words and numbers."""
    sides = [
        (name, _by_weight([word for word in words if word.weight * sign > 0])[:_MOST_LISTED])
        for name, sign in (("For", 1), ("Against", -1))
    ]
    lines = [
        f"{name}: " + " · ".join(f"<bdi>{cut(word.word, _MAX_WORD_CHARS)}</bdi> {word.weight:+.2f}" for word in side)
        for name, side in sides
        if side
    ]
    return f'<p class="note">{"<br>".join(lines)}</p>' if lines else ""


def _by_weight(words: Sequence[WordWeight]) -> list[WordWeight]:
    return sorted(words, key=lambda word: (-abs(word.weight), word.start))
