"""The wiring holds what the parts assume of each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from libs.runtime.activity import Activity
from libs.runtime.kafka import QUIET
from libs.runtime.settings import SettingsError, load
from libs.topics import catalog, names
from services.ingest import app, letters
from services.ingest.app import OUTPUTS, broker, build, compose, sessions, start_of, watch
from services.ingest.books import Books
from services.ingest.connections import LOG_TOPICS
from services.ingest.outlet import Outlet
from services.ingest.parse import Parser
from services.ingest.routes import ROUTES
from services.ingest.settings import IngestSettings
from services.ingest.shards import FILTERS
from services.ingest.sources.relay import Relay
from services.ingest.tenure import Tenure
from tests.support.filters import covers

if TYPE_CHECKING:
    from pathlib import Path

    from confluent_kafka import Producer

BROKERS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({}, LOG_TOPICS),
    (
        {"FLEETLOG_BROKER": "emqx", "FLEETLOG_NODES": "emqx@a,emqx@b"},
        ("$SYS/brokers/emqx@a/clients/c/connected", "$SYS/brokers/emqx@a/clients/p/d/disconnected"),
    ),
    ({"FLEETLOG_BROKER": "rmqtt", "FLEETLOG_NODES": "1,2"}, ("$SYS/brokers/1/clients/c/connected",)),
)
"""Settings of each kind of broker, and topics of its connection events."""


def test_every_route_is_subscribed_to_by_exactly_one_filter() -> None:
    examples = [
        "/".join("x" if "{" in level else level for level in route.template.replace("{mode:cmd|rpc}", "cmd").split("/"))
        for route in ROUTES
    ]
    examples += ["rpc_resp/x/x/x/x/x"]
    for environ, events in BROKERS:
        filters = (*FILTERS, *broker(load(IngestSettings, environ)).filters, *Relay.filters)
        for topic in (*examples, *events, "fleetlog/connections/aliyun/a"):
            assert len([pattern for pattern in filters if covers(pattern, topic)]) == 1, topic


def test_the_resume_filter_looks_into_every_topic_that_is_written() -> None:
    assert set(OUTPUTS) == {route.topic for route in ROUTES} | {names.PRESENCE_INBOX, letters.TOPIC}
    for name in OUTPUTS:
        assert "ingest" in catalog.get(name).producers


def test_the_largest_payload_fits_the_largest_packet() -> None:
    assert load(IngestSettings, {}).max_payload < 512 * 1024 - 66_000


@pytest.mark.parametrize(("environ", "events"), BROKERS)
def test_a_source_of_connection_events_reads_what_it_subscribes_to(
    environ: dict[str, str], events: tuple[str, ...]
) -> None:
    source = broker(load(IngestSettings, environ))
    assert all(topic.startswith(source.prefixes) for topic in events)
    assert all(pattern.startswith(source.prefixes) for pattern in source.filters)


def test_mosquitto_is_the_broker_unless_told_otherwise() -> None:
    settings = load(IngestSettings, {})
    assert (settings.broker, settings.relays, broker(settings).filters) == ("mosquitto", False, LOG_TOPICS)


@pytest.mark.parametrize(
    "environ",
    [
        {"FLEETLOG_NODES": "1"},
        {"FLEETLOG_BROKER": "emqx"},
        {"FLEETLOG_BROKER": "emqx", "FLEETLOG_NODES": "emqx@a,a b"},
        {"FLEETLOG_BROKER": "rmqtt", "FLEETLOG_NODES": "rmqtt@a"},
        {"FLEETLOG_BROKER": "hivemq"},
        {"FLEETLOG_BROKER_API_URL": "http://emqx:18083"},
        {"FLEETLOG_BROKER": "emqx", "FLEETLOG_NODES": "emqx@a", "FLEETLOG_BROKER_API_URL": "emqx:18083"},
    ],
)
def test_what_is_asked_of_a_broker_must_fit_it_the_broker(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        load(IngestSettings, environ)


@pytest.mark.parametrize(
    ("environ", "watched", "starts"),
    [
        ({}, True, True),
        (BROKERS[1][0], False, True),
        (BROKERS[2][0], False, True),
        (BROKERS[1][0] | {"FLEETLOG_BROKER_API_URL": "http://emqx:18083"}, True, False),
    ],
    ids=["mosquitto", "emqx", "rmqtt", "emqx with its list"],
)
def test_leases_are_renewed_where_somebody_knows_and_a_list_takes_the_place_of_a_start(
    environ: dict[str, str], watched: bool, starts: bool
) -> None:
    settings = load(IngestSettings, environ)
    source = broker(settings)
    outlet = Outlet(cast("Producer", SimpleNamespace(produce=None)), Parser(source, 1000), Activity(), Books())
    assert (watch(settings, "me", source, outlet, Books()) is not None) is watched
    assert (start_of(settings, source) is not None) is starts


def test_a_missing_file_of_the_brokers_rest_interface_refuses_the_start(tmp_path: Path) -> None:
    told = BROKERS[1][0] | {
        "FLEETLOG_BROKER_API_URL": "https://emqx:18083",
        "FLEETLOG_BROKER_API_TLS_CA_FILE": str(tmp_path / "missing.pem"),
    }
    with pytest.raises(FileNotFoundError):
        compose(load(IngestSettings, told))


def test_a_client_of_kafka_that_is_never_polled_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[dict[str, Any]]()

    def notes(kafka: dict[str, Any], *_: object) -> Any:
        told.append(kafka)

    monkeypatch.setattr(app, "Notes", notes)
    monkeypatch.setattr(app, "Producer", lambda _: SimpleNamespace(produce=None))
    settings = load(IngestSettings, {})
    build(settings, 0, sessions(settings)[0], Tenure())
    assert QUIET.items() <= told[0].items()


def test_each_shard_is_a_session_with_a_name_of_its_own() -> None:
    one = load(IngestSettings, {})
    assert [session.client_id for session in sessions(one)] == ["fleetlog-ingest-0"]
    two = load(IngestSettings, {"FLEETLOG_SHARDS": '[["a"],["b"]]', "FLEETLOG_CLIENT_ID": "hub"})
    assert [session.client_id for session in sessions(two)] == ["hub-0", "hub-1"]
    assert set(LOG_TOPICS) <= set(sessions(two)[0].filters)
    assert not set(sessions(two)[0].filters) & set(sessions(two)[1].filters)


def test_a_plan_that_cannot_be_refuses_the_start() -> None:
    with pytest.raises(SettingsError, match="FLEETLOG_SHARDS names product 1 of shard 1 a second time"):
        load(IngestSettings, {"FLEETLOG_SHARDS": '[["a"],["a"]]'})
