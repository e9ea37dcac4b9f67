"""The programs in ``docs/analysts.md`` do what the page says, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from libs.topics import names
from tests.support.devices import publish
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import read_all

if TYPE_CHECKING:
    from devstack.stack import Stack

PAGE = Path(__file__).resolve().parents[3] / "docs" / "analysts.md"
FOLLOW, STATE, REPLAY = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def environment(stack: Stack) -> dict[str, str]:
    return {**os.environ, "KAFKA": stack.kafka}


def visit(stack: Stack, product_id: str, payload: str | bytes) -> str:
    """A device connects, uploads once and says goodbye. Returns its key."""
    device = f"{product_id}/door-1"
    publish(stack.mqtt_port, device, [(f"upload_data/{device}/sample/m1", payload)])
    return device


def test_the_following_program_prints_what_a_device_did(stack: Stack, tmp_path: Path) -> None:
    device = visit(stack, unique("analysts"), '{"bolt":"closed","volt":3.6}')
    output = tmp_path / "output"
    with output.open("wb") as file:
        program = subprocess.Popen([sys.executable, "-c", FOLLOW], env=environment(stack), stdout=file)
    try:

        def lines() -> set[str]:
            assert program.poll() is None, "the program ended"
            return {line for line in output.read_text().splitlines() if line.startswith(device)}

        expected = {
            f"{device} offline -> online because connected",
            f"{device} sample {{'bolt': 'closed', 'volt': 3.6}}",
            f"{device} online -> offline because disconnected",
        }
        eventually(lambda: lines() >= expected, describe="the three lines of the device")
        assert lines() == expected
    finally:
        program.kill()
        program.wait()


def test_the_state_program_prints_every_device_once_and_ends(stack: Stack) -> None:
    devices = [visit(stack, unique("analysts"), "{}") for _ in range(2)]

    def states() -> dict[str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", STATE],
            env=environment(stack),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found: dict[str, list[str]] = {}
        for line in done.stdout.splitlines():
            found.setdefault(line.split()[0], []).append(line.split()[1])
        return found

    eventually(
        lambda: [states().get(device) for device in devices] == [["offline"], ["offline"]],
        describe="both devices offline",
    )


def test_events_and_state_of_a_device_are_in_partitions_of_the_same_number(stack: Stack) -> None:
    device = visit(stack, unique("analysts"), "[1]").encode()

    def partitions(topic: str) -> set[int]:
        return {record.partition for record in read_all(stack.kafka, topic, key=device)}

    topics = (names.PRESENCE_INBOX, names.DEVICE_TELEMETRY, names.PRESENCE_TRANSITIONS, names.PRESENCE_STATE)
    eventually(lambda: all(partitions(topic) for topic in topics), describe="records in all four topics")
    assert len(set.union(*(partitions(topic) for topic in topics))) == 1
