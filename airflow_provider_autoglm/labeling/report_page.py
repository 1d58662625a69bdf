"""The report of a labelling as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_autoglm.corpus.report.aside_section import aside_section
from airflow_provider_autoglm.corpus.report.bar_chart import bar_chart
from airflow_provider_autoglm.corpus.report.bar_list import bar_list
from airflow_provider_autoglm.corpus.report.markup import (
    content,
    cut,
    document_name,
    document_text,
    figure,
    head,
    page,
    settings_shown,
    table,
)
from airflow_provider_autoglm.corpus.report.tally import most_frequent
from airflow_provider_autoglm.corpus.schema import normalise_text
from airflow_provider_autoglm.labeling.report import Report
from airflow_provider_autoglm.labeling.report_tally import Route, bars
from airflow_provider_autoglm.labeling.report_texts import LabelledText
from airflow_provider_autoglm.labeling.report_words import explained_section, label_and_score
from airflow_provider_autoglm.labeling.rows import INVALID_OUTPUT, MISSING_TEXT, MODEL_ERROR
from airflow_provider_autoglm.settings.label import ANY_LANGUAGE, LabelSettings

_MEANINGS = {
    MISSING_TEXT: "no text",
    MODEL_ERROR: "the model breaks on this text",
    INVALID_OUTPUT: "the model gave no usable answer for this text",
}
_LEAST_SURE = "The smallest lead of the label over the second one first."
_ABSTAINED = "Some that the labeler abstained from, drawn by their ids."
_LABELS_SHOWN = 40
_ROUTES_SHOWN = 30
_MODELS_SHOWN = 8
_REASONS_SHOWN = 6
_MAX_TEXT_CHARS = 240
_MAX_LABEL_CHARS = 60
_MAX_LABELER_CHARS = 80
_MAX_SETTING_CHARS = 120


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the texts are, which are escaped."""
    return page(
        "Labelled",
        [
            _head(report),
            settings_shown("What decided", _decided(report.settings)),
            _labels(report),
            _certainty(report),
            _calibration(report),
            _routes(report.tally.routes),
            _texts("Least sure", _LEAST_SURE, report.texts.least_sure),
            _texts("Without a label", _ABSTAINED, report.texts.abstained),
            explained_section(report.texts, report.settings, is_fitted=report.is_fitted),
            aside_section(
                "Rejected",
                report.rejected,
                meaning=lambda reason: _MEANINGS.get(reason, ""),
                none="Nothing was rejected.",
                most=_REASONS_SHOWN,
            ),
        ],
    )


def _head(report: Report) -> str:
    counters, tally = report.counters, report.tally
    figures = {
        "documents in": f"{counters.rows_in:,}",
        "labelled": f"{tally.labelled:,}",
        "without a label": f"{tally.abstained:,}",
        "labelled by people": f"{tally.labelled_by_people:,}",
        "rejected": f"{counters.rejected:,}",
        "seconds": f"{report.seconds:,.1f}",
    }
    tried = tally.labelled + tally.abstained
    return head(
        "Labelled",
        pipeline=report.pipeline,
        created_at=report.created_at,
        uri=report.uri,
        figures=figures,
        more=[f"{tally.labelled / tried:.1%} got a label"] if tried else [],
    )


def _decided(settings: LabelSettings) -> dict[str, str]:
    decided = {"kind": settings.kind, "model": _model(settings, None)}
    for language in sorted(set(settings.models) - {ANY_LANGUAGE})[:_MODELS_SHOWN]:
        decided[f"model for {language[:_MAX_LABEL_CHARS]}"] = _model(settings, language)
    decided["min_score"] = f"{settings.min_score:g}"
    if settings.kind == "embedding":
        decided |= {"min_similarity": f"{settings.min_similarity:g}", "refine": "yes" if settings.refine else "no"}
    decided |= {"precision": settings.precision, "max_tokens": f"{settings.max_tokens:,}"}
    if settings.mc_dropout:
        decided["mc_dropout"] = str(settings.mc_dropout)
    return decided


def _model(settings: LabelSettings, language: str | None) -> str:
    model = settings.model_for(language) if settings.has_model_for(language) else "none: texts stay without label"
    return model[:_MAX_SETTING_CHARS]


