from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking.registry import Registry, model_digest
from demo.held_out import Comparison, answers_of, comparison_line
from demo.texts import Text
from tests.mlflow_server import MlflowServer, running
from tests.packaged import write_tiny_model

_TEXTS = [Text("a web page", "web"), Text("two tables", "tables"), Text("neither", "plots")]


def test_the_comparison_counts_what_one_version_alone_gets_right() -> None:
    comparison = Comparison.of(_TEXTS, ["web", "web", "web"], ["web", "tables", "plots"])
    assert comparison == Comparison(3, 1, 3, 0, 2, pytest.approx(0.5))
    assert (comparison.accuracy_before, comparison.accuracy_after) == (pytest.approx(1 / 3), 1.0)


def test_a_gain_on_many_texts_is_no_chance_and_two_equal_versions_are() -> None:
    texts, wrong, right = _TEXTS[:1] * 200, ["tables"] * 200, ["web"] * 200
    assert Comparison.of(texts, wrong, right).p_value < 1e-50
    assert Comparison.of(texts, right, wrong).p_value < 1e-50
    assert Comparison.of(texts, right, right).p_value == 1.0


def test_no_text_at_all_is_no_accuracy() -> None:
    comparison = Comparison.of([], [], [])
    assert (comparison.accuracy_before, comparison.accuracy_after, comparison.p_value) == (0.0, 0.0, 1.0)


def test_the_line_shows_both_accuracies_and_how_sure_it_is() -> None:
    line = comparison_line("the new area", Comparison(200, 50, 150, 10, 110, 1e-9))
    assert line == "200 texts of the new area that nobody sent: 25.0% right before, 75.0% after (p = 1e-09)"


def test_a_registered_version_is_asked_without_any_gateway(tmp_path: Path) -> None:
    package = write_tiny_model(tmp_path / "package")
    with running(MlflowServer(tmp_path / "mlflow")) as server:
        client = MlflowClient(tracking_uri=server.uri)
        registry = Registry(client, "docs")
        run = client.create_run(client.create_experiment("autoglm/docs"))
        client.log_artifacts(run.info.run_id, str(package), "model")
        registered = registry.register(run.info.run_id, "model", model_digest(str(package)), {})

        answers = answers_of(registry, registered.version, _TEXTS, tmp_path / "held_out")

    assert answers == ["web", "tables", "web"]
