"""What authors use needs msgspec only, and names outputs by their cause."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from libs.runtime.lane.model import ANY_PARTITION, At, Due, Everything, Keys, Targets, Terms, reply, send


def test_an_output_is_named_by_the_position_of_its_cause() -> None:
    at = At("things.inbox", 3, 17, 0, b"p/d")
    assert (at.id(), at.id(2)) == ("things.inbox-3-17-0", "things.inbox-3-17-2")


def test_a_swept_rows_outputs_are_named_by_the_row_too() -> None:
    assert At("things.inbox", 3, 17, 0, b"p/\xff", swept=True).id(1) == r"things.inbox-3-17-p/\xff-1"


def test_replies_go_to_the_askers_partition_and_all_else_by_key() -> None:
    assert send("out", b"k", b"v") == ("out", b"k", b"v", ANY_PARTITION)
    assert reply("replies", 5, b"correlation", b"v") == ("replies", b"correlation", b"v", 5)


def test_targets_survive_the_changelog() -> None:
    for targets in (Everything(), Terms((("tag", "red"), ("year", 3))), Due(5), Keys((b"a", b"\xff"))):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(targets), type=Targets) == targets


def test_pure_files_load_no_client() -> None:
    code = (
        "import sys, libs.runtime.lane.model, libs.runtime.lane.rows; "
        "print([m for m in sys.modules if m.split('.')[0] in ('faust', 'aiokafka', 'confluent_kafka', 'asyncio')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
