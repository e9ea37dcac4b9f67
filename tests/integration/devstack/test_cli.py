"""`up`, `status` and `down` as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from devstack import api_key, lock, processes
from devstack.places import BROKERS, Places
from devstack.stack import SERVICES
from tests.support import clickhouse, devices
from tests.support.guarded import lets_in
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]
EVERYTHING = sorted([*BROKERS, *SERVICES])


def devstack(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "devstack", "--state", str(state), *arguments)
    return subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=170)


def post(access: api_key.Access, path: str, body: dict[str, str]) -> Any:
    headers = {"Authorization": f"Bearer {access.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(access.url + path, msgspec.json.encode(body), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return msgspec.json.decode(answer.read())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    devstack(tmp_path / "state", "down")


@pytest.mark.timeout(600)  # two whole starts: ten seconds each on an idle machine, a minute on a busy one
def test_up_crash_up_again_status_and_down(state: Path) -> None:
    assert devstack(state, "status").returncode == 3

    up = devstack(state, "up")
    assert (up.returncode, up.stderr) == (0, "")
    assert sorted(processes.find(state).values()) == EVERYTHING
    places = Places.of_running(state)
    for address in (places.kafka, str(places.mqtt_port), places.clickhouse_url, places.ops_url("ingest")):
        assert address in up.stdout

    supervisor = lock.holder(state)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not processes.find(state), timeout=10, describe="nothing outlives the supervisor")
    assert devstack(state, "status").returncode == 3

    assert devstack(state, "up").stdout == up.stdout
    assert sorted(processes.find(state).values()) == EVERYTHING

    again = devstack(state, "up")
    assert again.returncode == 0
    assert again.stdout == up.stdout.replace("is up", f"is running already (process {lock.holder(state)})", 1)

    status = devstack(state, "status")
    assert status.returncode == 0
    assert status.stdout.count(" ready ") == len(EVERYTHING)

    access = api_key.ensure(places)
    assert api_key.file(state).stat().st_mode & 0o777 == 0o600
    post(access, "/v1/products", {"product_id": "shop"})
    secret = post(access, "/v1/products/shop/devices", {"device_id": "freezer"})["secret"]
    eventually(lambda: lets_in(places.mqtt_port, "shop/freezer", secret), describe="the device is let in")
    message = ("upload_data/shop/freezer/climate/1", b'{"celsius":-18.5}')
    devices.publish(places.mqtt_port, "shop/freezer", [message], secret)
    with clickhouse.client(places.clickhouse_url, "fleetlog") as client:
        found = "SELECT value FROM metrics WHERE product_id = 'shop' AND key = 'celsius'"
        eventually(lambda: client.query(found).result_rows == [(-18.5,)], describe="the message in ClickHouse")

    down = devstack(state, "down")
    assert (down.returncode, down.stdout) == (0, "fleetlog has stopped\n")
    assert processes.find(state) == {}
    assert devstack(state, "down").stdout == "fleetlog was not running\n"


def test_the_foreground_shows_all_logs_and_ends_in_order(state: Path) -> None:
    command = (sys.executable, "-m", "devstack", "--state", str(state), "up", "--foreground")
    log = state.parent / "terminal"
    with log.open("wb") as terminal, subprocess.Popen(command, cwd=CHECKOUT, stdout=terminal, stderr=terminal) as shown:
        eventually(lambda: "fleetlog is up" in log.read_text(), timeout=120, describe="it is up")
        shown.send_signal(signal.SIGINT)
        assert shown.wait(60) == 0
    assert processes.find(state) == {}
    text = log.read_text()
    for line in ("kafka      | ", "mosquitto  | ", "ingest     | ", "presence   | ", "timeseries | "):
        assert line in text
    assert text.index("mosquitto version 2.0.11 running") < text.index("fleetlog is up")
    assert text.index("fleetlog is up") < text.index("mosquitto version 2.0.11 terminating")
    assert "\x1b[" not in text  # no colours outside a terminal
    assert "Traceback" not in text


@pytest.mark.parametrize(("options", "code"), [((), 130), (("--foreground",), 0)], ids=["detached", "foreground"])
def test_up_can_be_ended_while_it_starts(state: Path, options: tuple[str, ...], code: int) -> None:
    command = (sys.executable, "-m", "devstack", "--state", str(state), "up", *options)
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as shown:
        eventually(lambda: "kafka" in processes.find(state).values(), describe="Kafka starts")
        shown.send_signal(signal.SIGINT)
        text, _ = shown.communicate(timeout=60)
    assert (shown.returncode, "Traceback" in text) == (code, False)
    assert processes.find(state) == {}


def test_a_start_that_fails_is_one_sentence(state: Path) -> None:
    state.mkdir()
    (state / "clickhouse").write_text("a file where a directory should be")
    up = devstack(state, "up")
    assert up.returncode == 1
    assert "Traceback" not in up.stderr
    assert "clickhouse" in up.stderr
    assert processes.find(state) == {}


def test_leftovers_of_a_supervisor_are_killed(state: Path) -> None:
    state.mkdir()
    environment = {**os.environ, processes.MARK: processes.mark(state, "leftover")}
    with subprocess.Popen(("sleep", "600"), env=environment) as leftover:
        eventually(lambda: leftover.pid in processes.find(state), describe="it runs")
        down = devstack(state, "down")
        assert leftover.wait(10) == -signal.SIGKILL
    assert f"leftover (process {leftover.pid}) was left over and is killed" in down.stderr
    assert down.returncode == 0
