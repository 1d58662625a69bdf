from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param

from airflow_provider_autoglm.tracking.values import dataset_input, parameters, valid_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
)


@given(st.text())
def test_every_key_becomes_one_that_mlflow_takes(key: str) -> None:
    _validate_metric_name(valid_key(key))


@given(st.dictionaries(st.text(), JSON))
def test_every_settings_tree_becomes_parameters_that_mlflow_takes(settings: dict[str, object]) -> None:
    for parameter in parameters(settings):
        _validate_param(parameter.key, parameter.value)


def test_a_good_key_stays_as_it_is() -> None:
    assert valid_key("rejected/too short: a-b_c.d") == "rejected/too short: a-b_c.d"


def test_a_dataset_keeps_no_credentials_of_its_address() -> None:
    logged = dataset_input("crawl", "s3://key:secret@bucket/x", "c" * 32, context="clean").dataset

    assert logged.source == '{"uri": "s3://***@bucket/x"}'
    assert logged.source_type == "s3"
