from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.places import Choice, Places
from devstack.ports import Ports
from fleet import cli
from fleet.addresses import Addresses, Given, NoAddress, access_to, choose
from fleet.link import Endpoint
from fleet.registration import ApiAccess

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("broker:1883", Endpoint("broker", 1883)),
        (":1883", Endpoint("127.0.0.1", 1883)),
        ("::1:1883", Endpoint("::1", 1883)),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint


@pytest.mark.parametrize("text", ["broker", "broker:", "broker:mqtt", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Endpoint.parse(text)


def test_with_an_mqtt_address_only_what_is_named_is_looked_at(tmp_path: Path) -> None:
    assert choose(Given("broker:1883", clickhouse="http://ch:8123"), tmp_path) == Addresses(
        Endpoint("broker", 1883), None, "http://ch:8123"
    )


def test_without_one_a_stack_has_to_run(tmp_path: Path) -> None:
    with pytest.raises(NoAddress, match="no stack runs here"):
        choose(Given(), tmp_path)


def test_a_fleet_registers_itself_where_it_is_told_to_unless_the_broker_is_open(tmp_path: Path) -> None:
    api = ApiAccess("http://hub", "fl_key")
    assert choose(Given("broker:1883", api=api), tmp_path).api == api
    assert choose(Given("broker:1883", api=api, open=True), tmp_path).api is None


def test_a_stack_says_how_its_api_is_reached(tmp_path: Path) -> None:
    with_api = Places(tmp_path, Choice(("ingest", "api")), 4, Ports(tmp_path / "ports.json"))
    (tmp_path / "api.json").write_text('{"url": "http://127.0.0.1:8000", "key": "fl_key"}')
    assert access_to(with_api) == ApiAccess("http://127.0.0.1:8000", "fl_key")
    assert "fl_key" not in repr(access_to(with_api))


def test_a_stack_without_the_api_is_open_whatever_an_earlier_one_left(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text('{"url": "http://127.0.0.1:8000", "key": "fl_key"}')
    assert access_to(Places(tmp_path, Choice(("ingest",)), 4, Ports(tmp_path / "ports.json"))) is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--state", "nowhere"], "fleet: no stack runs here"),
        (["--mqtt", "broker"], "fleet: 'broker' is not HOST:PORT"),
        (["--mqtt", "broker:1", "--api", "http://hub"], "fleet: --api and --api-key go together"),
        (["--mqtt", "broker:1", "--seconds", "1"], "fleet: a run needs a device, 5 seconds and a positive rate"),
    ],
)
def test_a_run_that_cannot_begin_ends_with_status_2_and_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(complaint)
