from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.schema import document_id
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, SettingsError, StorageError
from airflow_provider_autoglm.labeling import labelers
from airflow_provider_autoglm.labeling.calibration import CalibratedLabeler
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.fitting import Fitting
from airflow_provider_autoglm.labeling.refinement import refined
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings import LabelSettings
from airflow_provider_autoglm.settings.label import ANY_LANGUAGE
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import FOOTBALL, TEXTS, TRUTH

WriteSource = Callable[..., str]


def fitting(source: str | Sequence[str], destination: str, settings: LabelSettings, known: str = "") -> Fitting:
    return Fitting(settings, source, destination, Resources(known=known))


def fitted(source: str, destination: str, settings: LabelSettings, route: str = ANY_LANGUAGE) -> EmbeddingLabeler:
    labeler = fitting(source, destination, settings).labeler(route)
    assert isinstance(labeler, EmbeddingLabeler)
    return labeler


def known_labels(folder: Path, texts: Sequence[str] = TEXTS, labels: Sequence[str] = TRUTH, times: int = 1) -> str:
    numbered = [f"{text} ({number})" for number in range(times) for text in texts]
    table = pa.table({"text": numbered, "label": list(labels) * times})
    return write_corpus(f"{folder.as_uri()}/known", [table], stage="known").uri


def test_a_sample_is_looked_at_that_does_not_depend_on_the_order_of_the_texts(
    labeler: EmbeddingLabeler, write_source: WriteSource, tmp_path: Path
) -> None:
    source = write_source(TEXTS[::-1], rows_of_a_shard=7)
    moved = fitted(source, f"{tmp_path}/label", settings_with(refine_texts=10))
    drawn = sorted(TEXTS, key=lambda text: document_id("documents", text))[:10]
    expected = refined(labeler, labeler.encoder.encode(drawn))
    np.testing.assert_allclose(moved.prototypes, expected, atol=1e-5)


