"""The demo as a user runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from devstack import processes
from devstack.places import Places
from devstack.ports import HOST
from devstack.stack import CHECKOUT
from fleet.messages import ARRIVES_IN, STORED
from tests.support import clickhouse
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.stack import Stack

LIMIT = 270
"""Seconds: on a busy machine the whole hub needs a minute and a half to start."""
pytestmark = pytest.mark.timeout(300)


@contextmanager
def running(state: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo with a state directory that the test knows."""
    command = (sys.executable, "-m", "demo", "--state", str(state), *options)
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            yield demo
        finally:
            demo.terminate()


def figures(report: str) -> dict[str, list[int | None]]:
    """Lines of the report's tables: name to figures, None for a dash."""
    found: dict[str, list[int | None]] = {}
    for line in report.splitlines():
        match = re.fullmatch(r"  (\w+(?: \w+)?)(?: +[a-z]+\.[a-z-]+)?((?: +(?:[\d,]+|-))+)", line)
        if match:
            values = match[2].replace(",", "").split()
            found[match[1]] = [None if value == "-" else int(value) for value in values]
    return found


def test_the_books_of_a_small_demo_balance_and_nothing_stays_behind(tmp_path: Path) -> None:
    with running(tmp_path, "--devices", "40", "--seconds", "8") as demo:
        report, _ = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 0, report
    assert "The books balance." in report

    tables = figures(report)
    for kind in ARRIVES_IN:
        published, acknowledged, kafka, stored = tables[kind]
        assert None not in {published, acknowledged, kafka}
        assert (acknowledged or 0) <= (kafka or 0) <= (published or 0)
        assert stored == (kafka if kind in STORED else None)
    assert tables["all"] == [sum(column[n] or 0 for column in map(tables.get, ARRIVES_IN) if column) for n in range(4)]
    assert (tables["all"][1] or 0) > 300
    for name in ("online now", "offline now", "connected", "taken over", "disconnected", "connection lost"):
        fleet, hub = tables[name]
        assert fleet == hub, name
    assert sum(tables[name][0] or 0 for name in ("online now", "offline now")) == 40
    assert tables["taken over"] == [1, 1]
    assert re.search(r"p50 [\d,]+ ms   p99 [\d,]+ ms", report)
    assert "Dead letters\n  none\n" in report
    access = report.partition("Access: who gets in, and who may say what\n")[2].partition("\n\n")[0].splitlines()
    assert [line[:4] for line in access] == ["  ✓ "] * 5, access
    for said in ("and is not in Kafka", "cut off", "refused when it comes back", "enabled again", "rotated secret"):
        assert sum(said in line for line in access) == 1, said
    lamp = report.partition("Shadow: what a lamp should be, and when it was so\n")[2].partition("\n\n")[0].splitlines()
    assert [line[:4] for line in lamp] == ["  ✓ "] * 3, lamp
    assert "1 in Kafka and 1 at their owner are the same" in lamp[-1]
    told = report.partition("what a thermometer was told, and what became of it\n")[2].partition("\n\n")[0].splitlines()
    assert [line[:4] for line in told] == ["  ✓ "] * 5, told
    assert "3 members, 1 replied, 2 queued, 2 open" in told[3]
    assert "40 devices registered in" in report
    assert processes.find(tmp_path) == {}


def test_a_row_doubled_behind_the_hubs_back_is_found_and_ends_in_status_1(tmp_path: Path) -> None:
    with running(tmp_path, "--devices", "10", "--seconds", "8", "--patience", "8") as demo:
        read_until(demo, "the fleet plays")
        eventually(lambda: double_a_row(tmp_path), describe="a row to double")
        report, _ = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 1, report
    assert "The books do not balance." in report
    assert "ClickHouse, doubled: 1\n" in report


def read_until(demo: subprocess.Popen[str], text: str) -> None:
    assert demo.stdout is not None
    assert any(text in line for line in demo.stdout), f"the demo ended without {text!r}"


def double_a_row(state: Path) -> bool:
    """True once a row has been there to be doubled."""
    client = clickhouse.client(Places.of_running(state).clickhouse_url, "fleetlog")
    try:
        if not client.query("SELECT 1 FROM raw_events LIMIT 1").result_rows:
            return False
        client.command("INSERT INTO raw_events SELECT * FROM raw_events LIMIT 1")
        return True
    finally:
        client.close()


def test_ctrl_c_ends_the_demo_in_order(tmp_path: Path) -> None:
    with running(tmp_path, "--devices", "10", "--seconds", "60") as demo:
        read_until(demo, "the fleet plays")
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 130
    assert "interrupted; everything has been stopped" in rest
    assert "Traceback" not in rest
    assert processes.find(tmp_path) == {}


def test_the_fleet_alone_against_a_running_stack_says_so_in_json(stack: Stack) -> None:
    command = (
        sys.executable,
        "-m",
        "fleet",
        "--devices",
        "12",
        "--seconds",
        "5",
        "--prefix",
        unique("alone"),
        "--json",
    )
    where = ("--mqtt", f"{HOST}:{stack.mqtt_port}", "--kafka", stack.kafka, "--clickhouse", stack.clickhouse_url)
    done = subprocess.run((*command, *where), cwd=CHECKOUT, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["balanced"] is True
    assert said["findings"] == []
    assert said["hub"]["online"] == said["online"]
    assert said["hub"]["connections"] == {k: n for k, n in said["connections"].items() if n}
    assert sum(entry["kafka"] for entry in said["books"]) >= said["acknowledged"] > 0


def test_a_fleet_registers_itself_at_a_running_hub_and_a_second_run_gets_new_secrets(hub: Stack) -> None:
    command = (sys.executable, "-m", "fleet", "--state", str(hub.state), "--devices", "12", "--seconds", "5", "--json")
    prefix = ("--prefix", unique("guests"))
    for _ in range(2):
        done = subprocess.run(
            (*command, *prefix), cwd=CHECKOUT, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["published"] > 0
    uninvited = subprocess.run(
        (*command, "--open"), cwd=CHECKOUT, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (uninvited.returncode, uninvited.stdout) == (2, "")
    assert "cannot connect to" in uninvited.stderr
