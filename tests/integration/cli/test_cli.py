"""The command line against the whole hub, as operators and their scripts use it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.exits import Exit
from devstack.stack import CHECKOUT
from tests.support import records
from tests.support.devices import connected
from tests.support.guarded import lets_in
from tests.support.names import unique
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.stack import Stack
    from tests.integration.cli.conftest import CommandLine


ENVIRON = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def program(stack: Stack, *arguments: str) -> tuple[str, ...]:
    """The command as `./fleetlog` runs it."""
    return (sys.executable, "-P", "-m", "cli", "--state", str(stack.state), *arguments)


def test_from_a_product_to_a_message_and_back(fleetlog: CommandLine) -> None:
    product = unique("plant")
    device = f"{product}/press-1"
    assert fleetlog.done("products", "create", product, "--command-ttl", "2d")["command_ttl_s"] == 172_800
    assert fleetlog("products", "create", product).status == Exit.CONFLICT
    registered = fleetlog.done("devices", "register", device, "--tag", "hall-3", "--attribute", "serial=A17")
    assert (registered["tags"], registered["attributes"]) == (["hall-3"], {"serial": "A17"})
    assert registered["mqtt"]["username"] == device

    command = ("mosquitto_pub", "-p", str(registered["mqtt"]["port"]), "-u", device, "-P", registered["secret"])
    message = ("-q", "1", "-t", f"upload_data/{device}/temperature/m-1", "-m", '{"celsius": 21.5}')
    eventually(lambda: subprocess.run((*command, *message), check=False, timeout=20).returncode == 0)
    record = fleetlog.done("tail", "device.telemetry", "--key", device, "--from", "beginning", "--count", "1")
    assert (record["key"], record["kind"]) == (device, "data_uploaded")
    assert record["value"]["payload"] == {"celsius": 21.5}

    assert fleetlog.done("tags", "add", device, "line-a")["tags"] == ["hall-3", "line-a"]
    assert fleetlog("tags", "set", device, "--if-version", "999").status == Exit.CONFLICT
    (listed,) = fleetlog("devices", "list", product, "--tag", "line-a", "--json").lines
    assert (listed["device_id"], listed["enabled"]) == ("press-1", True)
    assert fleetlog.done("devices", "disable", device)["enabled"] is False
    assert "enabled                 no\n" in fleetlog("devices", "show", device).out

    assert fleetlog("products", "delete", product, "--yes").status == Exit.CONFLICT
    assert fleetlog("devices", "delete", device, "--yes").out == f"device {device} is deleted\n"
    assert fleetlog("devices", "show", device).status == Exit.NOT_FOUND
    assert fleetlog("products", "delete", product, "--yes").status == Exit.OK


def test_presence_is_told_now_as_it_was_and_as_it_changes(fleetlog: CommandLine) -> None:
    product = unique("plant")
    device = f"{product}/press-1"
    fleetlog.done("products", "create", product)
    secret = fleetlog.done("devices", "register", device)["secret"]
    port = fleetlog.stack.mqtt_port
    eventually(lambda: lets_in(port, device, secret), describe="the device gets in")
    with subprocess.Popen(
        program(fleetlog.stack, "presence", "watch", product, "--count", "2", "--json"),
        env=ENVIRON,
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        eventually(lambda: lets_in(port, device, secret) and watching.poll() is not None, describe="two transitions")
        assert watching.stdout is not None
        changes = [json.loads(line) for line in watching.stdout]
    assert {change["device_id"] for change in changes} == {"press-1"}
    assert {change["cause"] for change in changes} == {"connected", "disconnected"}

    def state() -> str:
        return str(fleetlog.done("presence", "now", device)["session"]["state"])

    with connected(port, device, secret):
        eventually(lambda: state() == "online", describe="it is online")
        batch = fleetlog("presence", "batch", device, f"{product}/none", "--json")
        assert (batch.lines[0]["session"]["state"], batch.status) == ("online", Exit.NOT_FOUND)
        assert f"{product}/none" in batch.err
        assert fleetlog.done("presence", "counts", product)["online"] == 1
    eventually(lambda: state() == "offline", describe="it is offline")
    assert fleetlog.done("presence", "at", device, "1d")["session"]["state"] == "offline"


def test_a_file_of_devices_and_the_same_run_once_more(fleetlog: CommandLine, tmp_path: Path) -> None:
    product = unique("plant")
    fleetlog.done("products", "create", product)
    file, copy, third = (tmp_path / name for name in ("presses.csv", "again.csv", "third.csv"))
    file.write_text("device_id,tags,serial\n" + "".join(f"press-{n},hall-3,A{n}\n" for n in range(40)))
    first = fleetlog.done("devices", "bulk", product, str(file))
    assert (first["created"], first["exists"], first["refused"]) == (40, 0, 0)
    again = fleetlog.done("devices", "bulk", product, str(file), "--run", first["run"], "--results", str(copy))
    assert again["created"] == 40
    results = file.with_name("presses.secrets.csv").read_text()
    assert copy.read_text() == results
    other = fleetlog.done("devices", "bulk", product, str(file), "--results", str(third))
    assert (other["created"], other["exists"]) == (0, 40)

    last = list(csv.DictReader(results.splitlines()))[-1]

    eventually(
        lambda: lets_in(fleetlog.stack.mqtt_port, last["username"], last["secret"]), describe="the last device gets in"
    )


def test_keys_let_in_as_far_as_they_say_until_they_are_revoked(fleetlog: CommandLine) -> None:
    own, other = unique("plant"), unique("plant")
    for product in (own, other):
        fleetlog.done("products", "create", product)
    issued = fleetlog.done("keys", "issue", "reader", "--scope", "read", "--product", own)
    key = {"FLEETLOG_API_URL": fleetlog.stack.api_url, "FLEETLOG_API_KEY": issued["key"]}
    eventually(lambda: fleetlog("products", "show", own, **key).status == Exit.OK, describe="the key lets in")
    assert fleetlog("products", "show", other, **key).status == Exit.NOT_FOUND
    refused = fleetlog("devices", "register", f"{own}/press-1", **key)
    assert (refused.status, "forbidden" in refused.err) == (Exit.FAILED, True)

    assert issued["key_id"] in {line["key_id"] for line in fleetlog("keys", "list", "--json").lines}
    assert issued["key"] not in fleetlog("keys", "list").out
    assert fleetlog("keys", "revoke", issued["key_id"], "--yes").status == Exit.OK
    eventually(lambda: "unauthorized" in fleetlog("products", "show", own, **key).err, describe="the key is refused")
    assert fleetlog("keys", "revoke", issued["key_id"], "--yes").status == Exit.NOT_FOUND


def test_topics_are_compared_and_never_bent(fleetlog: CommandLine) -> None:
    assert fleetlog("topics", "diff").status == Exit.OK
    assert fleetlog.done("topics", "apply") == {"created": [], "completed": [], "kept": []}
    elsewhere = {"FLEETLOG_KAFKA_BOOTSTRAP": fleetlog.stack.kafka, "FLEETLOG_KAFKA_PARTITIONS": "7"}
    found = fleetlog("topics", "diff", "--json", **elsewhere)
    assert found.status == Exit.FAILED
    assert any("has 4 partitions where 7 are wanted" in line for line in found.lines[0]["misfits"])
    refused = fleetlog("topics", "apply", **elsewhere)
    assert (refused.status, "topics_do_not_fit" in refused.err) == (Exit.FAILED, True)
    assert fleetlog("topics", "diff").status == Exit.OK


def test_what_nobody_can_decode_is_shown_as_it_is(fleetlog: CommandLine) -> None:
    key = f"{unique('plant')}/press-1"
    values = (b'{"type":"from_tomorrow"}', b"\xff\x00")
    records.produce(fleetlog.stack.kafka, "app.p2p", [(key.encode(), value) for value in values])
    ran = fleetlog("tail", "app.p2p", "--key", key, "--from", "beginning", "--no-follow", "--json")
    unknown, binary = ran.lines
    assert (unknown["kind"], unknown["value"]) == ("from_tomorrow", {"type": "from_tomorrow"})
    assert binary["value"] == "/wA="
    assert "problem" in unknown
    assert "problem" in binary
    later = fleetlog("tail", "app.p2p", "--key", key, "--from", "0s", "--no-follow", "--json")
    assert (later.status, later.out) == (Exit.OK, "")
    behind = fleetlog("tail", "app.p2p", "--key", key, "--from", "1000000", "--no-follow", "--json")
    assert (behind.status, behind.out) == (Exit.OK, ""), "not from the beginning"


def test_the_tables_are_as_this_version_wants_them(fleetlog: CommandLine) -> None:
    ran = fleetlog("migrate", "--check")
    assert (ran.status, ran.err) == (Exit.OK, "ClickHouse is up to date\n")


def test_the_program_itself(fleetlog: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "cli.py").write_text("raise AssertionError('not ours')")
    command = program(fleetlog.stack, "products", "show", "none")
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRON, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (Exit.NOT_FOUND, "")
    assert done.stderr.startswith("error: ")


def test_services_that_are_away_are_told_as_such(fleetlog: CommandLine) -> None:
    nobody = "127.0.0.1:1"
    for arguments, environ in (
        (("topics", "diff"), {"FLEETLOG_KAFKA_BOOTSTRAP": nobody}),
        (("migrate", "--check"), {"FLEETLOG_CLICKHOUSE_URL": f"http://{nobody}"}),
        (("products", "list"), {"FLEETLOG_API_URL": f"http://{nobody}", "FLEETLOG_API_KEY": "fl_key"}),
    ):
        ran = fleetlog(*arguments, **environ)
        assert (ran.status, ran.err.count("error: ")) == (Exit.UNAVAILABLE, 1), ran.err
        assert nobody in ran.err
