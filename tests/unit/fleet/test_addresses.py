from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet import cli
from fleet.addresses import Addresses, NoAddress, choose
from fleet.link import Endpoint

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
    assert choose("broker:1883", None, "http://ch:8123", tmp_path) == Addresses(
        Endpoint("broker", 1883), None, "http://ch:8123"
    )


def test_without_one_a_stack_has_to_run(tmp_path: Path) -> None:
    with pytest.raises(NoAddress, match="no stack runs here"):
        choose(None, None, None, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--state", "nowhere"], "fleet: no stack runs here"),
        (["--mqtt", "broker"], "fleet: 'broker' is not HOST:PORT"),
        (["--mqtt", "broker:1", "--seconds", "1"], "fleet: a run needs a device, 5 seconds and a positive rate"),
    ],
)
def test_a_run_that_cannot_begin_ends_with_status_2_and_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(complaint)
