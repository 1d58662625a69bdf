from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling import review
from airflow_provider_autoglm.settings import LabelSettings
from tests.corpus.conftest import killed_after_shards
from tests.labeling.review.conftest import LABELS, Checks, by_id, drawn, review_settings, row, rows

WIDE = {"margin": 0.1}


def shards_of(uri: str) -> list[str]:
    return [stored.shard.sha256 for stored in Corpus.open(uri).shards]


def asked(uri: str) -> set[str]:
    return {each["doc_id"] for each in drawn(uri)}


def test_each_drawn_text_stands_for_its_share_of_its_label(checks: Checks) -> None:
    result = checks.draw(checks.corpus([row(number, "a" if number % 5 else "b") for number in range(1_000)]), **WIDE)
    found = drawn(result.uri)
    assert {each["review_set"] for each in found} == {"sample"}
    for label, population in (("a", 800), ("b", 200)):
        of_label = [each for each in found if each["stratum"] == label]
        assert {each["label"] for each in of_label} == {label}
        assert {each["stratum_rows"] for each in of_label} == {population}
        assert sum(each["weight"] for each in of_label) == pytest.approx(population)
    assert result.metrics["review/population"] == 1_000
    assert result.metrics["review/sample"] == result.rows_out == len(found) < 80


def test_forms_are_of_one_set_each_of_like_size_and_not_sorted_by_label(checks: Checks) -> None:
    content = [row(number, None if number < 40 else "ab"[number % 2]) for number in range(400)]
    result = checks.draw(checks.corpus(content), suspicious_texts=30, form_texts=20, **WIDE)
    found = drawn(result.uri)
    sets = {each["form"]: each["review_set"] for each in found}
    sizes = Counter(each["form"] for each in found)
    assert list(sets) == list(range(1, len(sets) + 1))
    assert list(sets.values()) == sorted(sets.values())
    assert set(sets.values()) == {"sample", "suspicious"}
    assert max(sizes.values()) <= 20
    for review_set in ("sample", "suspicious"):
        of_set = [sizes[form] for form, each in sets.items() if each == review_set]
        assert max(of_set) - min(of_set) <= 1
    first = [each for each in found if each["form"] == 1]
    assert [each["position"] for each in first] == list(range(len(first)))
    assert [each["label"] for each in first] != sorted(each["label"] for each in first)
    assert result.metrics["review/forms"] == len(sets)


def test_suspicious_texts_are_none_of_the_sample_and_have_no_weight(checks: Checks) -> None:
    content = [row(number, None if number < 40 else "ab"[number % 2]) for number in range(400)]
    found = drawn(checks.draw(checks.corpus(content), suspicious_texts=30, **WIDE).uri)
    sample = {each["doc_id"] for each in found if each["review_set"] == "sample"}
    suspicious = [each for each in found if each["review_set"] == "suspicious"]
    assert len(suspicious) == 30
    assert not sample & {each["doc_id"] for each in suspicious}
    assert {(each["weight"], each["stratum"], each["stratum_rows"]) for each in suspicious} == {(None, None, None)}
    assert Counter(each["label"] is None for each in suspicious)[True] == 15
    assert not any(each["label"] is None for each in found if each["review_set"] == "sample")


def test_who_was_labelled_by_people_is_not_asked(checks: Checks) -> None:
    content = [row(number, "a", label_source="human" if number % 2 else "auto") for number in range(60)]
    result = checks.draw(checks.corpus(content), suspicious_texts=20)
    human = {each["doc_id"] for each in content if each["label_source"] == "human"}
    assert result.metrics["review/population"] == 30
    assert not asked(result.uri) & human


def test_the_same_corpus_is_drawn_from_alike_in_any_order_of_its_shards(checks: Checks) -> None:
    content = rows(600)
    one, two = checks.corpus(content[:300]), checks.corpus(content[300:])
    forward, backward = (checks.draw(source, suspicious_texts=10, **WIDE).uri for source in ([one, two], [two, one]))
    assert shards_of(forward) == shards_of(backward)


def test_another_corpus_is_drawn_from_anew(checks: Checks) -> None:
    first, second = (checks.draw(checks.corpus(rows(count)), **WIDE).uri for count in (600, 601))
    assert len(asked(first) & asked(second)) < len(asked(first)) / 2


def test_a_second_round_asks_about_further_texts_and_both_are_one_sample(checks: Checks) -> None:
    source = checks.corpus([row(number, "a" if number % 5 else "b") for number in range(1_000)])
    first = checks.draw(source, suspicious_texts=20, **WIDE)
    second = checks.draw(source, suspicious_texts=20, earlier=first.uri, **WIDE)
    assert not asked(first.uri) & asked(second.uri)
    assert second.metrics["review/suspicious"] == 0
    sample = [each for each in drawn(first.uri) if each["review_set"] == "sample"]
    further = drawn(second.uri)
    assert len(further) == len(sample)
    joint = Counter(each["stratum"] for each in [*sample, *further])
    assert {each["weight"] for each in further} == {800 / joint["a"], 200 / joint["b"]}


