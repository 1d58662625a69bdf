"""Storage as DAGs get it."""

from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import SettingsError, UnsafeUriError
from airflow_provider_autoglm.hooks.storage import storage_for


@pytest.mark.parametrize("root", ["/data/autoglm", "file:///data/autoglm"])
def test_local_folders_are_served(root: str) -> None:
    assert storage_for(root).path(f"{root}/default/datasets") == "/data/autoglm/default/datasets"


@pytest.mark.parametrize("root", ["file://data/autoglm", "data/autoglm", "/"])
def test_a_root_that_is_no_absolute_folder_is_refused(root: str) -> None:
    with pytest.raises(SettingsError, match=f"root = '{root}': only file:///"):
        storage_for(root)


def test_a_root_that_would_be_cut_at_a_fragment_is_refused() -> None:
    with pytest.raises(SettingsError, match="'#' begins a fragment"):
        storage_for("/data/c#/corpora")


def test_other_schemes_are_refused_by_the_name_of_their_setting() -> None:
    with pytest.raises(SettingsError, match=r"root = 's3://bucket/autoglm': only file://"):
        storage_for("s3://bucket/autoglm")


def test_a_connection_for_local_files_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match=r"storage_conn_id = 'aws_default'"):
        storage_for("/data/autoglm", "aws_default")


def test_credentials_in_a_root_are_refused_and_not_shown() -> None:
    with pytest.raises(UnsafeUriError) as raised:
        storage_for("s3://key:marked-secret@bucket")
    assert "marked-secret" not in str(raised.value)