def test_all_parts_and_retries_share_what_was_found_first(write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source(rows_of_a_shard=7)
    first = fitted(f"{source}#shards=3-4", f"{tmp_path}/label/part=001", settings_with())
    (kept,) = (tmp_path / "label" / "_fitted").iterdir()
    turned = kept.read_text().replace('"texts":40', '"texts":39')
    kept.write_text(turned)
    second = fitted(f"{source}#shards=0-2", f"{tmp_path}/label/part=000", settings_with())
    np.testing.assert_array_equal(first.prototypes, second.prototypes)
    assert kept.read_text() == turned
    assert len(list(kept.parent.iterdir())) == 1


def test_of_two_parts_that_fit_at_once_the_slower_takes_what_the_faster_has_found(
    monkeypatch: pytest.MonkeyPatch, write_source: WriteSource, tmp_path: Path
) -> None:
    source, settings = write_source(), settings_with()
    ours = fitted(source, f"{tmp_path}/apart", settings)
    (apart,) = (tmp_path / "apart" / "_fitted").iterdir()
    theirs = apart.read_text().replace('"prototypes":[[', '"prototypes":[[9.5,')
    load = EmbeddingLabeler.load

    def overtaken(*arguments: object, **options: object) -> EmbeddingLabeler:
        folder = tmp_path / "label" / "_fitted"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / apart.name).write_text(theirs)
        return load(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(EmbeddingLabeler, "load", overtaken)
    slower = fitting(source, f"{tmp_path}/label", settings)
    with pytest.raises(ValueError, match="inhomogeneous"):
        # What the other part wrote is what is built here, although it fits no model.
        slower.labeler(ANY_LANGUAGE)
    assert (tmp_path / "label" / "_fitted" / apart.name).read_text() == theirs
    assert ours.prototypes.shape[0] == len(settings.labels)


def test_other_settings_share_nothing(write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source()
    for refine_texts in (10, 20):
        fitted(source, f"{tmp_path}/label", settings_with(refine_texts=refine_texts))
    assert len(list((tmp_path / "label" / "_fitted").iterdir())) == 2


def test_texts_the_model_breaks_on_do_not_move_a_prototype(
    poisoned_model: str, write_source: WriteSource, tmp_path: Path
) -> None:
    settings = settings_with(model=poisoned_model)
    labeler = EmbeddingLabeler.load(settings)
    source = write_source([*FOOTBALL, f"A {POISON} ran over the football pitch."])
    moved = fitted(source, f"{tmp_path}/label", settings)
    np.testing.assert_allclose(moved.prototypes, refined(labeler, labeler.encoder.encode(FOOTBALL)), atol=1e-5)


def test_a_damaged_record_says_which_file_to_delete(write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source()
    fitted(source, f"{tmp_path}/label", settings_with())
    (kept,) = (tmp_path / "label" / "_fitted").iterdir()
    kept.write_text("{}")
    with pytest.raises(StorageError, match=kept.name):
        fitted(source, f"{tmp_path}/label", settings_with())


def test_scores_are_calibrated_on_texts_of_known_label(write_source: WriteSource, tmp_path: Path) -> None:
    settings = settings_with(calibration=known_labels(tmp_path, times=3), temperature=1.0)
    found = fitting(write_source(), f"{tmp_path}/label", settings)
    labeler = found.labeler(ANY_LANGUAGE)
    assert isinstance(labeler, CalibratedLabeler)
    assert labeler.temperature < 1  # similarities at temperature 1 are far too humble
    metrics = found.metrics()
    assert metrics["calibration/rows"] == 120
    assert metrics["calibration/ece_after"] < metrics["calibration/ece_before"]


def test_too_few_known_labels_leave_scores_as_they_are(write_source: WriteSource, tmp_path: Path) -> None:
    settings = settings_with(calibration=known_labels(tmp_path))
    found = fitting(write_source(), f"{tmp_path}/label", settings)
    assert isinstance(found.labeler(ANY_LANGUAGE), EmbeddingLabeler)
    assert found.metrics() == {}


def test_known_texts_that_break_the_model_do_not_count(
    poisoned_model: str, write_source: WriteSource, tmp_path: Path
) -> None:
    poisoned = known_labels(tmp_path, [f"The {POISON} sleeps."] * 60, ["space"] * 60, times=2)
    settings = settings_with(model=poisoned_model, calibration=poisoned)
    found = fitting(write_source(), f"{tmp_path}/label", settings)
    assert isinstance(found.labeler(ANY_LANGUAGE), EmbeddingLabeler)


def test_centred_vectors_are_shared_too(write_source: WriteSource, tmp_path: Path) -> None:
    source, settings = write_source(), settings_with(center=True)
    first = fitted(source, f"{tmp_path}/label", settings)
    again = fitted(source, f"{tmp_path}/label", settings)
    np.testing.assert_array_equal(first.predict(TEXTS).probabilities, again.predict(TEXTS).probabilities)
    assert first.predict(TEXTS).probabilities.argmax(axis=1).tolist() == [first.names.index(name) for name in TRUTH]


def test_each_language_has_prototypes_from_its_own_texts(labeler: EmbeddingLabeler, tmp_path: Path) -> None:
    languages = ["en" if number % 2 else "de" for number in range(len(TEXTS))]
    table = pa.table({"text": list(TEXTS), "lang": languages})
    source = write_corpus(f"{tmp_path.as_uri()}/source", [table], stage="clean").uri
    settings = settings_with(models={"en": "sentence-transformers/all-MiniLM-L6-v2"})
    for route, remainder in (("en", 1), (ANY_LANGUAGE, 0)):
        texts = [text for number, text in enumerate(TEXTS) if number % 2 == remainder]
        moved = fitted(source, f"{tmp_path}/label", settings, route)
        np.testing.assert_allclose(moved.prototypes, refined(labeler, labeler.encoder.encode(texts)), atol=1e-5)
    assert len(list((tmp_path / "label" / "_fitted").iterdir())) == 2


def test_a_language_without_model_has_no_labeler(write_source: WriteSource, tmp_path: Path) -> None:
    settings = settings_with(models={"*": None, "en": "sentence-transformers/all-MiniLM-L6-v2"})
    assert fitting(write_source(), f"{tmp_path}/label", settings).labeler(ANY_LANGUAGE) is None
    with pytest.raises(SettingsError, match="stay without label"):
        labelers.build(settings)


def test_int8_is_used_where_it_gives_the_labels_of_fp32(write_source: WriteSource, tmp_path: Path) -> None:
    found = fitting(write_source(), f"{tmp_path}/label", settings_with(precision="int8"))
    labeler = found.labeler(ANY_LANGUAGE)
    assert labeler is not None
    best = labeler.predict(TEXTS).probabilities.argmax(axis=1)
    assert [("cooking", "football", "space")[number] for number in best] == list(TRUTH)
    assert found.metrics() == {"int8/agreement": 1.0}
    (kept,) = (tmp_path / "label" / "_fitted").iterdir()
    assert '"precision":"int8"' in kept.read_text()


def test_int8_that_changes_labels_is_not_used(
    monkeypatch: pytest.MonkeyPatch, write_source: WriteSource, tmp_path: Path
) -> None:
    load = EmbeddingLabeler.load

    def worse_in_int8(settings: LabelSettings, **options: object) -> EmbeddingLabeler:
        labeler = load(settings, **options)  # type: ignore[arg-type]
        turned = labeler.prototypes[[1, 2, 0]]
        return labeler.with_prototypes(turned) if settings.precision == "int8" else labeler

    monkeypatch.setattr(EmbeddingLabeler, "load", worse_in_int8)
    settings = settings_with(precision="int8", refine=False)
    found = fitting(write_source(), f"{tmp_path}/label", settings)
    assert found.labeler(ANY_LANGUAGE) is not None
    assert found.metrics()["int8/agreement"] < 0.5
    (kept,) = (tmp_path / "label" / "_fitted").iterdir()
    assert '"precision":"fp32"' in kept.read_text()


def test_an_alias_is_resolved_once_for_all_tasks(write_source: WriteSource, tmp_path: Path) -> None:
    asked: list[str] = []

    def pin(uri: str) -> str:
        asked.append(uri)
        return "sentence-transformers/all-MiniLM-L6-v2"

    source, settings = write_source(), settings_with(model="models:/news@champion")
    for _ in range(2):
        found = Fitting(settings, source, f"{tmp_path}/label", Resources(pin_model=pin))
        assert found.labeler(ANY_LANGUAGE) is not None
    assert asked == ["models:/news@champion"]


def test_texts_of_words_unknown_to_the_model_do_not_move_a_prototype(
    labeler: EmbeddingLabeler, write_source: WriteSource, tmp_path: Path
) -> None:
    thai = [f"ทีมชาติไทยชนะการแข่งขันฟุตบอล{number}" for number in range(20)]
    source = write_source([*TEXTS, *thai])
    found = fitted(source, f"{tmp_path}/label", settings_with())
    expected = refined(labeler, labeler.encoder.encode(TEXTS))
    np.testing.assert_allclose(found.prototypes, expected, atol=1e-5)


@pytest.mark.parametrize(("asked_for", "level"), [(True, "WARNING"), (False, "INFO")])
def test_calibration_that_comes_to_nothing_is_told_and_loudly_if_it_was_asked_for(
    asked_for: bool, level: str, write_source: WriteSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = known_labels(tmp_path, labels=["other"] * len(TEXTS))
    settings = settings_with(calibration=known if asked_for else "")
    with caplog.at_level("INFO"):
        fitting(write_source(), f"{tmp_path}/label", settings, "" if asked_for else known).labeler(ANY_LANGUAGE)
    told = [record for record in caplog.records if "stay uncalibrated" in record.message]
    assert [record.levelname for record in told] == [level]
    assert f"{known} has 0 texts" in told[0].message
    assert "label.calibration_min_rows asks for 100" in told[0].message


def test_a_calibration_corpus_that_is_not_there_is_a_wrong_setting_which_no_retry_mends(
    write_source: WriteSource, tmp_path: Path
) -> None:
    missing = f"{tmp_path}/nope"
    with pytest.raises(SettingsError, match=f"label.calibration = '{missing}': no committed corpus"):
        fitting(write_source(), f"{tmp_path}/label", settings_with(calibration=missing)).labeler(ANY_LANGUAGE)


def test_a_version_before_that_is_not_there_may_come_back(write_source: WriteSource, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotCommittedError):
        fitting(write_source(), f"{tmp_path}/label", settings_with(), f"{tmp_path}/nope").labeler(ANY_LANGUAGE)
