from __future__ import annotations

import pytest

from airflow_provider_autoglm.corpus.language import detect_languages

ENGLISH = "The river rose during the night, and by the morning the whole of the valley stood under water."
GERMAN = "Der Fluss stieg in der Nacht, und am Morgen stand das ganze Tal unter Wasser, so weit man sehen konnte."
CHINESE = "夜里河水上涨、到了早晨、整个山谷都被淹没在水中、放眼望去、到处都是一片汪洋、看不到边。"
CODE = "int rc = sqlite3_prepare_v2(db, zSql, -1, &pStmt, 0); if( rc!=SQLITE_OK ){ sqlite3_finalize(pStmt); } // 0x1F\n"


def test_the_language_of_several_lines_and_of_no_language() -> None:
    languages, scores = detect_languages([f"{ENGLISH}\n\n{ENGLISH}\n", GERMAN, CHINESE])

    assert languages == ["en", "de", "zh"]
    assert all(score is not None and 0.5 < score <= 1 for score in scores)
    assert detect_languages([]) == ([], [])


@pytest.mark.parametrize(("prose", "language"), [(ENGLISH, "en"), (GERMAN, "de")])
def test_code_around_a_text_does_not_hide_its_language(prose: str, language: str) -> None:
    text = f"{CODE * 6}{prose}\n{CODE * 6}"
    (found,), (certainty,) = detect_languages([text])

    assert found == language
    assert certainty is not None
    assert certainty > 0.5


@pytest.mark.parametrize("text", ["", "12345 67890 ++ 12345", "🙂"])
def test_a_text_without_letters_has_no_certain_language(text: str) -> None:
    _, (certainty,) = detect_languages([text])

    assert certainty is not None
    assert certainty < 0.9
