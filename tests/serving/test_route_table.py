"""Leases on the gateway's clock, shares of requests, and the champion on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.serving.route_table import RouteFile, RouteTable, share_of
from airflow_provider_autoglm.state.routes import Model, Routes

ONE, TWO, THREE = (Model(version, f"runs:/{version}/model", f"sha256:{version}") for version in "123")


def table(*, lease_s: float | None = 10.0, asked_at: float = 100.0, **changes: object) -> RouteTable:
    values = {"champion": ONE, "challenger": TWO, "challenger_weight": 25, "lease_s": lease_s, **changes}
    return RouteTable.read(Routes("docs", generation=3, **values), asked_at=asked_at)  # type: ignore[arg-type]


def test_the_challenger_has_its_weight_until_the_lease_ends_counted_from_the_question() -> None:
    assert table().challenger_weight(109.9) == 25
    assert table().challenger_weight(110.0) == 0
    assert table().lease_left_s(104.0) == pytest.approx(6.0)
    assert table().lease_left_s(111.0) == 0.0


def test_a_weight_without_a_running_lease_is_none() -> None:
    for without in (table(lease_s=None), table(lease_s=-1.0), table(is_lease_lost=True), table(challenger=None)):
        assert without.challenger_weight(100.0) == 0
    assert table(lease_s=None).lease_left_s(100.0) is None
    assert table(is_lease_lost=True).lease_left_s(100.0) is None


def test_the_champion_before_stands_in_for_the_new_one() -> None:
    promoted = table(champion=TWO, challenger=None)

    following = promoted.following(table(), ready_before=ONE)

    assert following.stand_in == ONE
    assert following.models() == (TWO, ONE)
    assert following.routes == promoted.routes


def test_nobody_stands_in_for_a_champion_that_answers_itself() -> None:
    assert table().following(table(), ready_before=ONE).stand_in is None
    assert table().following(table(), ready_before=None).stand_in is None
    assert table().following(None, ready_before=ONE).stand_in is None


def test_a_state_that_lost_its_champion_does_not_take_it_from_the_gateway() -> None:
    empty = RouteTable.read(Routes("docs"), asked_at=0.0).following(table(), ready_before=ONE)
    assert empty.models() == (ONE,)


def test_each_version_is_wanted_once() -> None:
    assert table(champion=ONE, challenger=TWO).models() == (ONE, TWO)
    assert table(champion=THREE, challenger=ONE).following(table(), ready_before=ONE).models() == (THREE, ONE)


@given(st.text(min_size=1))
def test_the_share_of_an_id_is_always_the_same(request_id: str) -> None:
    assert 0 <= share_of(request_id, purpose="route") < 1
    assert share_of(request_id, purpose="route") == share_of(request_id, purpose="route")


def test_shares_are_uniform_and_unrelated_between_purposes() -> None:
    ids = [str(number) for number in range(10_000)]
    routed = {name for name in ids if share_of(name, purpose="route") < 0.1}
    sampled = {name for name in ids if share_of(name, purpose="log_text") < 0.1}
    for tenth in range(10):
        within = sum(tenth / 10 <= share_of(name, purpose="route") < (tenth + 1) / 10 for name in ids)
        assert within == pytest.approx(1_000, abs=120)  # four standard deviations
    assert len(routed & sampled) == pytest.approx(100, abs=40)


def test_the_champion_is_kept_for_a_restart_and_nothing_else(tmp_path: Path) -> None:
    file = RouteFile(str(tmp_path / "cache"), pipeline="docs", state_name="sqlite:////one.db")

    file.save(table().routes)

    restored = RouteFile(str(tmp_path / "cache"), pipeline="docs", state_name="sqlite:////one.db").load()
    assert restored == RouteTable(Routes("docs", generation=3, champion=ONE))
    assert restored.challenger_weight(0.0) == 0


def test_the_champion_is_written_when_it_changes_and_stays_when_there_is_none(tmp_path: Path) -> None:
    file = RouteFile(str(tmp_path), pipeline="docs", state_name="sqlite:////one.db")
    file.save(table().routes)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_ino

    file.save(table(lease_s=5.0).routes)
    file.save(Routes("docs", generation=9))
    assert path.stat().st_ino == written

    file.save(table(champion=TWO, challenger=None).routes)
    restored = file.load()
    assert restored is not None
    assert restored.routes.champion == TWO


@pytest.mark.parametrize(("pipeline", "state_name"), [("other", "sqlite:////one.db"), ("docs", "sqlite:////two.db")])
def test_the_champion_of_another_pipeline_or_state_is_not_taken(tmp_path: Path, pipeline: str, state_name: str) -> None:
    RouteFile(str(tmp_path), pipeline="docs", state_name="sqlite:////one.db").save(table().routes)
    assert RouteFile(str(tmp_path), pipeline=pipeline, state_name=state_name).load() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"generation": 1}', '{"generation": 1, "champion": {"a": 1}}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    file = RouteFile(str(tmp_path), pipeline="docs", state_name="s")
    file.save(table().routes)
    (path,) = tmp_path.iterdir()
    path.write_text(content)

    assert file.load() is None
    assert "cannot be used" in caplog.text


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    RouteFile(str(tmp_path / "file" / "cache"), pipeline="docs", state_name="s").save(table().routes)
    assert "cannot be kept" in caplog.text


def test_an_empty_state_does_not_take_the_champion_from_a_gateway_that_has_yet_to_load_it() -> None:
    empty = RouteTable.read(Routes("docs"), asked_at=0.0)
    once = empty.following(table(), ready_before=None)
    assert once.stand_in == ONE
    assert once.champions() == ("1",)
    assert empty.following(once, ready_before=None).stand_in == ONE
    assert empty.following(empty, ready_before=None).stand_in is None