def test_a_second_round_is_drawn_from_the_same_corpus_with_the_same_settings(checks: Checks) -> None:
    source, other = checks.corpus(rows(200)), checks.corpus(rows(201))
    first = checks.draw(source, **WIDE)
    with pytest.raises(SettingsError, match="no first draw from these corpora"):
        checks.draw(other, earlier=first.uri, **WIDE)
    with pytest.raises(SettingsError, match="drawn with other settings"):
        checks.draw(source, earlier=first.uri, margin=0.2)
    second = checks.draw(source, earlier=first.uri, **WIDE)
    with pytest.raises(SettingsError, match="no first draw"):
        checks.draw(source, earlier=second.uri, **WIDE)


def test_texts_are_cut_and_made_readable_and_say_so(checks: Checks) -> None:
    nasty = row(0, text="\u202e<b>\x00" + "x" * 5_000, title="a\nb", url="https://e.org/" + "y" * 900)
    result = checks.draw(checks.corpus([nasty, row(1, text="", title=None, url=None)]), shown_characters=50)
    first, second = sorted(drawn(result.uri), key=lambda each: each["text"])
    assert first["text"] == "<b>␀" + "x" * 46 + " … [50 of 5,005 characters]"
    assert (first["title"], len(first["url"])) == ("a b", 500)
    assert (second["text"], second["title"], second["url"]) == ("[empty text]", None, None)


def test_what_does_not_decide_the_draw_leaves_it_as_it_is(checks: Checks) -> None:
    source, destination = checks.corpus(rows(15)), checks.uri("draw")

    def again(label: LabelSettings = LABELS, *, force: bool = False, **settings: object) -> bool:
        parsed = review_settings(**{"suspicious_texts": 5, **settings})
        return review.draw(source, destination, parsed, label, provenance=Provenance(force=force)).reused

    assert not again()
    assert again(target_accuracy=0.5, timeout_hours=1, on_no_answer="fail", min_answered=0.5)
    assert again(LABELS.model_copy(update={"min_score": 0.5}))
    assert not again(force=True)
    assert not again(LABELS.model_copy(update={"model": "other"}))
    assert not again(margin=0.2)


def test_without_suspicious_texts_the_model_does_not_matter(checks: Checks) -> None:
    source, destination = checks.corpus(rows(15)), checks.uri("draw")
    models = [LABELS.model_copy(update={"model": name}) for name in ("one", "other")]
    reused = [review.draw(source, destination, review_settings(), label).reused for label in models]
    assert reused == [False, True]


def test_a_draw_that_was_killed_is_drawn_alike_by_the_retry(checks: Checks) -> None:
    source, destination = checks.corpus(rows(15)), checks.uri("draw")
    code = f"""
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.labeling import review
from tests.labeling.review.conftest import LABELS, review_settings

write = StageAttempt.write
StageAttempt.write = lambda self, table: (write(self, table), self.finish_shards(), progress(None))
review.draw({source!r}, {destination!r}, review_settings(suspicious_texts=4), LABELS)
"""
    killed_after_shards(1, code)
    retried = review.draw(source, destination, review_settings(suspicious_texts=4), LABELS)
    assert not retried.reused
    assert shards_of(retried.uri) == shards_of(checks.draw(source, suspicious_texts=4).uri)


@pytest.mark.parametrize(
    ("content", "sample", "suspicious"),
    [
        ([], 0, 0),
        ([row(0)], 1, 0),
        ([row(0, None)], 0, 1),
        ([row(0, "a", label_source="human")], 0, 0),
        ([row(number, None) for number in range(9)], 0, 9),
        ([row(number, "a") for number in range(9)], 9, 0),
    ],
    ids=["empty", "one text", "one abstained", "labelled by people", "all abstained", "one label"],
)
def test_a_corpus_of_almost_nothing_is_drawn_from(
    checks: Checks, content: list[dict[str, object]], sample: int, suspicious: int
) -> None:
    result = checks.draw(checks.corpus(content), suspicious_texts=50)
    counts = Counter(each["review_set"] for each in drawn(result.uri))
    assert (counts["sample"], counts["suspicious"]) == (sample, suspicious)
    assert len(review.forms_of(result.uri)) == bool(sample) + bool(suspicious)


def test_the_source_is_not_changed(checks: Checks) -> None:
    source = checks.corpus(rows(20))
    before = by_id(source)
    checks.draw(source)
    assert by_id(source) == before
