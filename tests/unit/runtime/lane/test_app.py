"""The wiring refuses what could not work, and carries the settings over."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import faust
import pytest

from libs.runtime.lane import app as app_module
from libs.runtime.lane.answers import PARTITIONS
from libs.runtime.lane.app import LaneApp
from libs.runtime.lane.settings import LaneSettings
from libs.runtime.settings import KafkaSettings, SettingsError, load
from libs.topics.names import API_REPLIES
from tests.unit.runtime.lane.lab import INBOX, LETTERS, Thing, decode, step

if TYPE_CHECKING:
    from pathlib import Path


def declare(app: LaneApp, table: str = "things", **options: Any) -> Any:
    wanted = {"inbox": INBOX, "row": Thing, "decode": decode, "step": step, "dead_letters": LETTERS, **options}
    return app.lane(table, **wanted)


def test_any_other_faust_than_the_verified_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust, "__version__", "0.15.4")
    spec = importlib.util.spec_from_file_location("libs.runtime.lane.another", app_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r"verified with faust-streaming 0\.15\.3, found 0\.15\.4"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_lane_has_the_services_and_the_tables_name_in_its_changelog() -> None:
    lane = declare(LaneApp("ledger", kafka=KafkaSettings(partitions=6)))
    assert lane.table.changelog_name == "ledger-things-changelog"
    assert lane.table.partitions == 6
    assert lane.service == "ledger"


def test_a_row_must_be_a_lanes_row() -> None:
    with pytest.raises(TypeError, match="not a lane Row"):
        declare(LaneApp("ledger", kafka=KafkaSettings()), row=dict)


def test_an_inbox_feeds_one_lane() -> None:
    app = LaneApp("ledger", kafka=KafkaSettings())
    declare(app)
    with pytest.raises(ValueError, match="feeds another lane"):
        declare(app, "others")


@pytest.mark.parametrize("name", ["tally", "a/b", ""])
def test_a_view_has_a_name_that_no_other_path_means(name: str) -> None:
    with pytest.raises(ValueError, match="no names for views"):
        declare(LaneApp("ledger", kafka=KafkaSettings()), views={name: lambda *_: None})


def test_views_need_the_topic_on_which_owners_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {INBOX: 6, "ledger-things-changelog": 6, LETTERS: 6}
    monkeypatch.setattr("libs.runtime.lane.checks.partition_counts", lambda _: there)
    monkeypatch.setattr("libs.runtime.lane.checks.cleanup_policy", lambda *_: "compact")
    plain, shown = (LaneApp("ledger", kafka=KafkaSettings(partitions=6)) for _ in range(2))
    declare(plain)
    declare(shown, views={"state": lambda *_: None})
    assert plain._topic_problems() == []
    assert shown._topic_problems() == ["topic hub.owners, on which owners of rows are announced, does not exist"]


def test_fewer_partitions_of_replies_than_steps_answer_to_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {INBOX: 6, "ledger-things-changelog": 6, LETTERS: 6}
    monkeypatch.setattr("libs.runtime.lane.checks.cleanup_policy", lambda *_: "compact")
    app = LaneApp("ledger", kafka=KafkaSettings(partitions=6))
    declare(app)
    for replies, problems in ((PARTITIONS, 0), (PARTITIONS - 1, 1)):
        monkeypatch.setattr("libs.runtime.lane.checks.partition_counts", lambda _, n=replies: there | {API_REPLIES: n})
        found = app._topic_problems()
        assert len(found) == problems
        assert all(problem.startswith(f"topic api.replies has {replies} partitions") for problem in found)


def test_settings_reach_faust_and_the_producer(tmp_path: Path) -> None:
    lane = LaneSettings(session_timeout_s=20, standbys=1, instance_id="pod-0", data_dir=str(tmp_path), linger_ms=2)
    app = LaneApp("ledger", kafka=KafkaSettings(bootstrap="a:1,b:2"), lane=lane)
    assert [str(url) for url in app.conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert (app.conf.broker_session_timeout, app.conf.table_standby_replicas) == (20, 1)
    assert (app.conf.consumer_group_instance_id, app.conf.datadir) == ("pod-0", tmp_path)
    assert app._producer_config["delivery.timeout.ms"] < 20_000
    assert app._producer_config["linger.ms"] == 2


@pytest.mark.parametrize("store", ["memory://", "rocksdb://"])
async def test_only_rows_on_disk_have_a_directory(tmp_path: Path, store: str) -> None:
    directory = tmp_path / "lanes" / "ledger"
    app = LaneApp("ledger", kafka=KafkaSettings(), lane=LaneSettings(store=store, data_dir=str(directory)))
    await app.on_first_start()
    assert directory.exists() == (tmp_path / "lanes").exists() == (store == "rocksdb://")


def test_topics_are_never_declared_nor_modules_discovered_by_faust() -> None:
    conf = LaneApp("ledger", kafka=KafkaSettings()).conf
    assert (conf.topic_allow_declare, conf.topic_disable_leader, conf.autodiscover) == (False, True, False)


def test_only_the_lane_writes_to_its_table() -> None:
    lane = declare(LaneApp("ledger", kafka=KafkaSettings()))
    with pytest.raises(TypeError, match="only the lane"):
        lane.table.on_key_set(b"k", b"v")


def test_a_heartbeat_must_fit_the_session_several_times() -> None:
    with pytest.raises(SettingsError, match="FLEETLOG_HEARTBEAT_S must be at most a third"):
        load(LaneSettings, {"FLEETLOG_HEARTBEAT_S": "5", "FLEETLOG_SESSION_TIMEOUT_S": "10"})


def test_a_store_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="FLEETLOG_STORE"):
        load(LaneSettings, {"FLEETLOG_STORE": "redis://"})