def _labels(report: Report) -> str:
    tally = report.tally
    # A label of the settings that no text got is worth seeing.
    named = {definition.name: 0 for definition in report.settings.labels}
    lists = [_label_list("By the labeler", {**named, **tally.by_label})]
    if tally.by_people:
        lists.append(_label_list("By people, untouched here", tally.by_people))
    return f'<h2>Labels</h2><div class="charts">{"".join(lists)}</div>'


def _label_list(title: str, counts: Mapping[str, int]) -> str:
    return figure(title, bar_list(["label", "texts"], most_frequent(counts, _LABELS_SHOWN)))


def _certainty(report: Report) -> str:
    charts = "".join(
        bar_chart(bars(counts), name=name, title=title, x_axis=axis, y_axis="texts")
        for name, title, axis, counts in (
            ("scores", "Score of the label", "score from", report.tally.scores),
            ("margins", "Lead over the second label", "margin from", report.tally.margins),
        )
    )
    return f'<h2>How sure</h2><div class="charts">{charts}</div>'


def _calibration(report: Report) -> str:
    parts = ["<h2>What a score means</h2>"]
    if not report.calibration:
        parts.append(
            "<p>Scores are not calibrated: there were too few texts of known label. They rank texts by how sure the"
            " labeler is; they are not the share that is right.</p>"
        )
    else:
        parts.append(
            "<p>Scores are calibrated on texts of known label: of texts that belong to one of the labels, about nine in"
            " ten with a score of 0.9 should be right. The error is the mean distance between the two (ECE); that after"
            " is of texts the temperature was not fitted on.</p>"
        )
        parts.append(_calibration_table(report.calibration))
    for route, agreement in report.int8_agreement.items():
        of = "" if route == ANY_LANGUAGE else f" of {content(route)}"
        used = "used" if agreement >= report.settings.int8_min_agreement else "not used"
        told = f"INT8 gave {agreement:.1%} of the sampled texts{of} the label of fp32: it was {used}."
        parts.append(f"<p>{told}</p>")
    return "".join(parts)


def _calibration_table(calibration: Mapping[str, Mapping[str, float]]) -> str:
    columns = ["texts of", "known texts", "temperature", "error before", "error after"]
    is_one = list(calibration) == [ANY_LANGUAGE]
    rows: list[list[str | float]] = []
    for route, found in list(calibration.items())[:_ROUTES_SHOWN]:
        name = "all languages" if is_one else route[:_MAX_LABEL_CHARS]
        rows.append([name, int(found["rows"]), found["temperature"], found["ece_before"], found["ece_after"]])
    return f'<div class="wide">{table(columns, rows)}</div>'


def _routes(routes: Mapping[tuple[str, str], Route]) -> str:
    ordered = sorted(routes.items(), key=lambda entry: (-entry[1].texts, entry[0]))
    if not ordered:
        return ""
    rows: list[list[str | float]] = [
        [
            f"{lang} · {labeler[:_MAX_LABELER_CHARS]}",
            route.texts,
            route.labelled / route.texts,
            route.mean_score if route.labelled else "",
        ]
        for (lang, labeler), route in ordered[:_ROUTES_SHOWN]
    ]
    listed = table(["language and labeler", "texts", "share with a label", "mean score"], rows)
    left_out = len(ordered) - len(rows)
    more = f'<p class="note">{left_out:,} further languages are left out.</p>' if left_out else ""
    return f"<h2>Languages and labelers</h2>{figure('Texts that a labeler saw', listed)}{more}"


def _texts(title: str, note: str, texts: Sequence[LabelledText]) -> str:
    if not texts:
        return ""
    shown = "".join(_text(text) for text in texts)
    return f'<h2>{content(title)}</h2><p>{content(note)}</p><div class="reasons">{shown}</div>'


def _text(text: LabelledText) -> str:
    document = text.document
    return (
        f"<article><h3>{label_and_score(text)}</h3>{document_name(document, is_id_shown=False)}"
        f"{document_text(document, cut(normalise_text(document.text), _MAX_TEXT_CHARS))}</article>"
    )
