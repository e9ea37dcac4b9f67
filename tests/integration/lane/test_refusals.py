"""What the lane cannot take becomes one dead letter each, and the lane goes on; a flood stops it."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from typing import TYPE_CHECKING

from libs.topics.names import dead_letters
from tests.integration.lane.ledger import inbox
from tests.integration.lane.truth import assert_exact
from tests.support.records import read_all

if TYPE_CHECKING:
    from tests.integration.lane.scene import Scene


def test_each_event_that_cannot_be_taken_becomes_one_dead_letter_with_its_reason(scene: Scene) -> None:
    load = scene.load()
    for number in range(5000):
        key = b"account-%03d" % (number % 300)
        if number % 101 == 0:
            load.put(key, "boom")
        elif number % 103 == 0:
            load.producer.produce(inbox(scene.service), b"{", key)
        elif number % 107 == 0:
            load.put(key if number % 2 else b"large-%d" % number, "deposit", pad="x" * 5000)
        elif number % 109 == 0:
            load.put([None, b"", b"\0shared"][number % 3], "deposit")
        elif number % 113 == 0:
            load.put(key, "later")
        else:
            load.put(key, "deposit", value=1)
    load.put(b"account-000", "boom", pad="x" * 990_000)
    load.flush()
    worker = scene.worker(max_row=1000)
    scene.settle(worker)
    assert worker.stop() == 0

    inputs = {
        f"kafka:{one.topic}-{one.partition}-{one.offset}": one
        for one in read_all(scene.bootstrap, inbox(scene.service))
    }
    letters = [one.message for one in read_all(scene.bootstrap, dead_letters(scene.service))]
    assert Counter(letter["reason"] for letter in letters) == {
        "poison": 51,
        "invalid_message": 48,
        "row_too_large": 46,
        "bad_key": 45,
    }
    assert len({letter["origin"] for letter in letters}) == len(letters)
    for letter in letters:
        record = inputs[letter["origin"]]
        assert b64decode(letter["payload"]) == record.value
        assert letter["received_at"] == record.timestamp
        assert letter["service"] == scene.service


def test_a_flood_of_refusals_stops_the_process_before_they_leave_and_before_the_commit(scene: Scene) -> None:
    load = scene.load()
    load.preload()
    worker = scene.worker(lane_instance_id="a", breaker=50)
    scene.settle(worker)
    before = scene.committed()
    for number in range(2000):
        load.put(b"account-%05d" % (number % 50), "boom")
    load.flush()
    assert worker.exit_status() == 70
    assert "breaker: 51 dead letters in the last 1000 events" in worker.text()
    assert scene.count(dead_letters(scene.service)) == 0
    assert scene.committed() == before

    worker = scene.worker(lane_instance_id="a", breaker=5000)
    scene.settle(worker)
    assert worker.stop() == 0
    truth, _ = assert_exact(scene.bootstrap, scene.service)
    assert truth.refused == scene.count(dead_letters(scene.service)) == 2000
